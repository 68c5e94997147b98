// SPDX-License-Identifier: Apache-2.0
// Differences of text: a unified diff as lines that know their numbers, and the difference of two texts made here.

export interface DiffLine {
  kind: "same" | "added" | "removed" | "place";
  text: string;
  before: number | null;
  after: number | null;
}

export interface DiffFile {
  name: string;
  added: number;
  removed: number;
  lines: DiffLine[];
}

/** Reads `git diff`'s output. Lines before the first file, and what git says about modes and indexes, are left out. */
export function parseDiff(text: string): DiffFile[] {
  const files: DiffFile[] = [];
  let file: DiffFile | undefined;
  let before = 0;
  let after = 0;
  let left = { before: 0, after: 0 }; // lines of the present stretch that are still to come
  for (const line of text.split("\n")) {
    const place = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)/.exec(line);
    const isInside = left.before > 0 || left.after > 0;
    if (!isInside && line.startsWith("diff --git ")) {
      file = begun(files, / b\/(.+)$/.exec(line)?.[1] ?? "");
    } else if (!isInside && line.startsWith("--- ")) {
      if (!file || file.lines.length) file = begun(files, ""); // a diff that git did not write has no line of its own
    } else if (!isInside && line.startsWith("+++ ") && file) {
      const name = line.slice(4).replace(/^b\//, "").replace(/\t.*$/, "");
      if (name !== "/dev/null") file.name = name;
    } else if (!isInside && place && file) {
      before = Number(place[1]);
      after = Number(place[3]);
      left = { before: Number(place[2] ?? 1), after: Number(place[4] ?? 1) };
      file.lines.push({ kind: "place", text: (place[5] ?? "").trim(), before: null, after: null });
    } else if (isInside && file) {
      if (line.startsWith("+")) {
        file.lines.push({ kind: "added", text: line.slice(1), before: null, after });
        file.added += 1;
        after += 1;
        left.after -= 1;
      } else if (line.startsWith("-")) {
        file.lines.push({ kind: "removed", text: line.slice(1), before, after: null });
        file.removed += 1;
        before += 1;
        left.before -= 1;
      } else if (!line.startsWith("\\")) {
        file.lines.push({ kind: "same", text: line.slice(1), before, after });
        before += 1;
        after += 1;
        left = { before: left.before - 1, after: left.after - 1 };
      }
    }
  }
  return files;
}

function begun(files: DiffFile[], name: string): DiffFile {
  const file: DiffFile = { name, added: 0, removed: 0, lines: [] };
  files.push(file);
  return file;
}

export interface Changed {
  name: string;
  values: (unknown | undefined)[]; // one for each side; undefined: it is not there
}

/** The names whose values are not the same on every side, in the order of the alphabet. */
export function differing(sides: (Record<string, unknown> | null | undefined)[]): Changed[] {
  const names = [...new Set(sides.flatMap((side) => Object.keys(side ?? {})))].sort((a, b) => a.localeCompare(b, "en"));
  return names
    .map((name) => ({ name, values: sides.map((side) => side?.[name]) }))
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value) ?? "undefined")).size > 1);
}
