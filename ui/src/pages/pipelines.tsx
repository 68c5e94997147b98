// SPDX-License-Identifier: Apache-2.0
// Pipelines that have been seen, and the runs of one.
import { query, useGet } from "../api.ts";
import { ListPage, LIST_LIMIT } from "../parts/listpage.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Subject, When } from "../parts/words.tsx";
import type { Page, Pipeline, Run } from "../types.ts";
import { runColumns } from "../parts/runcolumns.tsx";

function lastRun(pipeline: Pipeline): Partial<Run> | null {
  if (!pipeline.last_run) return null;
  return typeof pipeline.last_run === "string" ? { id: pipeline.last_run } : pipeline.last_run;
}

const COLUMNS: Column<Pipeline>[] = [
  { key: "name", label: "Pipeline", value: (one) => one.name },
  { key: "entry", label: "Entry", value: (one) => one.entry, cell: (one) => <code>{one.entry ?? "unknown"}</code> },
  { key: "runs", label: "Runs", value: (one) => one.runs, right: true },
  {
    key: "state",
    label: "Last run",
    value: (one) => lastRun(one)?.state,
    cell: (one) => (lastRun(one)?.state ? <Word word={lastRun(one)?.state} /> : "–"),
  },
  {
    key: "run",
    label: "Run",
    value: (one) => lastRun(one)?.id,
    cell: (one) => (lastRun(one)?.id ? <Subject subject={`run:${lastRun(one)?.id}`} /> : "–"),
  },
  {
    key: "started",
    label: "Started",
    value: (one) => lastRun(one)?.started_at,
    cell: (one) => (lastRun(one)?.started_at ? <When at={lastRun(one)?.started_at} /> : "–"),
  },
];

/** The list may come bare or in a page's frame. */
function itemsOf(data: Pipeline[] | Page<Pipeline> | undefined): Pipeline[] {
  return Array.isArray(data) ? data : (data?.items ?? []);
}

export function Pipelines() {
  const { data, error } = useGet<Pipeline[] | Page<Pipeline>>("/api/pipelines");
  return (
    <ListPage
      title="Pipelines"
      about="Plain Python functions, step by step; a step whose code, inputs and parameters have not changed is not computed again."
      path="/api/pipelines"
      cli="mainstay runs list --kind pipeline"
      error={error}
      loading={!data}
      empty={!itemsOf(data).length}
      nothing={
        <Empty title="No pipeline has run yet" command="mainstay run flights.py:flights_late">
          A pipeline is a function made of steps. Its first run makes it known here.
        </Empty>
      }
    >
      <Table name="" label="pipelines" rows={itemsOf(data)} columns={COLUMNS} href={(one) => `/pipelines/${one.name}`} />
    </ListPage>
  );
}

export function PipelinePage({ name }: { name: string }) {
  const list = useGet<Pipeline[] | Page<Pipeline>>("/api/pipelines");
  const runs = useGet<Page<Run>>(query("/api/runs", { kind: "pipeline", limit: LIST_LIMIT }));
  const pipeline = itemsOf(list.data).find((one) => one.name === name);
  const mine = (runs.data?.items ?? []).filter((run) => run.name === name || run.code?.entry?.endsWith(`:${name}`));
  return (
    <ObjectPage
      subject={`pipeline:${name}`}
      kind="Pipeline"
      name={name}
      plainName={name}
      owner={pipeline?.owner}
      state={mine[0]?.state}
      loading={!list.data}
      error={list.error}
      wide
      aside={pipeline?.entry && <code>{pipeline.entry}</code>}
      tabs={[
        {
          id: "runs",
          label: "Runs",
          count: mine.length,
          body: () =>
            runs.error ? (
              <ErrorNote error={runs.error} />
            ) : !runs.data ? (
              <Skeleton />
            ) : mine.length ? (
              <Table
                name=""
                label="runs of this pipeline"
                rows={mine}
                columns={runColumns(mine)}
                href={(run) => `/runs/${run.id}`}
              />
            ) : (
              <Empty title="This pipeline has not run yet" command={`mainstay run ${pipeline?.entry ?? name}`} />
            ),
        },
      ]}
    />
  );
}
