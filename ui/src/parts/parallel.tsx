// SPDX-License-Identifier: Apache-2.0
// Parallel coordinates: each run a line across axes of parameters and metrics, coloured by the last axis. Dragging along an axis
// keeps the runs that pass there; a click on the axis' name lets all through again.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { plain } from "../format.ts";
import { scaleOf, type Field, type Scale } from "../scales.ts";

const HEIGHT = 340;
const TOP = 44;
const BOTTOM = 20;
const SIDE = 56;
const STEP = 118; // least room of an axis
const REACH = 8; // how far beyond its ends an axis can be taken hold of, so that the ends themselves can be kept

export interface Named {
  id: string;
  name: string;
}

type Span = [number, number];

interface Props {
  runs: Named[];
  fields: Field[];
}

export function Parallel({ runs, fields }: Props) {
  const scales = useMemo(() => fields.map((field) => scaleOf(field.values)), [fields]);
  const [spans, setSpans] = useState<ReadonlyMap<string, Span>>(new Map());
  const [near, setNear] = useState<number | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useEffect(() => {
    const place = frame.current;
    if (!place) return undefined;
    const watch = new ResizeObserver(() => setRoom(place.clientWidth));
    watch.observe(place);
    return () => watch.disconnect();
  }, []);
  const width = Math.max(room, SIDE * 2 + STEP * (fields.length - 1));
  const x = (index: number) => (fields.length < 2 ? width / 2 : SIDE + (index * (width - 2 * SIDE)) / (fields.length - 1));
  const isKept = (run: number) =>
    fields.every((field, index) => {
      const span = spans.get(field.key);
      const place = scales[index]?.place(field.values[run]);
      return !span || (place !== null && place !== undefined && place >= span[0] && place <= span[1]);
    });
  const span = (key: string, value: Span | null) => {
    const next = new Map(spans);
    if (value) next.set(key, value);
    else next.delete(key);
    setSpans(next);
  };
  const kept = runs.map((_, index) => isKept(index));
  const order = runs
    .map((_, index) => index)
    .sort((a, b) => Number(kept[a]) - Number(kept[b]) || Number(a === near) - Number(b === near));
  return (
    <figure class="parallel">
      <div class="parallel-frame" ref={frame}>
        <svg width={width} height={HEIGHT} role="img" aria-label={spoken(runs, fields, kept)}>
          {order.map((run) => (
            <path
              key={runs[run]?.id}
              class={`parallel-line${kept[run] ? "" : " parallel-out"}${run === near ? " parallel-near" : ""}`}
              style={{ stroke: hue(scales.at(-1)?.place(fields.at(-1)?.values[run])) }}
              d={lineOf(fields, scales, run, x)}
              onPointerEnter={() => setNear(run)}
              onPointerLeave={() => setNear(null)}
            >
              <title>{titleOf(runs[run], fields, run)}</title>
            </path>
          ))}
          {fields.map((field, index) => (
            <Axis
              key={field.key}
              field={field}
              scale={scales[index] ?? scaleOf([])}
              at={x(index)}
              side={index === 0 ? "start" : index === fields.length - 1 ? "end" : "middle"}
              span={spans.get(field.key) ?? null}
              set={(value) => span(field.key, value)}
            />
          ))}
        </svg>
      </div>
      <figcaption class="quiet">
        {near !== null ? (
          <b>{titleOf(runs[near], fields, near)}</b>
        ) : spans.size ? (
          `${kept.filter(Boolean).length} of ${runs.length} runs pass: ${runs
            .filter((_, index) => kept[index])
            .slice(0, 12)
            .map((run) => run.name)
            .join(", ")}`
        ) : (
          "Each line is a run. Drag along an axis to keep those that pass there."
        )}
      </figcaption>
    </figure>
  );
}

/** From the page's first line colour to its second, along the last axis; without a value: grey. */
function hue(place: number | null | undefined): string {
  if (place === null || place === undefined) return "var(--line-strong)";
  return `color-mix(in oklab, var(--line-2) ${Math.round(place * 100)}%, var(--line-1))`;
}

function y(place: number): number {
  return TOP + (1 - place) * (HEIGHT - TOP - BOTTOM);
}

/** A missing value breaks the line. */
function lineOf(fields: Field[], scales: Scale[], run: number, x: (index: number) => number): string {
  let isDown = false;
  return fields
    .map((field, index) => {
      const place = scales[index]?.place(field.values[run]);
      if (place === null || place === undefined) {
        isDown = false;
        return "";
      }
      const word = isDown ? "L" : "M";
      isDown = true;
      return `${word}${x(index).toFixed(1)},${y(place).toFixed(1)}`;
    })
    .join("");
}

function titleOf(run: Named | undefined, fields: Field[], index: number): string {
  return `${run?.name}: ${fields.map((field) => `${field.label} ${plain(field.values[index])}`).join(", ")}`;
}

function spoken(runs: Named[], fields: Field[], kept: boolean[]): string {
  return `${runs.length} runs across ${fields.map((field) => field.label).join(", ")}; ${kept.filter(Boolean).length} pass. The table of differences has every value.`;
}

interface AxisProps {
  field: Field;
  scale: Scale;
  at: number;
  side: "start" | "middle" | "end"; // the names of the outermost axes lean inwards
  span: Span | null;
  set: (span: Span | null) => void;
}

function Axis({ field, scale, at, side, span, set }: AxisProps) {
  const start = useRef<number | null>(null);
  const area = useRef<SVGRectElement>(null);
  const placeOf = (event: PointerEvent) => {
    const box = area.current?.getBoundingClientRect();
    return box ? Math.min(1, Math.max(0, 1 - (event.clientY - box.top - REACH) / (box.height - 2 * REACH))) : 0;
  };
  const ticks =
    scale.ticks.length > 9 ? scale.ticks.filter((_, index) => index % Math.ceil(scale.ticks.length / 9) === 0) : scale.ticks;
  return (
    <g>
      <text class="parallel-name" x={at + LEAN[side]} y={18} text-anchor={side} onClick={() => set(null)}>
        {short(field.label)}
        <title>{field.key}</title>
      </text>
      {scale.kind === "log" && (
        <text class="tick middle" x={at} y={32}>
          logarithmic
        </text>
      )}
      <line class="parallel-axis" x1={at} x2={at} y1={y(0)} y2={y(1)} />
      {ticks.map((tick) => (
        <text key={tick.text} class="tick" x={at + 6} y={y(tick.at) + 4}>
          {short(tick.text)}
        </text>
      ))}
      {span && <rect class="parallel-span" x={at - 7} width={14} y={y(span[1])} height={Math.max(2, y(span[0]) - y(span[1]))} />}
      <rect
        ref={area}
        class="parallel-hit"
        x={at - 12}
        width={24}
        y={y(1) - REACH}
        height={y(0) - y(1) + 2 * REACH}
        onPointerDown={(event) => {
          start.current = placeOf(event);
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          if (start.current === null) return;
          const now = placeOf(event);
          if (Math.abs(now - start.current) > 0.02) set([Math.min(now, start.current), Math.max(now, start.current)]);
        }}
        onPointerUp={() => {
          start.current = null;
        }}
      />
    </g>
  );
}

const LEAN = { start: -24, middle: 0, end: 24 };

function short(text: string): string {
  return text.length > 20 ? `${text.slice(0, 19)}…` : text;
}
