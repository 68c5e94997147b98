// SPDX-License-Identifier: Apache-2.0
// Judged windows over time: quality with its interval and the estimate before labels, traffic with latency and errors. A release
// line stands where the windows' release changes; a window that could not be judged is hatched.
import { count, day, decimal, figure, isNumber, moment, percent, period } from "../format.ts";
import type { Alert, WindowAnswer } from "../types.ts";
import {
  bound,
  figureOf,
  FURTHER,
  mainFigure,
  mainValue,
  middle,
  referenceOf,
  TITLES,
  usable,
  value,
  type Figure,
  type Judged,
} from "../windows.ts";
import { Chart, type ChartProps, type Mark } from "./chart.tsx";
import { Empty } from "./notice.tsx";

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
    .filter((window) => mainValue(window) === null)
    .map((window) => ({
      from: moment(window.since) / 1000,
      to: moment(window.until) / 1000,
      why: window.performance?.reason ?? "not enough labels to judge",
    }));
}

function shared(windows: Judged[], alerts: Alert[], sync: string): Pick<ChartProps, "times" | "names" | "marks" | "sync"> {
  return {
    times: windows.map(middle),
    names: windows.map((window) => period(window.since, window.until)),
    marks: marksOf(windows, alerts),
    sync,
  };
}

/** The figure that says how good the answers are, as measured on labels, and as estimated before they came. */
export function MainChart({
  windows: all,
  alerts = [],
  sync,
  height,
}: {
  windows: WindowAnswer[];
  alerts?: Alert[] | undefined;
  sync: string;
  height?: number;
}) {
  const windows = usable(all);
  if (!windows.length) return <NoWindows />;
  const name = mainFigure(windows);
  const reference = referenceOf(windows, name);
  const estimates = windows.map((window) => (name === "auc" ? value(window.estimate) : null));
  return (
    <Chart
      {...shared(windows, alerts, sync)}
      title={TITLES[name][0]}
      unit={TITLES[name][1]}
      write={name === "mae" ? figure : three}
      height={height ?? 240}
      series={[
        measuredSeries(windows, name, "measured on labels"),
        ...(estimates.some(isNumber)
          ? [
              {
                label: "estimated before labels",
                values: estimates,
                lo: windows.map((w) => bound(w.estimate, "lo")),
                hi: windows.map((w) => bound(w.estimate, "hi")),
                tone: "second" as const,
                look: "dashed" as const,
              },
            ]
          : []),
      ]}
      {...(reference !== null ? { reference: [{ value: reference, label: "promised by its evaluation" }] } : {})}
      hatched={hatchedOf(windows)}
      notes={windows.map(labelNote)}
    />
  );
}

function three(number: number): string {
  return number.toFixed(3);
}

const WRITTEN: Partial<Record<Figure, (value: number) => string>> = { base_rate: (number) => percent(number), rmse: figure };

function SmallChart({ windows, name, write }: { windows: Judged[]; name: Figure; write: (value: number) => string }) {
  const reference = referenceOf(windows, name);
  return (
    <Chart
      {...shared(windows, [], "quality")}
      title={TITLES[name][0]}
      unit={TITLES[name][1]}
      write={write}
      height={190}
      series={[measuredSeries(windows, name, name === "base_rate" ? "observed" : "measured")]}
      hatched={hatchedOf(windows)}
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
      <div class={FURTHER[mainFigure(windows)].length > 1 ? "pair" : ""}>
        {FURTHER[mainFigure(windows)].map((name) => (
          <SmallChart key={name} windows={windows} name={name} write={WRITTEN[name] ?? three} />
        ))}
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
      {days.length > windows.length ? (
        <Chart
          title="Predictions"
          unit="per day"
          zero
          write={whole}
          height={190}
          sync="traffic"
          marks={common.marks ?? []}
          times={days.map((one) => one.at)}
          names={days.map((one) => day(new Date(one.at * 1000).toISOString()))}
          series={[{ label: "answered", values: days.map((one) => one.n), look: "bars" }]}
        />
      ) : (
        <Chart
          {...common}
          title="Predictions"
          unit="per window"
          zero
          write={whole}
          height={190}
          series={[
            { label: "all", values: windows.map((w) => w.n ?? null), look: "bars" },
            { label: "of these over HTTP", values: windows.map((w) => w.n_http ?? null), tone: "second" },
          ]}
          notes={windows.map((w) => w.release)}
        />
      )}
      <div class="pair">
        <Chart
          {...common}
          title="Latency"
          unit="ms, over HTTP"
          zero
          write={(number) => decimal(number, number < 10 ? 1 : 0)}
          height={190}
          series={[
            { label: "p50", values: windows.map((w) => w.latency?.p50 ?? null) },
            { label: "p95", values: windows.map((w) => w.latency?.p95 ?? null), tone: "second" },
            { label: "p99", values: windows.map((w) => w.latency?.p99 ?? null), tone: "third" },
          ]}
          notes={windows.map((w) => `${count(w.n_http)} requests`)}
        />
        <Chart
          {...common}
          title="Errors"
          unit="share of predictions that failed"
          zero
          write={(number) => percent(number, finest)}
          height={190}
          series={[
            {
              label: "rate",
              values: windows.map((w) => w.errors?.rate ?? null),
              lo: windows.map((w) => w.errors?.lo ?? null),
              hi: windows.map((w) => w.errors?.hi ?? null),
            },
          ]}
          notes={windows.map((w) => `of ${count(w.errors?.n)}`)}
        />
      </div>
    </div>
  );
}

export function NoWindows() {
  return (
    <Empty title="No window has been judged yet" command="mainstay monitors judge NAME">
      A window is a stretch of traffic compared with what the model learned from. Windows are judged once they have ended; this
      asks at once.
    </Empty>
  );
}
