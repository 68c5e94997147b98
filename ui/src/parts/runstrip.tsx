// SPDX-License-Identifier: Apache-2.0
// The last runs of a pipeline as a row of bars, the newest on the right. What failed is told by its shape as well as its colour.
import { absolute, duration, isNumber, plural } from "../format.ts";
import type { Run } from "../types.ts";

const TALL_PX = 22;

export function RunStrip({ runs }: { runs: Run[] }) {
  if (!runs.length) return <span class="quiet">–</span>;
  const most = Math.max(...runs.map((run) => run.seconds ?? 0), 0.001);
  const failed = runs.filter((run) => run.state === "failed" || run.state === "killed").length;
  return (
    <span class="run-strip" role="img" aria-label={`The last ${plural(runs.length, "run")}, of which ${failed} failed`}>
      {[...runs].reverse().map((run) => (
        <i
          key={run.id}
          class={`strip-${run.state ?? "unknown"}`}
          style={{ height: `${Math.max(6, ((run.seconds ?? 0) / most) * TALL_PX)}px` }}
          title={`${run.state}, ${absolute(run.started_at)}${isNumber(run.seconds) ? `, took ${duration(run.seconds)}` : ""}`}
        />
      ))}
    </span>
  );
}
