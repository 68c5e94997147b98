// SPDX-License-Identifier: Apache-2.0
// What monitoring has judged, drawn: quality with its interval and the estimate, drift as a table of months and columns that
// opens into distributions, traffic with latency and errors. Used by the pages of a deployment and of a monitor.
//
// Everything lies on event time (the time the predictions are about). A release line stands where the windows' release changes.
import { useEffect, useRef } from "preact/hooks";
import { at, useGet } from "../api.ts";
import { count, day, decimal, figure, isNumber, kindWords, moment, percent, period, releaseId, shortPeriod, toneOf, versionId } from "../format.ts";
import { here, setParams, useParam } from "../router.ts";
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

type Judged = WindowAnswer & { release: string | null; version: string | null };

/** Windows with a place in time, oldest first, their release and version by full id. */
function usable(windows: WindowAnswer[]): Judged[] {
  return windows
    .filter((window) => !Number.isNaN(middle(window)))
    .map((window) => ({ ...window, release: releaseId(window.release, window.deployment), version: versionId(window.version, null) }))
    .sort((a, b) => middle(a) - middle(b));
}

type Figure = "auc" | "brier" | "base_rate" | "mae" | "rmse";

function figureOf(window: WindowAnswer, name: Figure): Reading {
  return window.performance?.[name];
}

function referenceOf(windows: WindowAnswer[], name: Figure): number | null {
  for (const window of [...windows].reverse()) {
    const found = window.performance?.reference?.[name];
    const number = typeof found === "string" ? null : value(found);
    if (number !== null) return number;
  }
  return null;
}

/** Models that answer a probability are read by AUC, those that answer a number by their mean absolute error. */
function mainFigure(windows: WindowAnswer[]): Figure {
  const isNumberModel = windows.some((window) => window.performance?.kind === "number" || value(window.performance?.mae) !== null);
  return isNumberModel && !windows.some((window) => value(window.performance?.auc) !== null) ? "mae" : "auc";
}

const TITLES: Record<Figure, [string, string]> = {
  auc: ["AUC", "area under the ROC curve, 0.5 is chance"],
  brier: ["Brier score", "mean squared error of the probability, lower is better"],
  base_rate: ["Base rate", "share of rows whose label is 1"],
  mae: ["Mean absolute error", "in the label's unit, lower is better"],
  rmse: ["Root mean squared error", "in the label's unit, lower is better"],
};

function measuredSeries(windows: WindowAnswer[], name: Figure, label: string) {
  return {
    label,
    values: windows.map((window) => value(figureOf(window, name))),
    lo: windows.map((window) => bound(figureOf(window, name), "lo")),
    hi: windows.map((window) => bound(figureOf(window, name), "hi")),
  };
}

/** Lines where the release changes between neighbouring windows, and where alerts were raised. */
function marksOf(windows: Judged[], alerts: Alert[] = []): Mark[] {
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
    .filter((window) => value(window.performance?.auc) === null && value(window.performance?.mae) === null)
    .map((window) => ({
      from: moment(window.since) / 1000,
      to: moment(window.until) / 1000,
      why: window.performance?.reason ?? "not enough labels to judge",
    }));
}

function shared(windows: Judged[], alerts: Alert[], sync: string): Pick<ChartProps, "times" | "names" | "marks" | "sync"> {
  return { times: windows.map(middle), names: windows.map((window) => period(window.since, window.until)), marks: marksOf(windows, alerts), sync };
}

/** The figure that says how good the answers are, as measured on labels, and as estimated before they came. */
export function MainChart({ windows: all, alerts = [], sync, height }: { windows: WindowAnswer[]; alerts?: Alert[] | undefined; sync: string; height?: number }) {
  const windows = usable(all);
  if (!windows.length) return <NoWindows />;
  const name = mainFigure(windows);
  const reference = referenceOf(windows, name);
  const estimates = windows.map((window) => (name === "auc" ? value(window.estimate) : null));
  return (
    <Chart
      {...shared(windows, alerts, sync)}
      title={TITLES[name][0]} unit={TITLES[name][1]} write={name === "auc" ? three : figure} height={height ?? 240}
      series={[
        measuredSeries(windows, name, "measured on labels"),
        ...(estimates.some(isNumber)
          ? [{ label: "estimated before labels", values: estimates, lo: windows.map((w) => bound(w.estimate, "lo")), hi: windows.map((w) => bound(w.estimate, "hi")), tone: "second" as const, look: "dashed" as const }]
          : []),
      ]}
      {...(reference !== null ? { reference: [{ value: reference, label: "promised by its evaluation" }] } : {})}
      hatched={hatchedOf(windows)}
      notes={windows.map(labelNote)}
    />
  );
}

function three(value_: number): string {
  return value_.toFixed(3);
}

function SmallChart({ windows, name, write, label }: { windows: Judged[]; name: Figure; write: (value: number) => string; label: string }) {
  const reference = referenceOf(windows, name);
  return (
    <Chart
      {...shared(windows, [], "quality")} title={TITLES[name][0]} unit={TITLES[name][1]} write={write} height={190}
      series={[measuredSeries(windows, name, label)]} hatched={hatchedOf(windows)}
      {...(reference !== null ? { reference: [{ value: reference, label: "its evaluation" }] } : {})}
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
  return (
    <div class="stack">
      <MainChart windows={all} alerts={alerts} sync="quality" />
      <div class="pair">
        {mainFigure(windows) === "auc"
          ? <><SmallChart windows={windows} name="brier" write={three} label="measured" /><SmallChart windows={windows} name="base_rate" write={(number) => percent(number)} label="observed" /></>
          : <SmallChart windows={windows} name="rmse" write={figure} label="measured" />}
      </div>
    </div>
  );
}

interface Day {
  at: number;
  n: number;
}

function daysOf(windows: WindowAnswer[]): Day[] {
  return windows
    .flatMap((window) => (Array.isArray(window.predictions_per_day) ? window.predictions_per_day : []))
    .map((one) => ({ at: moment(one.at) / 1000 + 43_200, n: one.n ?? 0 })) // drawn at noon of its day
    .filter((one) => !Number.isNaN(one.at))
    .sort((a, b) => a.at - b.at);
}

export function TrafficCharts({ windows: all }: { windows: WindowAnswer[] }) {
  const windows = usable(all);
  if (!windows.length) return <NoWindows />;
  const common = shared(windows, [], "traffic");
  const days = daysOf(windows);
  const whole = (number: number) => count(number);
  const worstRate = Math.max(0, ...windows.map((w) => w.errors?.hi ?? w.errors?.rate ?? 0));
  const finest = worstRate < 0.001 ? 3 : worstRate < 0.02 ? 2 : 1;
  return (
    <div class="stack">
      {days.length > windows.length
        ? (
          <Chart
            title="Predictions" unit="per day" zero write={whole} height={190} sync="traffic" marks={common.marks ?? []}
            times={days.map((one) => one.at)} names={days.map((one) => day(new Date(one.at * 1000).toISOString()))} series={[{ label: "answered", values: days.map((one) => one.n), look: "bars" }]}
          />
        )
        : (
          <Chart
            {...common} title="Predictions" unit="per window" zero write={whole} height={190}
            series={[{ label: "all", values: windows.map((w) => w.n ?? null), look: "bars" }, { label: "of these over HTTP", values: windows.map((w) => w.n_http ?? null), tone: "second" }]}
            notes={windows.map((w) => w.release)}
          />
        )}
      <div class="pair">
        <Chart
          {...common} title="Latency" unit="ms, over HTTP" zero write={(number) => decimal(number, number < 10 ? 1 : 0)} height={190}
          series={[
            { label: "p50", values: windows.map((w) => w.latency?.p50 ?? null) },
            { label: "p95", values: windows.map((w) => w.latency?.p95 ?? null), tone: "second" },
            { label: "p99", values: windows.map((w) => w.latency?.p99 ?? null), tone: "third" },
          ]}
          notes={windows.map((w) => `${count(w.n_http)} requests`)}
        />
        <Chart
          {...common} title="Errors" unit="share of predictions that failed" zero write={(number) => percent(number, finest)} height={190}
          series={[{ label: "rate", values: windows.map((w) => w.errors?.rate ?? null), lo: windows.map((w) => w.errors?.lo ?? null), hi: windows.map((w) => w.errors?.hi ?? null) }]}
          notes={windows.map((w) => `of ${count(w.errors?.n)}`)}
        />
      </div>
    </div>
  );
}

export function NoWindows() {
  return (
    <Empty title="No window has been judged yet" command="mainstay monitors judge NAME">
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
              {importance && <th scope="col" class="right" title="How much the model leans on it: its share of the importance">Weight</th>}
              {windows.map((window) => <th key={window.id} scope="col" class="middle" title={period(window.since, window.until)}>{shortPeriod(window.since, window.until)}</th>)}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {importance && <td class="right quiet">{isNumber(importance[name]) ? percent(importance[name]) : "–"}</td>}
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
        : <p class="quiet">Choose a cell to lay that window's values over the baseline.</p>}
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
  const label = `${name}, ${period(window.since, window.until)}: ${state}, effect ${decimal(cell?.effect, 2)}${cell?.reason ? `. ${cell.reason}` : ""}`;
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
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [window.id, column, data === undefined]);
  return (
    <section class="panel" ref={place} aria-label={`${column} in ${period(window.since, window.until)}`}>
      <header class="panel-head">
        <h2 class="minor">{column}, {period(window.since, window.until)}</h2>
        <State state={cell?.state} />
        <span class="quiet">
          {numbers.filter(([, number]) => isNumber(number)).map(([name, number]) => `${name} ${(number ?? 0) < 0.001 ? "< 0.001" : decimal(number)}`).join(" · ")}
          {isNumber(cell?.n) && ` · n ${count(cell.n)}`}
        </span>
        <button type="button" class="button button-small push" onClick={() => setParams({ window: "", column: "" })}>Close</button>
      </header>
      {cell?.reason && <p>{cell.reason}</p>}
      {error ? <ErrorNote error={error} /> : data ? <Distribution answer={data} windowName={period(window.since, window.until)} baselineName="baseline: the rows it was evaluated on" /> : <Skeleton rows={4} />}
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
  { key: "release", label: "Release", value: (w) => releaseId(w.release, w.deployment), cell: (w) => (w.release != null ? <Subject subject={`release:${releaseId(w.release, w.deployment)}`} /> : <Unknown />) },
  { key: "n", label: "Rows", value: (w) => w.n, cell: (w) => count(w.n), right: true },
  { key: "coverage", label: "Labelled", value: (w) => coverage(w), cell: (w) => percent(coverage(w)), right: true, hint: "Share of the predictions whose label has arrived" },
  { key: "auc", label: "AUC [95 %]", value: (w) => value(w.performance?.auc), cell: (w) => <Measure of={bare(w.performance?.auc, w.performance?.reason)} />, right: true },
  { key: "estimate", label: "Estimate", value: (w) => value(w.estimate), cell: (w) => <Measure of={bare(w.estimate)} />, right: true, hidden: true, hint: "AUC estimated before labels" },
  { key: "brier", label: "Brier", value: (w) => value(w.performance?.brier), cell: (w) => <Measure of={value(w.performance?.brier)} />, right: true },
  { key: "base", label: "Base rate", value: (w) => value(w.performance?.base_rate), cell: (w) => percent(value(w.performance?.base_rate), 1), right: true, hidden: true },
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
  const [chosen] = useParam("window");
  if (!windows.length) return <NoWindows />;
  const judged = [...usable(windows)].reverse();
  const open = judged.find((window) => String(window.id) === chosen);
  const isOfNumbers = mainFigure(windows) === "mae";
  const columns = isOfNumbers ? WINDOW_COLUMNS.map((column) => (column.key === "auc" ? MAE_COLUMN : column)).filter((column) => column.key !== "brier" && column.key !== "base") : WINDOW_COLUMNS;
  return (
    <div class="stack">
      {open && <WindowPanel window={open} />}
      <Table name="w" label="windows" rows={judged} columns={columns} href={(window) => `${here().path}?tab=windows&window=${window.id}`} />
    </div>
  );
}

const MAE_COLUMN: Column<WindowAnswer> = {
  key: "mae", label: "Mean abs. error [95 %]", value: (w) => value(w.performance?.mae), cell: (w) => <Measure of={bare(w.performance?.mae, w.performance?.reason)} />, right: true,
};

/** What was said of one window, and its slices. */
function WindowPanel({ window }: { window: Judged }) {
  const slices = window.slices ?? [];
  return (
    <section class="panel" aria-label={period(window.since, window.until)}>
      <header class="panel-head">
        <h2 class="minor">{period(window.since, window.until)}</h2><State state={window.state} />
        <button type="button" class="button button-small push" onClick={() => setParams({ window: "" })}>Close</button>
      </header>
      {!window.verdicts?.length && <p class="quiet">{window.performance?.reason ?? "No verdict is on record for this window."}</p>}
      <ul class="verdicts">
        {window.verdicts?.map((verdict) => <li key={verdict.key}><State state={verdict.state} small /><div><b>{verdict.title ?? verdict.key}</b><p class="quiet">{verdict.sentence}</p></div></li>)}
      </ul>
      {slices.length > 0 && (
        <details class="slices">
          <summary>Slices ({slices.length})</summary>
          <div class="table-frame"><table aria-label="Slices"><thead><tr><th scope="col">Slice</th><th scope="col" class="right">Rows</th><th scope="col" class="right">AUC [95 %]</th></tr></thead>
            <tbody>{slices.map((slice) => <tr key={`${slice.column}${slice.value}`}><td><code>{slice.column}</code> {String(slice.value)}</td><td class="right">{count(slice.n)}</td><td class="right">{slice.auc ? <Measure of={bare(slice.auc)} /> : <span class="quiet">too few rows</span>}</td></tr>)}</tbody></table></div>
        </details>
      )}
    </section>
  );
}

export function latestText(windows: WindowAnswer[]): string {
  const name = mainFigure(windows);
  const last = usable(windows).filter((window) => value(figureOf(window, name)) !== null).at(-1);
  return last ? `${TITLES[name][0]} ${measuredText(figureOf(last, name))} in ${period(last.since, last.until)}` : "no labelled window yet";
}

