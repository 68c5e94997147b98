// SPDX-License-Identifier: Apache-2.0
// Backfills: a pipeline once for each partition of a stretch of time. And one of them: how far it is, partition by partition.
import { at, query, useGet } from "../api.ts";
import { period, plural, toneOf } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Jobs } from "../parts/jobs.tsx";
import { LIST_LIMIT, ListPage } from "../parts/listpage.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Sign } from "../parts/pill.tsx";
import { BACKFILL_COLUMNS, backfillHref, BackfillProgress, tally } from "../parts/scheduling.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Id, PlainFacts, Subject } from "../parts/words.tsx";
import type { BackfillAnswer, Page, Portion } from "../types.ts";
import { PLACES } from "./pipelines.tsx";

const LOOK_MS = 2000; // how far jobs are is no event

export function Backfills() {
  const { data, error } = useGet<Page<BackfillAnswer>>("/api/backfills");
  return (
    <ListPage
      title="Backfills"
      about="A pipeline once for each day, week or month gone by; partitions of which every step is a hit are skipped."
      path="/api/backfills"
      cli="mainstay backfills list"
      places={PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No backfill yet" command="mainstay backfill FILE.py:FUNCTION --from 2024-01-01 --to 2024-02-01 --by day">
          It runs a pipeline for times gone by, a few at once, and can be called off and carried on.
        </Empty>
      }
    >
      <Table name="" label="backfills" rows={data?.items ?? []} columns={BACKFILL_COLUMNS} href={backfillHref} />
    </ListPage>
  );
}

/** To wait for its turn is no sign of trouble here. */
function PortionState({ state }: { state: string | undefined }) {
  return (
    <span class="state-word">
      <Sign
        tone={state === "waiting" || state === "skipped" ? "plain" : state === "asked" ? "accent" : toneOf(state)}
        label=""
        size={12}
      />
      {state ?? "unknown"}
    </span>
  );
}

const PORTIONS: Column<Portion>[] = [
  { key: "partition", label: "Partition", value: (one) => one.partition },
  { key: "state", label: "State", value: (one) => one.state, cell: (one) => <PortionState state={one.state} /> },
  {
    key: "run",
    label: "Run",
    value: (one) => one.run_id,
    cell: (one) => (one.run_id ? <Subject subject={`run:${one.run_id}`} /> : "–"),
  },
  { key: "sentence", label: "Why", value: (one) => one.sentence, cell: (one) => one.sentence || "–", wide: true },
];

export function BackfillPage({ id }: { id: string }) {
  const path = at("/api/backfills", id);
  const first = useGet<BackfillAnswer>(path);
  const isRunning = first.data?.backfill.state === "running";
  useGet<BackfillAnswer>(path, isRunning ? LOOK_MS : 0);
  const portions = useGet<Page<Portion>>(query(`${path}/partitions`, { limit: LIST_LIMIT }), isRunning ? LOOK_MS : 0);
  const { data, error } = first;
  const backfill = data?.backfill;
  const pipeline = backfill?.pipeline.split(":").at(-1) ?? "";
  const name = backfill ? `${pipeline}, ${period(backfill.since, backfill.until)}` : id;
  return (
    <ObjectPage
      subject={`backfill:${id}`}
      kind="Backfill"
      name={name}
      plainName={name}
      state={backfill?.state}
      owner={backfill?.created_by}
      made={backfill?.created_at}
      loading={!data}
      error={error}
      wide
      aside={
        backfill && (
          <>
            <span>
              runs <Subject subject={`pipeline:${pipeline}`}>{backfill.pipeline}</Subject> by the {backfill.by},{" "}
              {backfill.timezone}
            </span>
            <Id id={id} label="backfill id" />
          </>
        )
      }
      acts={
        isRunning &&
        data && (
          <Act
            label="Call it off"
            title="Call the backfill off"
            path={`${path}/cancel`}
            cli={`mainstay backfills cancel ${id}`}
            reason="optional"
            tone="danger"
            preview={
              <Difference
                lines={[
                  [
                    "partitions that have not ended",
                    plural(tally(data.counts).total - tally(data.counts).ended, "partition"),
                    "not begun, or stopped; what is done stays",
                  ],
                ]}
              />
            }
          />
        )
      }
      above={
        data && (
          <>
            <p class="record">
              <BackfillProgress counts={data.counts} />
              <span class="quiet">
                {Object.entries(data.counts)
                  .map(([state, n]) => `${n} ${state}`)
                  .join(" · ")}
                {backfill && `, at most ${backfill.concurrency} at once`}
              </span>
            </p>
            {isRunning && <Jobs subject={`pipeline:${pipeline}`} by={`backfill:${id}`} />}
          </>
        )
      }
      tabs={[
        {
          id: "partitions",
          label: "Partitions",
          count: portions.data?.items.length,
          body: () =>
            portions.error ? (
              <ErrorNote error={portions.error} />
            ) : portions.data ? (
              <Table name="" label="partitions" rows={portions.data.items} columns={PORTIONS} />
            ) : (
              <Skeleton rows={8} />
            ),
        },
        {
          id: "params",
          label: "Parameters",
          body: () => <PlainFacts facts={backfill?.params} empty="The pipeline's own defaults." />,
        },
      ]}
    />
  );
}
