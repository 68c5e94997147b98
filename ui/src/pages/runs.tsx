// SPDX-License-Identifier: Apache-2.0
// All runs: which question is asked stands in the address, the server answers it, the table shows what is in view.
import { useRef } from "preact/hooks";
import { query, useGet } from "../api.ts";
import { useLongList, type LongList } from "../longlist.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { ServerFilter } from "../parts/serverfilter.tsx";
import { RunTable } from "../parts/runtable.tsx";
import { SavedViews } from "../parts/savedviews.tsx";
import { setParams, useParam } from "../router.ts";
import { asked } from "../runquery.ts";
import type { Experiment, Page, Run } from "../types.ts";

const KINDS: [string, string][] = [
  ["", "Runs"],
  ["pipeline", "Pipelines"],
  ["step", "Steps"],
  ["all", "All"],
];

const EXAMPLES: [string, string][] = [
  ["metrics.auc > 0.7 and params.depth = 6", "a metric's latest value; all parts must hold"],
  ["metrics.loss <= 0.2", "any of = != > >= < <="],
  ["tags.team = 'growth'", "texts stand in quotes"],
  ["metrics.`val loss` < 1", "keys with odd characters stand in backticks"],
  ["state = 'failed'", "also name, kind and actor"],
];

export const TRACKING: [string, string][] = [
  ["/runs", "Runs"],
  ["/experiments", "Experiments"],
  ["/traces", "Traces"],
];

export function Runs() {
  const [kind, setKind] = useParam("kind");
  const [experiment] = useParam("experiment");
  const [filter, setFilter] = useParam("filter");
  const [sort] = useParam("sort");
  const path = query("/api/runs", asked({ kind, experiment, filter, sort }));
  const list = useKept(useLongList<Run>(path));
  const experiments = useGet<Page<Experiment>>("/api/experiments?limit=1000").data?.items ?? [];
  const isNarrowed = Boolean(filter || experiment || kind);
  const unread = list.error?.kind === "invalid" || list.error?.kind === "not_found" ? list.error : undefined;
  return (
    <ListPage
      title="Runs"
      about="Each recorded execution: what went in, what came out, and with which code."
      path={path}
      cli={filter ? `mainstay runs list --filter "${filter.replaceAll('"', '\\"')}"` : "mainstay runs list"}
      places={TRACKING}
      error={unread ? undefined : list.error}
      loading={false}
      empty={!list.isLoading && !list.rows.length && !isNarrowed && !list.error}
      nothing={
        <Empty title="No run yet" command="mainstay run flights.py:flights_late">
          A run is one recorded execution: parameters, metrics, artifacts, code, environment and data. In a script,{" "}
          <code>with ms.run("tuning"): ms.log_metric("auc", 0.71)</code> records one; an MLflow client that points here does too.
        </Empty>
      }
    >
      <ServerFilter label="Filter runs" examples={EXAMPLES} value={filter} set={setFilter} error={unread} />
      <RunTable
        list={list}
        nothing={list.error ? null : <NoMatch filter={filter} />}
        tools={
          <>
            <div class="segments" role="group" aria-label="Kind of run">
              {KINDS.map(([id, label]) => (
                <button key={label} type="button" aria-pressed={kind === id} onClick={() => setKind(id)}>
                  {label}
                </button>
              ))}
            </div>
            <label class="field field-inline">
              <span class="unseen">Experiment</span>
              <select value={experiment} onChange={(event) => setParams({ experiment: event.currentTarget.value })}>
                <option value="">all experiments</option>
                {experiments.map((one) => (
                  <option key={one.id} value={one.name}>
                    {one.name}
                  </option>
                ))}
              </select>
            </label>
            <SavedViews page="runs" />
          </>
        }
      />
    </ListPage>
  );
}

function NoMatch({ filter }: { filter: string }) {
  return (
    <Empty title="No run matches">
      {filter ? (
        <>
          None satisfies <code>{filter}</code>. A run without the metric, parameter or tag does not match.
        </>
      ) : (
        "There is none of this kind."
      )}{" "}
      <button type="button" class="button button-small" onClick={() => setParams({ filter: "", experiment: "", kind: "" })}>
        Show all runs
      </button>
    </Empty>
  );
}

/** While a question has no answer yet, or the filter cannot be read, the rows of the question before stay. */
function useKept(list: LongList<Run>): LongList<Run> {
  const before = useRef<Run[]>([]);
  if (!list.isLoading && !list.error) before.current = list.rows;
  const isKept = (list.isLoading || list.error) && before.current.length > 0;
  return isKept ? { ...list, rows: before.current, isLoading: false, isWhole: true } : list;
}
