// SPDX-License-Identifier: Apache-2.0
// One metric of one or more runs, over steps or time. The server thins a long series to the least and greatest of each stretch,
// so that no spike is lost; dragging over a stretch asks for its finer points, a double click shows all again. While a run goes
// on, its curve grows.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { ApiError, at, get, query } from "../api.ts";
import { across, pointsOf, positive, rising, smooth, stepsWithin, type Across, type Curve, type CurvePoint } from "../curves.ts";
import { absolute, count, duration, figure, isNumber } from "../format.ts";
import { useTheme } from "../theme.ts";
import { level, monthNames } from "./chart.tsx";
import { fileName, quoted, save, savePng } from "./chartfiles.ts";
import { Icon } from "./icons.tsx";
import { coloursOf, faded } from "./inks.ts";
import { ErrorNote, Skeleton } from "./notice.tsx";

export interface CurveLook {
  by: Across;
  smoothing: number;
  isLog: boolean;
}

export interface Line {
  run: string;
  label: string;
  isRunning?: boolean;
  hue: number; // which of the page's line colours, from 1
}

interface Props {
  metric: string;
  lines: Line[];
  look: CurveLook;
  height?: number;
  sync?: string;
  isAlone?: boolean; // the only one shown: says so if there is no curve, instead of leaving no trace
}

const HUES = 8;
const POINTS = 1200;
const POLL_MS = 3000;

interface Answer {
  points?: { step?: number; at?: string; value?: unknown }[];
}

interface Fetched {
  points: Map<string, CurvePoint[]>;
  error: ApiError | undefined;
}

type Window = [number, number] | null;

/** The points of every line, thinned by the server; asked again while one of the runs goes on. */
function usePoints(metric: string, lines: Line[], within: Window): Fetched {
  const [found, setFound] = useState<Fetched>({ points: new Map(), error: undefined });
  const key = lines.map((line) => line.run).join();
  const isRunning = lines.some((line) => line.isRunning);
  const texts = useRef("");
  useEffect(() => {
    const stop = new AbortController();
    let timer: number | undefined;
    const ask = async () => {
      try {
        const answers = await Promise.all(lines.map((line) => get<Answer>(curvePath(line.run, metric, within), stop.signal)));
        const text = JSON.stringify(answers);
        if (text !== texts.current) {
          texts.current = text;
          setFound({ points: new Map(lines.map((line, index) => [line.run, pointsOf(answers[index])])), error: undefined });
        }
      } catch (reason) {
        if (!stop.signal.aborted)
          setFound((before) => ({
            ...before,
            error: reason instanceof ApiError ? reason : new ApiError(0, "error", String(reason)),
          }));
      }
      if (isRunning && !stop.signal.aborted) timer = window.setTimeout(ask, POLL_MS);
    };
    void ask();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, [metric, key, isRunning, within?.[0], within?.[1]]);
  return found;
}

function curvePath(run: string, metric: string, within: Window): string {
  // A metric's key is the rest of the path: its own slashes stay slashes.
  const path = `${at("/api/runs", run, "metrics")}/${metric.split("/").map(encodeURIComponent).join("/")}`;
  return query(path, { points: POINTS, since: within?.[0], until: within?.[1] });
}

export function CurveChart({ metric, lines, look, height = 200, sync, isAlone = false }: Props) {
  const [within, setWithin] = useState<Window>(null);
  const { points, error } = usePoints(metric, lines, within);
  const curves = lines
    .map((line): Curve & Line => ({ ...line, points: points.get(line.run) ?? [] }))
    .filter((curve) => curve.points.length > 0);
  const longest = Math.max(0, ...curves.map((curve) => curve.points.length));
  if (error && !curves.length) return <ErrorNote error={error} />;
  if (!points.size) return <Skeleton rows={4} />;
  if (longest < 2 && !within)
    return isAlone ? (
      <p class="quiet">
        {metric} was logged {longest ? "once" : "never"}; a curve needs two points.
      </p>
    ) : null;
  return (
    <Drawn
      key={`${metric} ${look.by} ${look.isLog}`}
      metric={metric}
      curves={curves}
      look={look}
      height={height}
      sync={sync}
      within={within}
      zoom={setWithin}
    />
  );
}

interface DrawnProps {
  metric: string;
  curves: (Curve & Line)[];
  look: CurveLook;
  height: number;
  sync: string | undefined;
  within: Window;
  zoom: (within: Window) => void;
}

function Drawn({ metric, curves, look, height, sync, within, zoom }: DrawnProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const view = useRef<Window>(null); // what is seen, in places on the x axis
  const [place, setPlace] = useState<number | null>(null);
  const theme = useTheme();
  const data = useMemo(
    () => joined(curves, look),
    [curves.map((curve) => curve.points), look.by, look.isLog, look.smoothing].flat(),
  );
  const ask = useRef<(from: number, to: number) => void>(() => undefined);
  ask.current = (from, to) => {
    view.current = [from, to];
    const steps = curves.flatMap((curve) => stepsWithin(curve.points, across(curve.points, look.by), from, to) ?? []);
    if (steps.length) zoom([Math.min(...steps), Math.max(...steps)]);
  };
  const all = () => {
    view.current = null;
    zoom(null);
  };
  const names = curves.map((curve) => `${curve.run}:${curve.label}:${curve.hue}`).join();

  useEffect(() => {
    const where = box.current;
    if (!where) return undefined;
    const made = new uPlot(options({ where, curves, look, height, sync, setPlace, ask, all }), data, where);
    plot.current = made;
    const watch = new ResizeObserver(() => {
      if (where.clientWidth && where.clientWidth !== made.width) made.setSize({ width: where.clientWidth, height: made.height });
    });
    watch.observe(where);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [theme, names, height, look.smoothing > 0]);
  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.batch(() => {
      made.setData(data, true);
      if (view.current) made.setScale("x", { min: view.current[0], max: view.current[1] });
    });
  }, [data]);

  const xs = data[0] as number[];
  const shown = place ?? xs.length - 1;
  const x = xs[shown];
  return (
    <figure class="chart curve">
      <figcaption class="chart-head">
        <b class="curve-name" title={metric}>
          {metric}
        </b>
        <div class="chart-tools">
          {within && (
            <button type="button" class="button button-quiet" onClick={all}>
              <Icon name="loop" size={14} />
              All of it
            </button>
          )}
          <button
            type="button"
            class="button button-quiet"
            aria-label={`Download ${metric} as PNG`}
            onClick={() => plot.current && savePng(plot.current, { title: metric, unit: BY_WORDS[look.by] })}
          >
            PNG
          </button>
          <button
            type="button"
            class="button button-quiet"
            aria-label={`Download ${metric} as CSV`}
            onClick={() => saveCsv(metric, curves)}
          >
            CSV
          </button>
        </div>
      </figcaption>
      <div class="readout" aria-hidden="true">
        <span class="readout-when">{x === undefined ? "–" : placeText(x, look.by)}</span>
        {curves.map((curve, index) => (
          <span key={curve.run} class="readout-item">
            <i class={`hue-${hueOf(curve)}${isDashed(curve) ? " dashed" : ""}`} />
            {curves.length > 1 && <span class="curve-label">{curve.label}</span>}{" "}
            <b>{nearest(data, index, shown, look.smoothing > 0)}</b>
          </span>
        ))}
      </div>
      <div
        class="chart-box"
        ref={box}
        role="img"
        aria-label={spoken(metric, curves, look)}
        data-points={curves[0]?.points.length ?? 0}
      />
    </figure>
  );
}

const BY_WORDS: Record<Across, string> = { step: "by step", time: "by time", relative: "by time since the start" };

function placeText(x: number, by: Across): string {
  if (by === "step") return `step ${count(x)}`;
  return by === "time" ? absolute(new Date(x * 1000).toISOString()) : `after ${duration(x)}`;
}

function hueOf(line: Line): number {
  return ((line.hue - 1) % HUES) + 1;
}

/** Beyond as many lines as there are colours, the colours come again, dashed. */
function isDashed(line: Line): boolean {
  return line.hue > HUES;
}

/** The value at a place, or the last one before it: lines that were thinned separately share few places. */
function nearest(data: uPlot.AlignedData, index: number, place: number, hasSmooth: boolean): string {
  const values = data[hasSmooth ? 2 * index + 2 : index + 1] ?? [];
  for (let at = place; at >= 0; at -= 1) {
    const value = values[at];
    if (isNumber(value)) return figure(value);
  }
  return "–";
}

function spoken(metric: string, curves: Curve[], look: CurveLook): string {
  const lines = curves.slice(0, 5).map((curve) => {
    const values = curve.points.map((point) => point.value).filter(isNumber);
    const range = values.length ? `from ${figure(Math.min(...values))} to ${figure(Math.max(...values))}` : "without a number";
    return `${curve.label} ${range}, last ${figure(curve.points.at(-1)?.value ?? null)}`;
  });
  return `${metric} ${BY_WORDS[look.by]}: ${lines.join("; ")}. Download the CSV for every point drawn.`;
}

/** All curves over one x axis; with smoothing each curve stands twice, as it was and smoothed. */
function joined(curves: Curve[], { by, smoothing, isLog }: CurveLook): uPlot.AlignedData {
  const tables = curves.map((curve): uPlot.AlignedData => {
    const [places, values] = rising(
      across(curve.points, by),
      curve.points.map((point) => point.value),
    );
    const shown = isLog ? positive(values) : values;
    return smoothing > 0 ? [places, shown, smooth(shown, smoothing)] : [places, shown];
  });
  return tables.length
    ? uPlot.join(
        tables,
        tables.map((table) => table.map(() => 2)),
      )
    : [[]];
}

interface Made {
  where: HTMLElement;
  curves: (Curve & Line)[];
  look: CurveLook;
  height: number;
  sync: string | undefined;
  setPlace: (place: number | null) => void;
  ask: { current: (from: number, to: number) => void };
  all: () => void;
}

function options({ where, curves, look, height, sync, setPlace, ask, all }: Made): uPlot.Options {
  const hues = coloursOf(
    where,
    Array.from({ length: HUES }, (_, index) => `line-${index + 1}`),
  );
  const [muted = "", grid = ""] = coloursOf(where, ["muted", "grid"]);
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  const few = Math.max(...curves.map((curve) => curve.points.length)) < 40;
  const stroke = (line: Line) => hues[hueOf(line) - 1] ?? muted;
  return {
    width: where.clientWidth || 480,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    padding: [10, 14, 0, 0],
    legend: { show: false },
    cursor: {
      ...(sync ? { sync: { key: sync, scales: ["x", null] as [string, null] } } : {}),
      drag: { x: true, y: false, dist: 6, setScale: false },
      points: { size: 6, width: 2 },
      y: false,
      bind: {
        dblclick: () => () => {
          all();
          return null;
        },
      },
    },
    scales: { x: { time: look.by === "time" }, y: look.isLog ? { distr: 3 } : {} },
    axes: [
      {
        stroke: muted,
        font,
        grid: { show: false },
        ticks: { stroke: grid, width: 1, size: 4 },
        size: 28,
        space: 64,
        values:
          look.by === "time"
            ? monthNames
            : (_plot, splits) => splits.map((split) => (look.by === "relative" ? duration(split) : figure(split))),
      },
      {
        stroke: muted,
        font,
        grid: { stroke: grid, width: 1 },
        ticks: { show: false },
        size: 60,
        gap: 6,
        space: 30,
        values: (_plot, splits) => (look.isLog ? splits.map((split) => (split ? figure(split) : "")) : level(splits, figure)),
      },
    ],
    series: [
      {},
      ...curves.flatMap((curve): uPlot.Series[] => {
        const line: uPlot.Series = {
          label: curve.label,
          stroke: stroke(curve),
          width: 1.6,
          ...(isDashed(curve) ? { dash: [7, 4] } : {}),
          spanGaps: curves.length > 1,
          points: { show: few, size: 5, stroke: stroke(curve) },
        };
        if (!(look.smoothing > 0)) return [line];
        return [
          { ...line, stroke: faded(stroke(curve), 0.28), width: 1, points: { show: false } },
          { ...line, points: { show: false } },
        ];
      }),
    ],
    hooks: {
      setCursor: [(made) => setPlace(made.cursor.idx ?? null)],
      setSelect: [
        (made) => {
          const { left, width } = made.select;
          if (width < 6) return;
          const [from, to] = [made.posToVal(left, "x"), made.posToVal(left + width, "x")];
          made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          made.setScale("x", { min: from, max: to });
          ask.current(from, to);
        },
      ],
    },
  };
}

function saveCsv(metric: string, curves: Curve[]): void {
  const rows = curves.flatMap((curve) =>
    curve.points.map((point) => [
      curve.label,
      curve.run,
      String(point.step),
      Number.isFinite(point.at) ? new Date(point.at * 1000).toISOString() : "",
      point.value === null ? "" : String(point.value),
    ]),
  );
  const text = [["name", "run", "step", "at", metric], ...rows].map((row) => row.map(quoted).join(",")).join("\n");
  save(new Blob([`${text}\n`], { type: "text/csv" }), `${fileName(metric)}.csv`);
}
