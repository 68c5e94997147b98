// SPDX-License-Identifier: Apache-2.0
// What monitoring has judged, drawn: quality with its interval and the estimate, drift as a table of months and columns that
// opens into distributions, traffic with latency and errors. Used by the pages of a deployment and of a monitor.
//
// Everything lies on event time (the time the predictions are about). A release line stands where the windows' release changes.
import { at, useGet } from "../api.ts";
import { count, decimal, isNumber, kindWords, moment, percent, period, shortPeriod, toneOf } from "../format.ts";
import { useParam, setParams } from "../router.ts";
import type { Alert, ColumnAnswer, DriftColumn, Maybe, Measured, Monitor, WindowAnswer } from "../types.ts";
import { Chart, type ChartProps, type Mark } from "./chart.tsx";
import { Distribution } from "./distribution.tsx";
import { Empty, ErrorNote, Skeleton } from "./notice.tsx";
import { Sign, State } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { Measure, measuredText, Subject, Unknown } from "./words.tsx";

type Reading = Maybe<Measured | number>;

function value(of: Reading): number | null {
  const found = typeof of === "number" ? of : (of?.value ?? of?.auc);
  return isNumber(found) ? found : null;
}

function bound(of: Reading, side: "lo" | "hi"): number | null {
  const found = typeof of === "object" ? of?.[side] : null;
  return isNumber(found) ? found : null;
}

function middle(window: WindowAnswer): number {
  const since = moment(window.since);
  const until = moment(window.until);
  return (Number.isNaN(until) ? since : (since + until) / 2) / 1000;
}

function usable(windows: WindowAnswer[]): WindowAnswer[] {
  return windows.filter((window) => !Number.isNaN(middle(window))).sort((a, b) => middle(a) - middle(b));
}

/** Lines where the release changes between neighbouring windows, and where alerts were raised. */
export function marksOf(windows: WindowAnswer[], alerts: Alert[] = []): Mark[] {
  const releases = windows.flatMap((window, index): Mark[] => {
    const before = windows[index - 1]?.release;
    if (!window.release || window.release === before) return [];
    return [{ at: moment(window.since) / 1000, label: window.release.replace(/^.*#/, "#"), kind: "release" }];
  });
  const raised = alerts.flatMap((alert): Mark[] => {
    const when = moment(alert.as_of ?? alert.opened_at) / 1000;
    return alert.severity === "warning" || Number.isNaN(when) ? [] : [{ at: when, label: "alert", kind: "alert" }];
  });
  return [...releases, ...raised];
}

function hatchedOf(windows: WindowAnswer[]): { from: number; to: number; why: string }[] {
  return windows
    .filter((window) => value(window.performance?.auc) === null && value(window.performance?.brier) === null)
    .map((window) => ({
      from: moment(window.since) / 1000,
      to: moment(window.until) / 1000,
      why: window.performance?.reason ?? "not enough labels to judge",
    }));
}

function shared(windows: WindowAnswer[], alerts: Alert[], sync: string): Pick<ChartProps, "times" | "names" | "marks" | "sync"> {
  return { times: windows.map(middle), names: windows.map((window) => period(window.since, window.until)), marks: marksOf(windows, alerts), sync };
}

export function AucChart({ windows: all, alerts = [], sync, height }: { windows: WindowAnswer[]; alerts?: Alert[] | undefined; sync: string; height?: number }) {
  const windows = usable(all);
  const reference = windows.map((window) => window.performance?.reference?.auc).filter(isNumber).at(-1);
  const estimates = windows.map((window) => value(window.estimate));
  return (
    <Chart
      {...shared(windows, alerts, sync)}
      title="AUC" unit="area under the ROC curve, 0.5 is chance" write={(number) => number.toFixed(3)} height={height ?? 240}
      series={[
        { label: "measured on labels", values: windows.map((w) => value(w.performance?.auc)), lo: windows.map((w) => bound(w.performance?.auc, "lo")), hi: windows.map((w) => bound(w.performance?.auc, "hi")) },
        ...(estimates.some(isNumber)
          ? [{ label: "estimated before labels", values: estimates, lo: windows.map((w) => bound(w.estimate, "lo")), hi: windows.map((w) => bound(w.estimate, "hi")), tone: "second" as const, look: "dashed" as const }]
          : []),
      ]}
      {...(isNumber(reference) ? { reference: [{ value: reference, label: "reference (holdout)" }] } : {})}
      hatched={hatchedOf(windows)}
      notes={windows.map(labelNote)}
    />
  );
}

function labelNote(window: WindowAnswer): string {
  const labels = isNumber(window.labelled) ? `${count(window.labelled)} of ${count(window.n)} labelled` : `n ${count(window.n)}`;
  return window.release ? `${labels} · ${window.release}` : labels;
}

export function QualityCharts({ windows: all, alerts }: { windows: WindowAnswer[]; alerts?: Alert[] }) {
  const windows = usable(all);
  if (!windows.length) return <NoWindows />;
  const sync = "quality";
  const last = windows.at(-1)?.performance?.reference;
  const common = shared(windows, [], sync);
  return (
    <div class="stack">
      <AucChart windows={windows} alerts={alerts} sync={sync} />
      <div class="pair">
        <Chart
          {...common} title="Brier score" unit="mean squared error of the probability, lower is better" write={(number) => number.toFixed(3)} height={190}
          series={[{ label: "measured", values: windows.map((w) => value(w.performance?.brier)), lo: windows.map((w) => bound(w.performance?.brier, "lo")), hi: windows.map((w) => bound(w.performance?.brier, "hi")) }]}
          {...(isNumber(last?.brier) ? { reference: [{ value: last.brier, label: "reference" }] } : {})}
          hatched={hatchedOf(windows)}
        />
        <Chart
          {...common} title="Base rate" unit="share of rows whose label is 1" write={(number) => percent(number)} height={190}
          series={[{ label: "observed", values: windows.map((w) => value(w.performance?.base_rate)), lo: windows.map((w) => bound(w.performance?.base_rate, "lo")), hi: windows.map((w) => bound(w.performance?.base_rate, "hi")) }]}
          {...(isNumber(last?.base_rate) ? { reference: [{ value: last.base_rate, label: "reference" }] } : {})}
          hatched={hatchedOf(windows)}
        />
      </div>
    </div>
  );
}

export function TrafficCharts({ windows: all }: { windows: WindowAnswer[] }) {
  const windows = usable(all);
  if (!windows.length) return <NoWindows />;
  const common = shared(windows, [], "traffic");
  const http = windows.map((w) => w.n_http ?? null);
  return (
    <div class="stack">
      <Chart
        {...common} title="Predictions" unit="per window" zero write={(number) => count(number)} height={190}
        series={[
          { label: "all", values: windows.map((w) => w.n ?? null), look: "bars" },
          ...(http.some(isNumber) ? [{ label: "of these over HTTP", values: http, tone: "second" as const }] : []),
        ]}
        notes={windows.map((w) => w.release ?? null)}
      />
      <div class="pair">
        <Chart
          {...common} title="Latency" unit="ms at the gateway" zero write={(number) => `${decimal(number, number < 10 ? 1 : 0)}`} height={190}
          series={[
            { label: "p50", values: windows.map((w) => w.latency?.p50 ?? null) },
            { label: "p95", values: windows.map((w) => w.latency?.p95 ?? null), tone: "second" },
            { label: "p99", values: windows.map((w) => w.latency?.p99 ?? null), tone: "third" },
          ]}
        />
        <Chart
          {...common} title="Errors" unit="share of requests" zero write={(number) => percent(number, 2)} height={190}
          series={[{ label: "rate", values: windows.map((w) => w.errors?.rate ?? null), lo: windows.map((w) => w.errors?.lo ?? null), hi: windows.map((w) => w.errors?.hi ?? null) }]}
        />
      </div>
    </div>
  );
}

export function NoWindows() {
  return (
    <Empty title="No window has been judged yet" command="mainstay monitors judge">
      A window is a stretch of traffic compared with what the model learned from. Windows are judged once they have ended; this asks at once.
    </Empty>
  );
}

const DRIFT_WORDS: Record<string, string> = { ok: "within what is usual", watch: "moved, not yet for long", alert: "moved, and stays so", unknown: "not enough data" };

/** Columns down, windows across. A cell carries colour, sign and number; it opens the two distributions behind it. */
export function DriftHeat({ monitor, windows: all, importance }: { monitor: string; windows: WindowAnswer[]; importance?: Monitor["importance"] }) {
  const windows = usable(all).filter((window) => window.drift);
  const [openWindow] = useParam("window");
  const [openColumn] = useParam("column");
  const names = columnNames(windows, importance);
  if (!windows.length || !names.length) return <NoWindows />;
  const chosen = windows.find((window) => String(window.id) === openWindow);
  return (
    <div class="stack">
      <p class="legend-line">
        {(["ok", "watch", "alert", "unknown"] as const).map((state) => <span key={state}><i class={`swatch heat-${state}`} /><Sign tone={state} label={state} size={12} /> {state}: {DRIFT_WORDS[state]}</span>)}
        <span class="quiet">The number is the effect: how far the column moved, 0 is not at all.</span>
      </p>
      <div class="table-frame">
        <table class="heat" aria-label="Drift by column and window">
          <thead>
            <tr>
              <th scope="col">Column</th>
              {importance && <th scope="col" class="right" title="How much the model leans on it: AUC lost when it is shuffled">Weight</th>}
              {windows.map((window) => <th key={window.id} scope="col" class="middle" title={period(window.since, window.until)}>{shortPeriod(window.since, window.until)}</th>)}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {importance && <td class="right quiet">{isNumber(importance[name]) ? importance[name].toFixed(3) : "–"}</td>}
                {windows.map((window) => {
                  const cell = window.drift?.columns?.find((column) => column.name === name);
                  const open = String(window.id) === openWindow && name === openColumn;
                  return <HeatCell key={window.id} cell={cell} name={name} window={window} open={open} />;
                })}
              </tr>
            ))}
            <tr class="heat-foot">
              <th scope="row">window</th>
              {importance && <td />}
              {windows.map((window) => <td key={window.id} class="middle"><Sign tone={toneOf(window.drift?.state)} label={`${period(window.since, window.until)}: ${window.drift?.state ?? "unknown"}`} /></td>)}
            </tr>
          </tbody>
        </table>
      </div>
      {chosen && openColumn
        ? <ColumnPanel monitor={monitor} window={chosen} column={openColumn} />
        : <p class="quiet">Choose a cell to lay that window's values over what the model learned from.</p>}
    </div>
  );
}

function columnNames(windows: WindowAnswer[], importance: Monitor["importance"]): string[] {
  const names = [...new Set(windows.flatMap((window) => window.drift?.columns?.map((column) => column.name) ?? []))];
  const weight = (name: string) => (name.startsWith("_") ? Infinity : (importance?.[name] ?? 0));
  return importance ? names.sort((a, b) => weight(b) - weight(a)) : names;
}

function HeatCell({ cell, name, window, open }: { cell: DriftColumn | undefined; name: string; window: WindowAnswer; open: boolean }) {
  const state = cell?.state ?? "unknown";
  const label = `${name}, ${period(window.since, window.until)}: ${state}, effect ${decimal(cell?.effect)}${cell?.reason ? `. ${cell.reason}` : ""}`;
  return (
    <td class="heat-slot">
      <button
        type="button" class={`heat-cell heat-${state}${open ? " heat-open" : ""}`} title={label} aria-label={label} aria-pressed={open}
        onClick={() => setParams(open ? { window: "", column: "" } : { window: String(window.id), column: name })}
      >
        {state !== "ok" && <Sign tone={toneOf(state)} label="" size={12} />}
        {isNumber(cell?.effect) ? cell.effect.toFixed(2) : "–"}
      </button>
    </td>
  );
}

function ColumnPanel({ monitor, window, column }: { monitor: string; window: WindowAnswer; column: string }) {
  const { data, error } = useGet<ColumnAnswer>(at("/api/monitors", monitor, "windows", window.id, "columns", column));
  const cell = window.drift?.columns?.find((one) => one.name === column);
  const numbers: [string, Maybe<number>][] = [["KS", cell?.ks], ["JS distance", cell?.js], ["W1 / scale", cell?.w1], ["PSI", cell?.psi], ["p", cell?.p]];
  return (
    <section class="panel" aria-label={`${column} in ${period(window.since, window.until)}`}>
      <header class="panel-head">
        <h3>{column}, {period(window.since, window.until)}</h3>
        <State state={cell?.state} />
        <span class="quiet">
          {numbers.filter(([, number]) => isNumber(number)).map(([name, number]) => `${name} ${(number ?? 0) < 0.001 ? "< 0.001" : decimal(number)}`).join(" · ")}
          {isNumber(cell?.n) && ` · n ${count(cell.n)}`}
        </span>
        <button type="button" class="button button-small push" onClick={() => setParams({ window: "", column: "" })}>Close</button>
      </header>
      {cell?.reason && <p>{cell.reason}</p>}
      {error ? <ErrorNote error={error} /> : data ? <Distribution answer={data} windowName={period(window.since, window.until)} baselineName="what the model learned from" /> : <Skeleton rows={4} />}
    </section>
  );
}

export function decisionCell(window: WindowAnswer) {
  const decision = window.decision;
  if (!decision) return <span class="quiet">–</span>;
  const word = decision.outcome ? kindWords(decision.outcome) : "asked";
  return decision.id ? <a href={`/decisions/${decision.id}`} title={decision.sentence}>{word}</a> : <span title={decision.sentence}>{word}</span>;
}

const WINDOW_COLUMNS: Column<WindowAnswer>[] = [
  { key: "window", label: "Window", value: (w) => w.since, cell: (w) => period(w.since, w.until) },
  { key: "state", label: "State", value: (w) => w.state, cell: (w) => <State state={w.state} small /> },
  { key: "release", label: "Release", value: (w) => w.release, cell: (w) => (w.release ? <Subject subject={`release:${w.release}`} /> : <Unknown />) },
  { key: "n", label: "Rows", value: (w) => w.n, cell: (w) => count(w.n), right: true },
  { key: "coverage", label: "Labelled", value: (w) => coverage(w), cell: (w) => percent(coverage(w)), right: true, hint: "Share of the predictions whose label has arrived" },
  { key: "auc", label: "AUC [95 %]", value: (w) => value(w.performance?.auc), cell: (w) => <Measure of={bare(w.performance?.auc, w.performance?.reason)} />, right: true },
  { key: "estimate", label: "Estimate", value: (w) => value(w.estimate), cell: (w) => <Measure of={bare(w.estimate)} />, right: true, hidden: true, hint: "AUC estimated before labels" },
  { key: "brier", label: "Brier", value: (w) => value(w.performance?.brier), cell: (w) => <Measure of={value(w.performance?.brier)} />, right: true },
  { key: "base", label: "Base rate", value: (w) => value(w.performance?.base_rate), cell: (w) => percent(value(w.performance?.base_rate), 1), right: true },
  { key: "drift", label: "Drift", value: (w) => w.drift?.state, cell: (w) => <State state={w.drift?.state} small title={driftTitle(w)} /> },
  { key: "p95", label: "p95 ms", value: (w) => w.latency?.p95, cell: (w) => decimal(w.latency?.p95, 1), right: true, hidden: true },
  { key: "errors", label: "Errors", value: (w) => w.errors?.rate, cell: (w) => percent(w.errors?.rate, 2), right: true, hidden: true },
  { key: "decision", label: "Decision", value: (w) => w.decision?.outcome, cell: decisionCell },
];

function coverage(window: WindowAnswer): number | null {
  if (isNumber(window.coverage)) return window.coverage;
  return isNumber(window.labelled) && isNumber(window.n) && window.n > 0 ? window.labelled / window.n : null;
}

/** Value and interval without n, for narrow columns that have their own column of n. */
function bare(of: Reading, reason?: Maybe<string>): Measured | null {
  const found = value(of);
  return found === null ? { value: null, reason: reason ?? null } : { value: found, lo: bound(of, "lo"), hi: bound(of, "hi") };
}

function driftTitle(window: WindowAnswer): string {
  const moved = window.drift?.columns?.filter((column) => column.state === "alert" || column.state === "watch").map((column) => column.name) ?? [];
  return moved.length ? `Moved: ${moved.join(", ")}` : "No column moved";
}

export function WindowTable({ windows }: { windows: WindowAnswer[] }) {
  if (!windows.length) return <NoWindows />;
  return <Table name="w" label="windows" rows={[...usable(windows)].reverse()} columns={WINDOW_COLUMNS} />;
}

export function latestText(windows: WindowAnswer[]): string {
  const last = usable(windows).filter((window) => value(window.performance?.auc) !== null).at(-1);
  return last ? `AUC ${measuredText(last.performance?.auc)} in ${period(last.since, last.until)}` : "no labelled window yet";
}

