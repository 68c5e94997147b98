// SPDX-License-Identifier: Apache-2.0
// How much a model leans on each column, as bars, heaviest first.
import { figure, importanceColumn, isImportance, isNumber, percent } from "../format.ts";

export function Weights({ weights, shares = false }: { weights: [string, number][]; shares?: boolean }) {
  const sorted = [...weights].sort((a, b) => b[1] - a[1]);
  const most = Math.max(1e-9, ...sorted.map(([, weight]) => weight));
  return (
    <ul class="tops tops-wide">
      {sorted.map(([name, weight]) => (
        <li key={name}>
          <span>{name}</span>
          <i style={{ width: `${(Math.max(0, weight) / most) * 100}%` }} />
          <b>{shares ? percent(weight) : figure(weight)}</b>
        </li>
      ))}
    </ul>
  );
}

/** The weights among a run's or version's metrics. */
export function weightsIn(metrics: Record<string, unknown> | undefined): [string, number][] {
  return Object.entries(metrics ?? {}).flatMap(([name, value]): [string, number][] =>
    isImportance(name) && isNumber(value) ? [[importanceColumn(name), value]] : [],
  );
}
