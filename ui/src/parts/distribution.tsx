// SPDX-License-Identifier: Apache-2.0
// Two distributions laid over each other: the baseline, and the window. Cells of unequal width are drawn as
// density (share per unit), so that area is what the eye compares; open-ended cells and categories are drawn side by side.
import { figure, isNumber, percent, plain } from "../format.ts";
import type { ColumnAnswer, Maybe } from "../types.ts";
import { Empty } from "./notice.tsx";

interface Cell {
  label: string;
  from: number | null;
  to: number | null;
  baseline: number | null;
  window: number | null;
}

function cellsOf(answer: ColumnAnswer): Cell[] {
  const base = answer.baseline?.shares ?? [];
  const now = answer.window?.shares ?? [];
  const length = Math.max(base.length, now.length);
  const edges = answer.baseline?.edges ?? answer.window?.edges ?? answer.edges;
  const names = answer.baseline?.categories ?? answer.window?.categories ?? answer.categories;
  return Array.from({ length }, (_, index) => {
    const [from, to] = edges ? bounds(edges, index, length) : [null, null];
    const label = edges ? rangeText(from, to) : plain(names?.[index] ?? `cell ${index + 1}`);
    return { label, from, to, baseline: base[index] ?? null, window: now[index] ?? null };
  });
}

/** k+1 edges close k cells; k−1 edges leave the outermost two open. Cells beyond the edges (missing, new) have no bounds. */
function bounds(edges: (number | null)[], index: number, cells: number): [number | null, number | null] {
  if (edges.length === cells - 1) return [index ? (edges[index - 1] ?? null) : null, edges[index] ?? null];
  return [edges[index] ?? null, edges[index + 1] ?? null];
}

function rangeText(from: number | null, to: number | null): string {
  if (isNumber(from) && isNumber(to)) return `${figure(from)} – ${figure(to)}`;
  if (isNumber(to)) return `under ${figure(to)}`;
  if (isNumber(from)) return `${figure(from)} and over`;
  return "missing or new";
}

const WIDTH = 640;
const HEIGHT = 220;
const LEFT = 48;
const BOTTOM = 26;
const TOP = 8;

export function Distribution({
  answer,
  windowName,
  baselineName,
}: {
  answer: ColumnAnswer;
  windowName: string;
  baselineName: string;
}) {
  const cells = cellsOf(answer);
  if (!cells.length) return <Empty title="No distribution is kept for this column in this window." />;
  const numeric = cells.every((cell) => isNumber(cell.from) && isNumber(cell.to) && (cell.to ?? 0) > (cell.from ?? 0));
  return (
    <figure class="distribution">
      <figcaption class="readout">
        <span class="readout-item key-muted look-bars">
          <i />
          {baselineName}
        </span>
        <span class="readout-item key-accent">
          <i />
          {windowName}
        </span>
        <span class="quiet">{numeric && !even(cells) ? "density: area is the share of rows" : "share of rows per cell"}</span>
      </figcaption>
      {numeric ? <Steps cells={cells} /> : <Bars cells={cells} />}
    </figure>
  );
}

function even(cells: Cell[]): boolean {
  const widths = cells.map((cell) => (cell.to ?? 0) - (cell.from ?? 0));
  return Math.max(...widths) / Math.min(...widths) < 1.05;
}

function Steps({ cells }: { cells: Cell[] }) {
  const min = cells[0]?.from ?? 0;
  const max = cells.at(-1)?.to ?? 1;
  const flat = even(cells);
  const height = (cell: Cell, share: number | null) =>
    isNumber(share) ? (flat ? share : share / ((cell.to ?? 1) - (cell.from ?? 0))) : 0;
  const tall = Math.max(...cells.flatMap((cell) => [height(cell, cell.baseline), height(cell, cell.window)])) || 1;
  const x = (value: number) => LEFT + ((value - min) / (max - min)) * (WIDTH - LEFT - 8);
  const y = (value: number) => TOP + (1 - value / tall) * (HEIGHT - TOP - BOTTOM);
  const path = (pick: (cell: Cell) => number | null) =>
    `M${x(min)},${y(0)}${cells.map((cell) => `V${y(height(cell, pick(cell)))}H${x(cell.to ?? 0)}`).join("")}V${y(0)}`;
  const ticks = Array.from({ length: 6 }, (_, index) => min + ((max - min) * index) / 5);
  return (
    <svg class="dist" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={spoken(cells)}>
      {[0, 0.5, 1].map((part) => (
        <g key={part}>
          <line class="grid" x1={LEFT} x2={WIDTH - 8} y1={y(tall * part)} y2={y(tall * part)} />
          <text x={LEFT - 6} y={y(tall * part) + 4} class="tick end">
            {flat ? percent(tall * part) : figure(Number((tall * part).toPrecision(2)))}
          </text>
        </g>
      ))}
      <path class="dist-base" d={path((cell) => cell.baseline)} />
      <path class="dist-window" d={path((cell) => cell.window)} />
      {ticks.map((tick, index) => (
        <text key={tick} x={x(tick)} y={HEIGHT - 8} class={`tick ${index === 0 ? "" : index === 5 ? "end" : "middle"}`}>
          {tickText(figure(Number(tick.toPrecision(3))), index)}
        </text>
      ))}
      {cells.map((cell) => (
        <rect
          key={cell.label}
          class="hit"
          x={x(cell.from ?? 0)}
          width={Math.max(1, x(cell.to ?? 0) - x(cell.from ?? 0))}
          y={TOP}
          height={HEIGHT - TOP - BOTTOM}
        >
          <title>{cellText(cell)}</title>
        </rect>
      ))}
    </svg>
  );
}

/** The outermost bars also hold whatever lies beyond them. */
function tickText(text: string, index: number): string {
  return index === 0 ? `≤ ${text}` : index === 5 ? `≥ ${text}` : text;
}

const MOST_BARS = 24;

function Bars({ cells }: { cells: Cell[] }) {
  const shown =
    cells.length > MOST_BARS
      ? [...cells].sort((a, b) => (b.baseline ?? 0) + (b.window ?? 0) - (a.baseline ?? 0) - (a.window ?? 0)).slice(0, MOST_BARS)
      : cells;
  const tall = Math.max(...shown.flatMap((cell) => [cell.baseline ?? 0, cell.window ?? 0])) || 1;
  return (
    <div class="bars" role="img" aria-label={spoken(cells)}>
      {shown.map((cell) => (
        <div class="bar-row" key={cell.label} title={cellText(cell)}>
          <span class="bar-name">{cell.label}</span>
          <span class="bar-track">
            <i class="bar-base" style={{ width: `${((cell.baseline ?? 0) / tall) * 100}%` }} />
            <i class="bar-window" style={{ width: `${((cell.window ?? 0) / tall) * 100}%` }} />
          </span>
          <span class="bar-number">
            {percent(cell.baseline, 1)} → <b>{percent(cell.window, 1)}</b>
          </span>
        </div>
      ))}
      {shown.length < cells.length && (
        <p class="quiet">
          The {MOST_BARS} largest of {cells.length} values.
        </p>
      )}
    </div>
  );
}

function cellText(cell: Cell): string {
  return `${cell.label}: baseline ${percent(cell.baseline, 1)}, window ${percent(cell.window, 1)}`;
}

function spoken(cells: Cell[]): string {
  return `Shares by cell, baseline then window. ${cells.slice(0, 40).map(cellText).join("; ")}`;
}

/** One column's own histogram: small, for the profile of a snapshot. */
export function Histogram({ edges, counts, label }: { edges: Maybe<number[]>; counts: Maybe<number[]>; label: string }) {
  if (!edges?.length || !counts?.length) return null;
  const min = edges[0] ?? 0;
  const max = edges.at(-1) ?? 1;
  if (counts.filter((n) => n > 0).length < 2 && (max - min || 0) <= Math.abs(max) * 1e-6 + 1) {
    return (
      <svg class="histogram" viewBox="0 0 240 48" preserveAspectRatio="none" role="img" aria-label={`${label} has one value`}>
        <rect x="104" width="32" y="2" height="46">
          <title>One value</title>
        </rect>
      </svg>
    );
  }
  const density = counts.map((n, index) => n / ((edges[index + 1] ?? 0) - (edges[index] ?? 0) || 1));
  const tall = Math.max(...density) || 1;
  const x = (value: number) => ((value - min) / (max - min || 1)) * 240;
  return (
    <svg
      class="histogram"
      viewBox="0 0 240 48"
      preserveAspectRatio="none"
      role="img"
      aria-label={`Histogram of ${label}, from ${figure(min)} to ${figure(max)}`}
    >
      {counts.map((n, index) => {
        const from = x(edges[index] ?? 0);
        const height = ((density[index] ?? 0) / tall) * 46;
        return (
          <rect key={index} x={from} width={Math.max(0.8, x(edges[index + 1] ?? 0) - from - 0.6)} y={48 - height} height={height}>
            <title>{`${rangeText(edges[index] ?? null, edges[index + 1] ?? null)}: ${n.toLocaleString("en-US")} rows`}</title>
          </rect>
        );
      })}
    </svg>
  );
}
