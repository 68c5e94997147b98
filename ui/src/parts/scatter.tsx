// SPDX-License-Identifier: Apache-2.0
// Two fields of many runs against each other, a third as colour. Each dot is a link to its run.
import { plain } from "../format.ts";
import { scaleOf, type Field, type Scale } from "../scales.ts";
import type { Named } from "./parallel.tsx";

const WIDTH = 760;
const HEIGHT = 420;
const LEFT = 72;
const RIGHT = 20;
const TOP = 16;
const BOTTOM = 48;

interface Props {
  runs: Named[];
  across: Field;
  up: Field;
  colour: Field | undefined;
}

export function Scatter({ runs, across, up, colour }: Props) {
  const [sx, sy] = [scaleOf(across.values), scaleOf(up.values)];
  const sc = colour ? scaleOf(colour.values) : null;
  const x = (place: number) => LEFT + (0.03 + place * 0.94) * (WIDTH - LEFT - RIGHT);
  const y = (place: number) => TOP + (0.97 - place * 0.94) * (HEIGHT - TOP - BOTTOM);
  const dots = runs.flatMap((run, index) => {
    const [px, py] = [sx.place(across.values[index]), sy.place(up.values[index])];
    return px === null || py === null ? [] : [{ run, index, px, py }];
  });
  const lost = runs.length - dots.length;
  return (
    <figure class="scatter">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="group"
        aria-label={`${up.label} against ${across.label}, ${dots.length} runs`}
      >
        {few(sy).map((tick) => (
          <g key={tick.text}>
            <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick.at)} y2={y(tick.at)} />
            <text class="tick end" x={LEFT - 8} y={y(tick.at) + 4}>
              {tick.text}
            </text>
          </g>
        ))}
        {few(sx).map((tick) => (
          <text key={tick.text} class="tick middle" x={x(tick.at)} y={HEIGHT - BOTTOM + 18}>
            {tick.text}
          </text>
        ))}
        <text class="scatter-name middle" x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 8}>
          {named(across, sx)}
        </text>
        <text class="scatter-name middle" transform={`translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`}>
          {named(up, sy)}
        </text>
        {dots.map(({ run, index, px, py }) => (
          <a
            key={run.id}
            href={`/runs/${run.id}`}
            aria-label={`${run.name}: ${across.label} ${plain(across.values[index])}, ${up.label} ${plain(up.values[index])}`}
          >
            <circle class="scatter-dot" cx={x(px)} cy={y(py)} r={5} style={{ fill: hue(sc, colour?.values[index]) }}>
              <title>
                {[
                  run.name,
                  ...[across, up, ...(colour ? [colour] : [])].map((field) => `${field.label} ${plain(field.values[index])}`),
                ].join("\n")}
              </title>
            </circle>
          </a>
        ))}
      </svg>
      <figcaption class="quiet">
        {colour && (
          <span class="scatter-key">
            {colour.label}: {few(sc ?? scaleOf([]))[0]?.text ?? "–"} <i aria-hidden="true" />{" "}
            {few(sc ?? scaleOf([])).at(-1)?.text ?? "–"}
          </span>
        )}
        {lost > 0 && ` ${lost} of ${runs.length} runs have no value for one of the two and are not drawn.`}
      </figcaption>
    </figure>
  );
}

function named(field: Field, scale: Scale): string {
  return scale.kind === "log" ? `${field.label} (logarithmic)` : field.label;
}

function few(scale: Scale): Scale["ticks"] {
  if (scale.ticks.length <= 10) return scale.ticks;
  const every = Math.ceil(scale.ticks.length / 10);
  return scale.ticks.filter((_, index) => index % every === 0);
}

function hue(scale: Scale | null, value: unknown): string {
  const place = scale?.place(value);
  if (!scale) return "var(--line-1)";
  if (place === null || place === undefined) return "var(--muted)";
  return `color-mix(in oklab, var(--line-2) ${Math.round(place * 100)}%, var(--line-1))`;
}
