// SPDX-License-Identifier: Apache-2.0
// How curves are drawn: along what, how smooth, on which scale. The choice stands in the address and holds for every curve
// of the page.
import type { Across } from "../curves.ts";
import { setParams, useParam } from "../router.ts";
import type { CurveLook } from "./curve.tsx";

const ACROSS: [Across, string][] = [
  ["step", "Step"],
  ["time", "Time"],
  ["relative", "Relative"],
];
const SMOOTHEST = 0.99;

export function useCurveLook(): CurveLook {
  const [by] = useParam("x", "step");
  const [smoothing] = useParam("smooth", "0");
  const [log] = useParam("log");
  const weight = Number(smoothing);
  return {
    by: by === "time" || by === "relative" ? by : "step",
    smoothing: weight > 0 && weight < 1 ? Math.min(weight, SMOOTHEST) : 0,
    isLog: log === "y",
  };
}

export function CurveTools({ look }: { look: CurveLook }) {
  return (
    <div class="curve-tools">
      <div class="segments" role="group" aria-label="Along the x axis">
        {ACROSS.map(([id, label]) => (
          <button
            key={id}
            type="button"
            aria-pressed={look.by === id}
            title={id === "relative" ? "Time since the first point" : undefined}
            onClick={() => setParams({ x: id === "step" ? "" : id })}
          >
            {label}
          </button>
        ))}
      </div>
      <label class="field field-inline">
        <span>Smoothing</span>
        <input
          type="range"
          min="0"
          max={String(SMOOTHEST)}
          step="0.01"
          value={String(look.smoothing)}
          title="A moving average over the points drawn; the faint line is as it was logged"
          onInput={(event) => setParams({ smooth: event.currentTarget.value === "0" ? "" : event.currentTarget.value })}
        />
        <output>{look.smoothing.toFixed(2)}</output>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={look.isLog}
          onChange={(event) => setParams({ log: event.currentTarget.checked ? "y" : "" })}
        />
        Logarithmic
      </label>
      <span class="quiet curve-hint">Drag to look closer, double click for all.</span>
    </div>
  );
}
