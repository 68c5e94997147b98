// SPDX-License-Identifier: Apache-2.0
// A chart over time, on uPlot: bands for uncertainty, labelled vertical lines for releases and alerts, gaps where nothing was
// measured, hatching where there were too few rows, one shared cursor across charts with the same `sync`, drag to zoom,
// double click to see all, download as PNG and CSV.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { isNumber, MONTHS, UNKNOWN } from "../format.ts";
import { useTheme } from "../theme.ts";
import type { Maybe } from "../types.ts";
import { saveCsv, savePng } from "./chartfiles.ts";
import { Icon } from "./icons.tsx";
import { faded, inks, type Inks } from "./inks.ts";

type Numbers = (number | null)[];

export interface Series {
  label: string;
  values: Numbers;
  lo?: Numbers;
  hi?: Numbers;
  tone?: "accent" | "second" | "third" | "muted";
  look?: "line" | "dashed" | "bars" | "steps";
}

export interface Mark {
  at: number; // seconds since 1970
  label: string;
  kind: "release" | "alert" | "decision";
}

export interface ChartProps {
  title: string;
  unit: string;
  times: number[]; // seconds since 1970; the middle of each window
  names: string[]; // what each time is called in the readout
  series: Series[];
  write: (value: number) => string;
  marks?: Mark[];
  reference?: { value: number; label: string }[];
  hatched?: { from: number; to: number; why: string }[];
  notes?: Maybe<string>[]; // a sentence for each time, shown in the readout
  sync?: string;
  height?: number;
  zero?: boolean;
  numeric?: boolean; // the x axis counts steps, not time
  about?: string;
}

function toneInk(series: Series, index: number, colours: Inks): string {
  const tone = series.tone ?? (["accent", "second", "third", "muted"] as const)[Math.min(index, 3)] ?? "accent";
  return colours[tone];
}

export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const theme = useTheme();
  const key = JSON.stringify([props.times, props.series, props.marks, props.reference, props.hatched, props.title, props.height]);

  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const made = new uPlot(options(props, inks(place), place.clientWidth || 600, setAt), data(props), place);
    plot.current = made;
    const watch = new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== made.width) made.setSize({ width: place.clientWidth, height: made.height });
    });
    watch.observe(place);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [key, theme]);

  const last = lastIndex(props.series);
  const index = at ?? last;
  return (
    <figure class="chart">
      <figcaption class="chart-head">
        <div>
          <b>{props.title}</b>
          {props.unit && <span class="quiet"> {props.unit}</span>}
          {props.about && <p class="quiet chart-about">{props.about}</p>}
        </div>
        <div class="chart-tools">
          <button
            type="button"
            class="button button-quiet"
            title="Download as PNG"
            aria-label={`Download ${props.title} as PNG`}
            onClick={() => plot.current && savePng(plot.current, props)}
          >
            <Icon name="download" size={14} />
            PNG
          </button>
          <button
            type="button"
            class="button button-quiet"
            title="Download as CSV"
            aria-label={`Download ${props.title} as CSV`}
            onClick={() => saveCsv(props)}
          >
            <Icon name="download" size={14} />
            CSV
          </button>
        </div>
      </figcaption>
      <Readout {...props} index={index} live={at !== null} />
      <div class="chart-box" ref={box} role="img" aria-label={summary(props, last)} />
    </figure>
  );
}

function lastIndex(series: Series[]): number {
  const length = series[0]?.values.length ?? 0;
  for (let index = length - 1; index >= 0; index -= 1) if (series.some((one) => isNumber(one.values[index]))) return index;
  return length - 1;
}

function Readout({
  names,
  series,
  write,
  notes,
  hatched,
  times,
  index,
  live,
  reference,
}: ChartProps & { index: number; live: boolean }) {
  const time = times[index];
  const gap = time === undefined ? undefined : hatched?.find((part) => time >= part.from && time <= part.to);
  return (
    <div class="readout" aria-hidden="true">
      <span class="readout-when">
        {live ? "" : "latest: "}
        {names[index] ?? "–"}
      </span>
      {series.map((one, place) => (
        <span
          key={one.label}
          class={`readout-item key-${one.tone ?? ["accent", "second", "third", "muted"][Math.min(place, 3)]} look-${one.look ?? "line"}`}
        >
          <i />
          {one.label} <b>{valueText(one, index, write)}</b>
        </span>
      ))}
      {reference?.map((one) => (
        <span key={one.label} class="readout-item key-reference">
          <i />
          {one.label} <b>{write(one.value)}</b>
        </span>
      ))}
      {(notes?.[index] || gap) && <span class="quiet">{notes?.[index] ?? gap?.why}</span>}
    </div>
  );
}

function valueText(one: Series, index: number, write: (value: number) => string): string {
  const value = one.values[index];
  if (!isNumber(value)) return UNKNOWN;
  const lo = one.lo?.[index];
  const hi = one.hi?.[index];
  return isNumber(lo) && isNumber(hi) ? `${write(value)} [${write(lo)}, ${write(hi)}]` : write(value);
}

function summary({ title, unit, names, series, write }: ChartProps, last: number): string {
  const values = series.map((one) => `${one.label} ${valueText(one, last, write)}`).join("; ");
  return `${title} ${unit}, ${names.length} points from ${names[0] ?? "–"} to ${names.at(-1) ?? "–"}. Latest: ${values}. Download the CSV for every value.`;
}

function data({ times, series }: ChartProps): uPlot.AlignedData {
  return [times, ...series.map((one) => one.values)] as uPlot.AlignedData;
}

function options(props: ChartProps, colours: Inks, width: number, setAt: (index: number | null) => void): uPlot.Options {
  const { series, height = 220, sync, write, numeric = false } = props;
  const few = props.times.length < 60;
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  return {
    width,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    padding: [head(props), numeric ? 12 : 30, 0, 0],
    legend: { show: false },
    cursor: {
      ...(sync ? { sync: { key: sync, scales: ["x", null] as [string, null] } } : {}),
      drag: { x: true, y: false, dist: 6 },
      points: { size: 8, width: 2 },
      y: false,
    },
    scales: {
      x: { time: !numeric, range: (_plot, min, max) => xRange(props, min, max) },
      y: { range: (plot) => yRange(plot, props) },
    },
    axes: [
      {
        stroke: colours.muted,
        font,
        grid: { show: false },
        ticks: { stroke: colours.grid, width: 1, size: 4 },
        size: 28,
        space: 56,
        ...(numeric
          ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000] }
          : { values: monthNames }),
      },
      {
        stroke: colours.muted,
        font,
        grid: { stroke: colours.grid, width: 1 },
        ticks: { show: false },
        size: 60,
        gap: 6,
        space: 36,
        values: (_plot, splits) => level(splits, write),
      },
    ],
    series: [
      {},
      ...series.map((one, index): uPlot.Series => {
        const ink = toneInk(one, index, colours);
        if (one.look === "bars")
          return {
            label: one.label,
            stroke: ink,
            fill: faded(ink, 0.55),
            width: 0,
            paths: uPlot.paths.bars?.({ size: [0.62, 34] }) as uPlot.Series.PathBuilder,
            points: { show: false },
          };
        return {
          label: one.label,
          stroke: ink,
          width: 2,
          spanGaps: false,
          ...(one.look === "dashed" ? { dash: [6, 4] } : {}),
          ...(one.look === "steps" ? { paths: uPlot.paths.stepped?.({ align: 1 }) as uPlot.Series.PathBuilder } : {}),
          points: {
            show: few,
            size: one.look === "dashed" ? 5 : 7,
            width: 1.5,
            stroke: ink,
            fill: one.look === "dashed" ? ink : colours.surface,
          },
        };
      }),
    ],
    hooks: {
      drawAxes: [(plot) => drawUnder(plot, props, colours)],
      draw: [(plot) => drawMarks(plot, props, colours)],
      setCursor: [(plot) => setAt(plot.cursor.idx ?? null)],
    },
  };
}

const ROW_PX = 15;

/** Room above the plot: a row for releases, and another for alerts and decisions, so that neither hides the other. */
function head({ marks }: ChartProps): number {
  return (
    8 +
    (marks?.some((mark) => mark.kind === "release") ? ROW_PX : 0) +
    (marks?.some((mark) => mark.kind !== "release") ? ROW_PX : 0)
  );
}

/** The ticks of one axis with the same number of digits. */
export function level(splits: number[], write: (value: number) => string): string[] {
  const texts = splits.map((split) => write(split));
  if (!texts.every((text) => /^−?\d+(\.\d+)?$/.test(text))) return texts;
  const digits = Math.max(...texts.map((text) => text.split(".")[1]?.length ?? 0));
  const level = splits.map((split) => split.toFixed(digits).replace("-", "−"));
  return level.every((text) => /\.0+$/.test(text)) ? level.map((text) => text.replace(/\.0+$/, "")) : level;
}

/** The x axis names months and days in UTC; a chart of one year needs no year on each tick. */
export function monthNames(_plot: uPlot, splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  let year = 0;
  return splits.map((split) => {
    const date = new Date(split * 1000);
    const month = MONTHS[date.getUTCMonth()] ?? "";
    if (step < 86_400) return `${date.getUTCDate()} ${month} ${date.toISOString().slice(11, 16)}`;
    const name = step >= 27 * 86_400 ? month : `${date.getUTCDate()} ${month}`;
    if (date.getUTCFullYear() === year) return name;
    year = date.getUTCFullYear();
    return `${name} ${year}`;
  });
}

function xRange({ times, hatched }: ChartProps, min: number | null, max: number | null): [number, number] {
  const ends = [...times, ...(hatched ?? []).flatMap((part) => [part.from, part.to])];
  const whole: [number, number] = [Math.min(...ends), Math.max(...ends)];
  if (!ends.length) return [0, 1];
  const step = times.length > 1 ? ((times.at(-1) ?? 0) - (times[0] ?? 0)) / (times.length - 1) : 86_400;
  const low = min ?? whole[0];
  const high = max ?? whole[1];
  const isWhole = low <= (times[0] ?? low) && high >= (times.at(-1) ?? high);
  return isWhole ? [whole[0] - step * 0.55, whole[1] + step * 0.55] : [low, high];
}

function yRange(plot: uPlot, { series, reference, zero, times }: ChartProps): [number, number] {
  const { min, max } = plot.scales["x"] ?? {};
  const values: number[] = zero ? [0] : [];
  for (const one of series) {
    for (const [index, time] of times.entries()) {
      if ((isNumber(min) && time < min) || (isNumber(max) && time > max)) continue;
      for (const value of [one.values[index], one.lo?.[index], one.hi?.[index]]) if (isNumber(value)) values.push(value);
    }
  }
  for (const one of reference ?? []) values.push(one.value);
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pad = (high - low || Math.abs(high) || 1) * 0.1;
  return [zero && low >= 0 ? 0 : low - pad, high + pad];
}

function drawUnder(plot: uPlot, { series, hatched, times, reference }: ChartProps, colours: Inks): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const part of hatched ?? []) hatch(plot, part.from, part.to, colours.hatch);
  series.forEach((one, index) => {
    if (one.lo && one.hi)
      band(plot, times, one.lo, one.hi, faded(toneInk(one, index, colours), one.look === "dashed" ? 0.1 : 0.16));
  });
  for (const one of reference ?? []) {
    const y = Math.round(plot.valToPos(one.value, "y", true)) + 0.5;
    ctx.strokeStyle = colours.muted;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    line(ctx, bbox.left, y, bbox.left + bbox.width, y);
  }
  ctx.restore();
}

function band(plot: uPlot, times: number[], lo: Numbers, hi: Numbers, fill: string): void {
  let run: number[] = [];
  const flush = () => {
    if (run.length) {
      const x = (index: number) => plot.valToPos(times[index] ?? 0, "x", true);
      const half = run.length === 1 ? 7 * devicePixelRatio : 0; // a lone point gets a bar, as a band needs two
      const { ctx } = plot;
      ctx.beginPath();
      run.forEach((index, place) => ctx[place ? "lineTo" : "moveTo"](x(index) - half, plot.valToPos(hi[index] ?? 0, "y", true)));
      if (half) ctx.lineTo(x(run[0] ?? 0) + half, plot.valToPos(hi[run[0] ?? 0] ?? 0, "y", true));
      for (const index of [...run].reverse()) ctx.lineTo(x(index) + half, plot.valToPos(lo[index] ?? 0, "y", true));
      if (half) ctx.lineTo(x(run[0] ?? 0) - half, plot.valToPos(lo[run[0] ?? 0] ?? 0, "y", true));
      ctx.closePath();
      ctx.fillStyle = fill;
      ctx.fill();
    }
    run = [];
  };
  times.forEach((_time, index) => {
    if (isNumber(lo[index]) && isNumber(hi[index])) run.push(index);
    else flush();
  });
  flush();
}

function hatch(plot: uPlot, from: number, to: number, ink: string): void {
  const { ctx, bbox } = plot;
  const left = plot.valToPos(from, "x", true);
  const right = plot.valToPos(to, "x", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, right - left, bbox.height);
  ctx.clip();
  ctx.strokeStyle = ink;
  ctx.lineWidth = devicePixelRatio;
  const step = 7 * devicePixelRatio;
  for (let x = left - bbox.height; x < right; x += step) line(ctx, x, bbox.top + bbox.height, x + bbox.height, bbox.top);
  ctx.restore();
}

function line(ctx: CanvasRenderingContext2D, x1: number, y1: number, x2: number, y2: number): void {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

/** Vertical lines with their label above the plot; a label that would cover its neighbour is left to the tooltip and table. */
function drawMarks(plot: uPlot, { marks }: ChartProps, colours: Inks): void {
  const { ctx, bbox } = plot;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * scale}px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif`;
  ctx.textBaseline = "bottom";
  const free = { upper: -Infinity, lower: -Infinity };
  const both = (marks ?? []).some((mark) => mark.kind === "release") && (marks ?? []).some((mark) => mark.kind !== "release");
  for (const mark of [...(marks ?? [])].sort((a, b) => a.at - b.at)) {
    const x = Math.round(plot.valToPos(mark.at, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const ink = mark.kind === "alert" ? colours.alert : mark.kind === "decision" ? colours.muted : colours.ink;
    ctx.strokeStyle = faded(ink, mark.kind === "release" ? 0.55 : 0.75);
    ctx.fillStyle = ink;
    ctx.lineWidth = scale;
    ctx.setLineDash(mark.kind === "release" ? [] : [3 * scale, 3 * scale]);
    const row = both && mark.kind === "release" ? "upper" : "lower";
    const base = bbox.top - (row === "upper" ? 4 + ROW_PX : 4) * scale;
    line(ctx, x, base, x, bbox.top + bbox.height);
    const width = ctx.measureText(mark.label).width;
    const start = Math.min(Math.max(x - 3 * scale, bbox.left), bbox.left + bbox.width - width);
    if (start > free[row]) {
      ctx.fillText(mark.label, start, base - 1 * scale);
      free[row] = start + width + 8 * scale;
    }
  }
  ctx.restore();
}
