// SPDX-License-Identifier: Apache-2.0
// Rows of somebody's file, as they are: no sorting, no links, numbers to the right.
import { figure, isNumber } from "../format.ts";

interface Props {
  columns: string[];
  rows: unknown[][];
  label: string;
  types?: string[];
}

const LONGEST = 200;

export function Cells({ columns, rows, label, types }: Props) {
  const isRight = columns.map((_, index) => rows.length > 0 && rows.every((row) => isNumeric(row[index])));
  return (
    <div class="table-frame table-tall" tabIndex={0}>
      <table class="cells" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column, index) => (
              <th key={index} scope="col" class={isRight[index] ? "right" : ""}>
                {column}
                {types?.[index] && <span class="cell-sub">{types[index]}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, place) => (
            <tr key={place}>
              {columns.map((_, index) => (
                <td key={index} class={isRight[index] ? "right" : ""}>
                  {written(row[index])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function isNumeric(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return isNumber(value) || (typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value)));
}

function written(value: unknown) {
  if (value === null || value === undefined) return <span class="quiet">–</span>;
  if (isNumber(value)) return figure(value);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > LONGEST ? <span title={text}>{text.slice(0, LONGEST)}…</span> : text;
}
