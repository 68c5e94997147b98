// SPDX-License-Identifier: Apache-2.0
// The filter above every table: words that must occur, `-word` that must not, and `column:text`, `column>1`, `column<=2`.
// All parts must hold. A column that does not exist matches nothing, so a typing mistake is seen at once.

export type Cells = Record<string, unknown>;
export type Test = (cells: Cells) => boolean;

const PART = /"([^"]*)"|(\S+)/g;
const COMPARISON = /^([\w.@-]+)(>=|<=|!=|=|>|<|:)(.+)$/;

/** Turns a filter text into a test of one row's cells, by column name. */
export function compile(text: string): Test {
  const tests = [...text.matchAll(PART)].map((found) => part(found[1] ?? found[2] ?? ""));
  return (cells) => tests.every((test) => test(cells));
}

function part(token: string): Test {
  if (token.startsWith("-") && token.length > 1) {
    const inner = part(token.slice(1));
    return (cells) => !inner(cells);
  }
  const comparison = COMPARISON.exec(token);
  if (comparison) return compare(comparison[1] ?? "", comparison[2] ?? ":", comparison[3] ?? "");
  const word = token.toLowerCase();
  return (cells) => Object.values(cells).some((value) => text(value).includes(word));
}

function compare(column: string, sign: string, wanted: string): Test {
  const lower = wanted.toLowerCase();
  const number = Number(wanted);
  return (cells) => {
    if (!(column in cells)) return false;
    const value = cells[column];
    switch (sign) {
      case ":":
        return text(value).includes(lower);
      case "=":
        return text(value) === lower;
      case "!=":
        return text(value) !== lower;
      default:
        return typeof value === "number" && !Number.isNaN(number) && ordered(value, sign, number);
    }
  };
}

function ordered(value: number, sign: string, wanted: number): boolean {
  if (sign === ">") return value > wanted;
  if (sign === ">=") return value >= wanted;
  if (sign === "<") return value < wanted;
  return value <= wanted;
}

function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value).toLowerCase();
}

/** Orders two cells: numbers by size, text by alphabet, missing ones last whichever way the column is sorted. */
export function order(a: unknown, b: unknown, descending: boolean): number {
  const missingA = a === null || a === undefined;
  const missingB = b === null || b === undefined;
  if (missingA || missingB) return Number(missingA) - Number(missingB);
  const way = descending ? -1 : 1;
  if (typeof a === "number" && typeof b === "number") return way * (a - b);
  return way * String(a).localeCompare(String(b), "en", { numeric: true });
}
