// SPDX-License-Identifier: Apache-2.0
// Files as tables: CSV and JSON become columns and rows, as far as they were read. What is no table is null.

export interface Tabular {
  columns: string[];
  rows: unknown[][];
  isCut: boolean; // the file goes on
}

/** CSV after RFC 4180: quotes, doubled quotes, line breaks inside quotes. With `isCut` the last, torn line is left out. */
export function parseCsv(text: string, { separator = ",", most = 200, isCut = false } = {}): Tabular | null {
  const lines: string[][] = [];
  let line: string[] = [];
  let cell = "";
  let isQuoted = false;
  let place = text.startsWith("\ufeff") ? 1 : 0;
  for (; place < text.length && lines.length <= most; place += 1) {
    const sign = text[place] ?? "";
    if (isQuoted) {
      if (sign !== '"') cell += sign;
      else if (text[place + 1] === '"') {
        cell += '"';
        place += 1;
      } else isQuoted = false;
    } else if (sign === '"' && cell === "") isQuoted = true;
    else if (sign === separator) {
      line.push(cell);
      cell = "";
    } else if (sign === "\n") {
      line.push(cell.endsWith("\r") ? cell.slice(0, -1) : cell);
      lines.push(line);
      line = [];
      cell = "";
    } else cell += sign;
  }
  const isWhole = place >= text.length && !isCut;
  if (isWhole && !isQuoted && (cell || line.length)) lines.push([...line, cell]);
  const [columns, ...rows] = lines;
  if (!columns?.length) return null;
  return { columns, rows: rows.slice(0, most), isCut: !isWhole || rows.length > most };
}

/** JSON that is a table: a list of flat objects, or columns beside rows as `log_table` writes them. */
export function tableOfJson(value: unknown, most = 200): Tabular | null {
  if (Array.isArray(value))
    return value.length && value.every(isFlat) ? ofObjects(value as Record<string, unknown>[], most) : null;
  const split = value as { columns?: unknown; data?: unknown } | null;
  if (!split || !Array.isArray(split.columns) || !Array.isArray(split.data) || !split.data.every(Array.isArray)) return null;
  const rows = split.data as unknown[][];
  return { columns: split.columns.map(String), rows: rows.slice(0, most), isCut: rows.length > most };
}

function ofObjects(items: Record<string, unknown>[], most: number): Tabular {
  const columns = [...new Set(items.slice(0, most).flatMap((item) => Object.keys(item)))];
  return { columns, rows: items.slice(0, most).map((item) => columns.map((name) => item[name])), isCut: items.length > most };
}

function isFlat(item: unknown): boolean {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return false;
  return Object.values(item).every((value) => value === null || typeof value !== "object");
}
