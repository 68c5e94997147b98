// SPDX-License-Identifier: Apache-2.0
// Which runs are asked for: the words of the page's address become the question that the server answers. Filtering, sorting
// and paging are the server's; nothing here looks at a row.

export interface Wanted {
  kind: string; // "": all but steps
  experiment: string;
  filter: string;
  sort: string; // a column's key, "-" before it for descending
}

/** The query words of `GET /api/runs`. */
export function asked({ kind, experiment, filter, sort }: Wanted): Record<string, string> {
  // The page's own part comes first: the server's sentence about a filter it cannot read then quotes the reader's words.
  const parts = [kind ? "" : "kind != 'step'", filter.trim()].filter(Boolean);
  return {
    kind: kind === "all" ? "" : kind,
    experiment,
    filter: parts.join(" and "),
    order_by: ordering(sort),
  };
}

/** "-metrics.val loss" → "metrics.`val loss` DESC"; "" → the server's own order, newest first. */
export function ordering(sort: string): string {
  if (!sort) return "";
  const isDescending = sort.startsWith("-");
  return `${field(isDescending ? sort.slice(1) : sort)} ${isDescending ? "DESC" : "ASC"}`;
}

/** A column's key as the search language writes it: odd characters stand in backticks. */
export function field(key: string): string {
  const found = /^(metrics|params|tags)\.(.+)$/.exec(key);
  if (!found) return key;
  return /^[\w\-./:]+$/.test(found[2] ?? "") ? key : `${found[1]}.\`${found[2]}\``;
}

/** Turns of a column's head: ascending, descending, as it was. A metric begins with its best guess, the greatest. */
export function turned(sort: string, key: string): string {
  const [first, second] = key.startsWith("metrics.") || key === "started_at" ? [`-${key}`, key] : [key, `-${key}`];
  return sort === first ? second : sort === second ? "" : first;
}
