// SPDX-License-Identifier: Apache-2.0
// Pipelines that have been seen: how their last runs ended, when the next is due; and the runs of one.
import { at, query, useGet } from "../api.ts";
import { duration, plural } from "../format.ts";
import { Jobs } from "../parts/jobs.tsx";
import { LIST_LIMIT, ListPage } from "../parts/listpage.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Order } from "../parts/order.tsx";
import { Word } from "../parts/pill.tsx";
import { PlanTab } from "../parts/plan.tsx";
import { runColumnsOfOne } from "../parts/runcolumns.tsx";
import { RunStrip } from "../parts/runstrip.tsx";
import { BACKFILL_COLUMNS, backfillHref, LocalTime, SCHEDULE_COLUMNS, timing } from "../parts/scheduling.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Subject, When } from "../parts/words.tsx";
import { setParams } from "../router.ts";
import type { BackfillAnswer, Page, Pipeline, Run, Schedule } from "../types.ts";

export const PLACES: [string, string][] = [
  ["/pipelines", "Pipelines"],
  ["/schedules", "Schedules"],
  ["/backfills", "Backfills"],
  ["/jobs", "Jobs"],
];

const STRIP = 20;

function lastRun(pipeline: Pipeline): Partial<Run> | null {
  if (!pipeline.last_run) return null;
  return typeof pipeline.last_run === "string" ? { id: pipeline.last_run } : pipeline.last_run;
}

/** A schedule names a pipeline by its entry, FILE.py:FUNCTION. */
function isFor(entry: string | undefined, pipeline: Pipeline | undefined): boolean {
  if (!entry || !pipeline) return false;
  return entry === pipeline.entry || entry.endsWith(`:${pipeline.name}`);
}

function columnsOf(runs: Run[], schedules: Schedule[]): Column<Pipeline>[] {
  const next = (one: Pipeline) =>
    schedules
      .filter((schedule) => isFor(schedule.pipeline, one) && schedule.next_at)
      .sort((a, b) => (a.next_at ?? "").localeCompare(b.next_at ?? ""))[0];
  return [
    { key: "name", label: "Pipeline", value: (one) => one.name },
    {
      key: "entry",
      roomy: true,
      label: "Entry",
      wide: true,
      value: (one) => one.entry,
      cell: (one) => <code>{one.entry ?? "unknown"}</code>,
    },
    {
      key: "strip",
      label: "Last runs",
      hint: "the newest on the right; height: how long it took",
      value: (one) => lastRun(one)?.state,
      cell: (one) => <RunStrip runs={runs.filter((run) => run.name === one.name).slice(0, STRIP)} />,
    },
    { key: "runs", roomy: true, label: "Runs", value: (one) => one.runs, right: true },
    {
      key: "state",
      label: "Newest",
      value: (one) => lastRun(one)?.state,
      cell: (one) => (lastRun(one)?.state ? <Word word={lastRun(one)?.state} /> : "–"),
    },
    {
      key: "run",
      roomy: true,
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
    {
      key: "next",
      label: "Next",
      value: (one) => next(one)?.next_at,
      cell: (one) => {
        const schedule = next(one);
        return schedule ? (
          <a href={`/schedules/${schedule.name}`} title={`${schedule.name}: ${timing(schedule)}`}>
            <LocalTime at={schedule.next_at} zone={schedule.timezone} />
          </a>
        ) : (
          "–"
        );
      },
    },
  ];
}

export function Pipelines() {
  const { data, error } = useGet<Page<Pipeline>>("/api/pipelines?limit=1000");
  const runs = useGet<Page<Run>>(query("/api/runs", { kind: "pipeline", limit: LIST_LIMIT })).data?.items ?? [];
  const schedules = useGet<{ items: Schedule[] }>("/api/schedules").data?.items ?? [];
  return (
    <ListPage
      title="Pipelines"
      about="Plain Python functions, step by step; a step whose code, inputs and parameters have not changed is not computed again."
      path="/api/pipelines"
      cli="mainstay runs list --kind pipeline"
      places={PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No pipeline has run yet" command="mainstay run flights.py:flights_late">
          A pipeline is a function made of steps. Its first run makes it known here.
        </Empty>
      }
    >
      <Table
        name=""
        label="pipelines"
        rows={data?.items ?? []}
        columns={columnsOf(runs, schedules)}
        href={(one) => `/pipelines/${one.name}`}
      />
    </ListPage>
  );
}

export function PipelinePage({ name }: { name: string }) {
  const found = useGet<Pipeline>(at("/api/pipelines", name));
  const named = `name = '${name.replaceAll("'", "''")}'`;
  const runs = useGet<Page<Run>>(query("/api/runs", { kind: "pipeline", filter: named, limit: LIST_LIMIT }));
  const schedules = useGet<{ items: Schedule[] }>("/api/schedules").data?.items ?? [];
  const backfills = useGet<Page<BackfillAnswer>>("/api/backfills").data?.items ?? [];
  const pipeline = found.data;
  const mine = runs.data?.items ?? [];
  const due = schedules.filter((schedule) => isFor(schedule.pipeline, pipeline));
  const filled = backfills.filter(({ backfill }) => isFor(backfill.pipeline, pipeline));
  const [newest, before] = mine.filter((run) => run.state !== "running");
  return (
    <ObjectPage
      subject={`pipeline:${name}`}
      kind="Pipeline"
      name={name}
      plainName={name}
      owner={pipeline?.owner}
      state={mine[0]?.state}
      loading={!pipeline}
      error={found.error}
      wide
      acts={
        <>
          {newest && before && (
            <a class="button" href={`/compare?runs=${before.id},${newest.id}`}>
              Why the last two differ
            </a>
          )}
          {pipeline && runs.data && (
            <>
              <Order verb="plan" pipeline={pipeline} params={mine[0]?.params ?? {}} done={() => setParams({ tab: "plan" })} />
              <Order verb="run" pipeline={pipeline} params={mine[0]?.params ?? {}} />
            </>
          )}
        </>
      }
      aside={pipeline?.entry && <code>{pipeline.entry}</code>}
      above={
        <>
          <Jobs subject={`pipeline:${name}`} />
          {mine.length > 1 && <Record runs={mine} />}
        </>
      }
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
                columns={runColumnsOfOne(mine)}
                href={(run) => `/runs/${run.id}`}
              />
            ) : (
              <Empty title="This pipeline has not run yet" command={`mainstay run ${pipeline?.entry ?? name}`} />
            ),
        },
        { id: "plan", label: "Plan", body: () => pipeline && <PlanTab pipeline={pipeline} /> },
        {
          id: "schedules",
          label: "Schedules",
          count: due.length,
          body: () =>
            due.length ? (
              <Table name="s" label="schedules" rows={due} columns={SCHEDULE_COLUMNS} href={(one) => `/schedules/${one.name}`} />
            ) : (
              <Empty
                title="No schedule runs it"
                command={`mainstay schedules add NAME ${pipeline?.entry ?? name} --cron "0 3 * * *" --timezone UTC`}
              >
                A schedule runs a pipeline because it is time; no second process has to be installed.
              </Empty>
            ),
        },
        {
          id: "backfills",
          label: "Backfills",
          count: filled.length,
          body: () =>
            filled.length ? (
              <Table name="b" label="backfills" rows={filled} columns={BACKFILL_COLUMNS} href={backfillHref} />
            ) : (
              <Empty
                title="Nothing was filled in"
                command={`mainstay backfill ${pipeline?.entry ?? name} --from DATE --to DATE --by day --param day`}
              >
                A backfill runs a pipeline once for each day, week or month gone by, and skips what is a hit.
              </Empty>
            ),
        },
      ]}
    />
  );
}

/** How it went lately: the strip, and the same in words. */
function Record({ runs }: { runs: Run[] }) {
  const shown = runs.slice(0, STRIP);
  const ended = shown.filter((run) => run.state !== "running");
  const good = ended.filter((run) => run.state === "succeeded");
  const times = good
    .map((run) => run.seconds)
    .filter((seconds) => typeof seconds === "number")
    .sort((a, b) => a - b);
  return (
    <p class="record">
      <RunStrip runs={shown} />
      <span>
        {good.length} of the last {plural(ended.length, "run")} succeeded
        {times.length > 0 && `, usually in ${duration(times[Math.floor(times.length / 2)])}`}.
      </span>
    </p>
  );
}
