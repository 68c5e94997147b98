// SPDX-License-Identifier: Apache-2.0
// Every judged window in one table, and what was said of the one that is chosen.
import { count, decimal, kindWords, percent, period, releaseId } from "../format.ts";
import { here, setParams, useParam } from "../router.ts";
import type { WindowAnswer } from "../types.ts";
import { bare, coverage, mainFigure, mainReading, mainValue, usable, value, type Judged, type MainFigure } from "../windows.ts";
import { State } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { NoWindows } from "./windowcharts.tsx";
import { Measure, Subject, Unknown } from "./words.tsx";

function decisionCell(window: WindowAnswer) {
  const decision = window.decision;
  if (!decision) return <span class="quiet">–</span>;
  const word = decision.outcome ? kindWords(decision.outcome) : "asked";
  return decision.id ? (
    <a href={`/decisions/${decision.id}`} title={decision.sentence}>
      {word}
    </a>
  ) : (
    <span title={decision.sentence}>{word}</span>
  );
}

const WINDOW_COLUMNS: Column<WindowAnswer>[] = [
  { key: "window", label: "Window", value: (w) => w.since, cell: (w) => period(w.since, w.until) },
  { key: "state", label: "State", value: (w) => w.state, cell: (w) => <State state={w.state} small /> },
  {
    key: "release",
    label: "Release",
    value: (w) => releaseId(w.release, w.deployment),
    cell: (w) => (w.release != null ? <Subject subject={`release:${releaseId(w.release, w.deployment)}`} /> : <Unknown />),
  },
  { key: "n", roomy: true, label: "Rows", value: (w) => w.n, cell: (w) => count(w.n), right: true },
  {
    key: "coverage",
    roomy: true,
    label: "Labelled",
    value: (w) => coverage(w),
    cell: (w) => percent(coverage(w)),
    right: true,
    hint: "Share of the predictions whose label has arrived",
  },
  {
    key: "auc",
    label: "AUC [95 %]",
    value: mainValue,
    cell: (w) => <Measure of={bare(mainReading(w), w.performance?.reason)} />,
    right: true,
  },
  {
    key: "estimate",
    label: "Estimate",
    value: (w) => value(w.estimate),
    cell: (w) => <Measure of={bare(w.estimate)} />,
    right: true,
    hidden: true,
    hint: "AUC estimated before labels",
  },
  {
    key: "brier",
    roomy: true,
    label: "Brier",
    value: (w) => value(w.performance?.brier),
    cell: (w) => <Measure of={value(w.performance?.brier)} />,
    right: true,
  },
  {
    key: "base",
    label: "Base rate",
    value: (w) => value(w.performance?.base_rate),
    cell: (w) => percent(value(w.performance?.base_rate), 1),
    right: true,
    hidden: true,
  },
  {
    key: "drift",
    label: "Drift",
    value: (w) => w.drift?.state,
    cell: (w) => <State state={w.drift?.state} small title={driftTitle(w)} />,
  },
  {
    key: "p95",
    label: "p95 ms",
    value: (w) => w.latency?.p95,
    cell: (w) => decimal(w.latency?.p95, 1),
    right: true,
    hidden: true,
  },
  {
    key: "errors",
    label: "Errors",
    value: (w) => w.errors?.rate,
    cell: (w) => percent(w.errors?.rate, 2),
    right: true,
    hidden: true,
  },
  { key: "decision", label: "Decision", value: (w) => w.decision?.outcome, cell: decisionCell },
];

function driftTitle(window: WindowAnswer): string {
  const moved =
    window.drift?.columns
      ?.filter((column) => column.state === "alert" || column.state === "watch")
      .map((column) => column.name) ?? [];
  return moved.length ? `Moved: ${moved.join(", ")}` : "No column moved";
}

export function WindowTable({ windows }: { windows: WindowAnswer[] }) {
  const [chosen] = useParam("window");
  if (!windows.length) return <NoWindows />;
  const judged = [...usable(windows)].reverse();
  const open = judged.find((window) => String(window.id) === chosen);
  const columns = columnsFor(mainFigure(windows));
  return (
    <div class="stack">
      {open && <WindowPanel window={open} />}
      <Table
        name="w"
        label="windows"
        rows={judged}
        columns={columns}
        href={(window) => `${here().path}?tab=windows&window=${window.id}`}
      />
    </div>
  );
}

const LABELS: Record<MainFigure, string> = {
  auc: "AUC [95 %]",
  accuracy: "Accuracy [95 %]",
  mae: "Mean abs. error [95 %]",
};

const OF_PROBABILITIES = new Set(["brier", "base", "estimate"]);

function columnsFor(main: MainFigure): Column<WindowAnswer>[] {
  if (main === "auc") return WINDOW_COLUMNS;
  return WINDOW_COLUMNS.filter((column) => !OF_PROBABILITIES.has(column.key)).map((column) =>
    column.key === "auc" ? { ...column, key: main, label: LABELS[main] } : column,
  );
}

/** What was said of one window, and its slices. */
function WindowPanel({ window }: { window: Judged }) {
  const slices = window.slices ?? [];
  return (
    <section class="panel" aria-label={period(window.since, window.until)}>
      <header class="panel-head">
        <h2 class="minor">{period(window.since, window.until)}</h2>
        <State state={window.state} />
        <button type="button" class="button button-small push" onClick={() => setParams({ window: "" })}>
          Close
        </button>
      </header>
      {!window.verdicts?.length && (
        <p class="quiet">{window.performance?.reason ?? "No verdict is on record for this window."}</p>
      )}
      <ul class="verdicts">
        {window.verdicts?.map((verdict) => (
          <li key={verdict.key}>
            <State state={verdict.state} small />
            <div>
              <b>{verdict.title ?? verdict.key}</b>
              <p class="quiet">{verdict.sentence}</p>
            </div>
          </li>
        ))}
      </ul>
      {slices.length > 0 && (
        <details class="slices">
          <summary>Slices ({slices.length})</summary>
          <div class="table-frame">
            <table aria-label="Slices">
              <thead>
                <tr>
                  <th scope="col">Slice</th>
                  <th scope="col" class="right">
                    Rows
                  </th>
                  <th scope="col" class="right">
                    AUC [95 %]
                  </th>
                </tr>
              </thead>
              <tbody>
                {slices.map((slice) => (
                  <tr key={`${slice.column}${slice.value}`}>
                    <td>
                      <code>{slice.column}</code> {String(slice.value)}
                    </td>
                    <td class="right">{count(slice.n)}</td>
                    <td class="right">
                      {slice.auc ? <Measure of={bare(slice.auc)} /> : <span class="quiet">too few rows</span>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </section>
  );
}
