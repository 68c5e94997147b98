// SPDX-License-Identifier: Apache-2.0
// A column's values in a cell of a table: its histogram, or its most frequent values.
import { count, percent, plain } from "../format.ts";
import type { ProfileColumn } from "../types.ts";
import { Histogram } from "./distribution.tsx";

const MOST_TOPS = 3;

export function Sparkline({ column, label }: { column: ProfileColumn | undefined; label?: string }) {
  if (!column) return <span class="quiet">–</span>;
  if (column.histogram?.edges?.length)
    return (
      <span class="spark">
        <Histogram edges={column.histogram.edges} counts={column.histogram.counts} label={label ?? column.name} />
      </span>
    );
  const top = column.top ?? [];
  const most = Math.max(1, ...top.map((one) => one.count));
  if (!top.length) return <span class="quiet">–</span>;
  return (
    <ul class="tops spark">
      {top.slice(0, MOST_TOPS).map((one) => (
        <li key={plain(one.value)} title={`${count(one.count)} rows`}>
          <span>{plain(one.value)}</span>
          <i style={{ width: `${(one.count / most) * 100}%` }} />
          <b>{column.n ? percent(one.count / column.n) : count(one.count)}</b>
        </li>
      ))}
    </ul>
  );
}
