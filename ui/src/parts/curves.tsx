// SPDX-License-Identifier: Apache-2.0
// The curves of many metrics, in groups by the part of their name before the last slash, under one look and one cursor.
import { useState } from "preact/hooks";
import { groupOf } from "../curves.ts";
import { useParam } from "../router.ts";
import { CurveChart, type Line } from "./curve.tsx";
import { CurveTools, useCurveLook } from "./curvetools.tsx";

const AT_ONCE = 24;

export function Curves({ lines, metrics }: { lines: Line[]; metrics: string[] }) {
  const look = useCurveLook();
  const [words, setWords] = useParam("metrics");
  const [most, setMost] = useState(AT_ONCE);
  const found = metrics.filter((metric) => metric.toLowerCase().includes(words.trim().toLowerCase()));
  const shown = found.slice(0, most);
  const groups = [...new Set(shown.map(groupOf))];
  return (
    <>
      <CurveTools look={look} />
      {metrics.length > 6 && (
        <label class="field field-filter curve-filter">
          <span class="unseen">Which metrics</span>
          <input
            type="search"
            value={words}
            placeholder={`Which of ${metrics.length} metrics`}
            onInput={(event) => setWords(event.currentTarget.value)}
          />
        </label>
      )}
      {groups.map((group) => (
        <section key={group} class="curve-group">
          {group && <h3>{group}</h3>}
          <div class={`curves${shown.length === 1 ? " curves-one" : ""}`}>
            {shown
              .filter((metric) => groupOf(metric) === group)
              .map((metric) => (
                <CurveChart key={metric} metric={metric} lines={lines} look={look} sync="curves" isAlone={shown.length === 1} />
              ))}
          </div>
        </section>
      ))}
      <p class="quiet curve-none">Metrics that were logged once have no curve; their values are under Results.</p>
      {found.length > most && (
        <button type="button" class="button" onClick={() => setMost(most + AT_ONCE)}>
          More curves ({found.length - most})
        </button>
      )}
    </>
  );
}
