// SPDX-License-Identifier: Apache-2.0
// The columns of a short table of runs, such as those of one pipeline; `runtable.tsx` is for long ones.
import { alike, duration, figure, isImportance, plain, shortId } from "../format.ts";
import type { Run } from "../types.ts";
import { Word } from "./pill.tsx";
import type { Column } from "./table.tsx";
import { Person, When } from "./words.tsx";

const FIXED: Column<Run>[] = [
  { key: "name", label: "Run", value: (run) => run.name ?? run.id },
  { key: "id", label: "Id", value: (run) => run.id, cell: (run) => <code title={run.id}>{shortId(run.id)}</code> },
  { key: "kind", roomy: true, label: "Kind", value: (run) => run.kind },
  { key: "state", label: "State", value: (run) => run.state, cell: (run) => <Word word={run.state} /> },
  { key: "experiment", label: "Experiment", value: (run) => run.experiment, hidden: true },
  { key: "actor", roomy: true, label: "By", value: (run) => run.actor, cell: (run) => <Person name={run.actor} /> },
  { key: "seconds", label: "Took", value: (run) => run.seconds, cell: (run) => duration(run.seconds), right: true },
  { key: "started", label: "Started", value: (run) => run.started_at, cell: (run) => <When at={run.started_at} /> },
  { key: "reason", roomy: true, label: "Reason", value: (run) => run.reason, wide: true },
];

const FEW = 3;
const FRACTION = /^-?\d+\.\d{5,}(e-?\d+)?$/i;

/** Parameters are kept as text, fractions with all their digits. */
function Param({ value }: { value: unknown }) {
  const text = plain(value);
  return FRACTION.test(text) ? <span title={text}>{figure(Number(text))}</span> : <>{text}</>;
}

/** Every metric and parameter that occurs becomes a column; the first few metrics and the first few parameters that tell the
 * runs apart are shown, the rest can be chosen. */
export function runColumns(runs: Run[]): Column<Run>[] {
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics ?? {})))].filter((name) => !isImportance(name));
  const params = [...new Set(runs.flatMap((run) => Object.keys(run.params ?? {})))].filter((key) => !metrics.includes(key));
  const telling = params.filter((key) => new Set(runs.map((run) => plain(run.params?.[key]))).size > 1).slice(0, FEW);
  return [
    ...FIXED.slice(0, 4),
    ...metrics.map((key, index): Column<Run> => {
      const write = alike(runs.map((run) => run.metrics?.[key]));
      return {
        key,
        label: key,
        value: (run) => run.metrics?.[key],
        cell: (run) => write(run.metrics?.[key]),
        right: true,
        hidden: index >= FEW,
      };
    }),
    ...params.map(
      (key): Column<Run> => ({
        key,
        label: key,
        value: (run) => run.params?.[key],
        cell: (run) => <Param value={run.params?.[key]} />,
        hidden: !telling.includes(key),
      }),
    ),
    ...FIXED.slice(4),
  ];
}

/** The same for runs of one name and kind. */
export function runColumnsOfOne(runs: Run[]): Column<Run>[] {
  return runColumns(runs).filter((column) => column.key !== "name" && column.key !== "kind");
}
