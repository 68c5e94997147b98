// SPDX-License-Identifier: Apache-2.0
import { query, useGet } from "../api.ts";
import { alike, duration, isImportance, shortId } from "../format.ts";
import { LIST_LIMIT, ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Page, Run } from "../types.ts";

const FIXED: Column<Run>[] = [
  { key: "name", label: "Run", value: (run) => run.name ?? run.id },
  { key: "id", roomy: true, label: "Id", value: (run) => run.id, cell: (run) => <code title={run.id}>{shortId(run.id)}</code> },
  { key: "kind", roomy: true, label: "Kind", value: (run) => run.kind },
  { key: "state", label: "State", value: (run) => run.state, cell: (run) => <Word word={run.state} /> },
  { key: "experiment", label: "Experiment", value: (run) => run.experiment, hidden: true },
  { key: "actor", roomy: true, label: "By", value: (run) => run.actor, cell: (run) => <Person name={run.actor} /> },
  { key: "seconds", label: "Took", value: (run) => run.seconds, cell: (run) => duration(run.seconds), right: true },
  { key: "started", label: "Started", value: (run) => run.started_at, cell: (run) => <When at={run.started_at} /> },
  { key: "reason", roomy: true, label: "Reason", value: (run) => run.reason, wide: true },
];

/** Every metric and parameter that occurs becomes a column; the first three metrics are shown, the rest can be chosen. */
export function runColumns(runs: Run[]): Column<Run>[] {
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics ?? {})))].filter((name) => !isImportance(name));
  const params = [...new Set(runs.flatMap((run) => Object.keys(run.params ?? {})))];
  return [
    ...FIXED.slice(0, 4),
    ...metrics.map((key, index): Column<Run> => {
      const write = alike(runs.map((run) => run.metrics?.[key]));
      return {
        key,
        label: key,
        value: (run) => run.metrics?.[key],
        cell: (run) => write(run.metrics?.[key]),
        right: true,
        hidden: index > 2,
      };
    }),
    ...params
      .filter((key) => !metrics.includes(key))
      .map((key): Column<Run> => ({ key, label: key, value: (run) => run.params?.[key], hidden: true })),
    ...FIXED.slice(4),
  ];
}

export function Runs() {
  const [kind, setKind] = useParam("kind", "pipeline");
  const path = query("/api/runs", { kind: kind === "all" ? "" : kind, limit: LIST_LIMIT });
  const { data, error } = useGet<Page<Run>>(path);
  const kinds: [string, string][] = [
    ["pipeline", "Pipelines"],
    ["run", "Single runs"],
    ["step", "Steps"],
    ["all", "All"],
  ];
  return (
    <ListPage
      title="Runs"
      about="Each recorded execution: what went in, what came out, and with which code."
      path={path}
      cli="mainstay runs list"
      error={error}
      loading={!data}
      empty={!data?.items.length && kind === "all"}
      nothing={
        <Empty title="No run yet" command="mainstay run flights.py:flights_late">
          A run is one recorded execution: parameters, metrics, artifacts, code, environment and data.
        </Empty>
      }
    >
      <Table
        name=""
        label="runs"
        rows={data?.items ?? []}
        columns={runColumns(data?.items ?? [])}
        href={(run) => `/runs/${run.id}`}
        tools={
          <div class="segments" role="group" aria-label="Kind of run">
            {kinds.map(([id, label]) => (
              <button key={id} type="button" aria-pressed={kind === id} onClick={() => setKind(id)}>
                {label}
              </button>
            ))}
          </div>
        }
        more={
          data?.next && <p class="quiet">The newest {LIST_LIMIT} are listed; older ones are found by search and by address.</p>
        }
      />
    </ListPage>
  );
}
