// SPDX-License-Identifier: Apache-2.0
// A list that is longer than anybody wants to wait for: the first page is kept fresh, the next ones come as the reader nears
// the end. What was read stays; a page that comes anew is laid over it, so that nothing jumps under the reader's eyes.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, get, query, useGet } from "./api.ts";
import type { Page } from "./types.ts";

const FIRST = 200;
const FURTHER = 1000;

export interface LongList<T> {
  rows: T[];
  error: ApiError | undefined;
  isLoading: boolean; // the first page of this question has not come yet
  isWhole: boolean; // there is no further page
  more: () => void;
}

interface Held<T> {
  path: string;
  rows: T[];
  next: string | null;
}

/** Every row behind `path`, page by page. `path` holds the question (filter, order) and neither a limit nor a place. */
export function useLongList<T extends { id: string }>(path: string): LongList<T> {
  const { data, error } = useGet<Page<T>>(query(path, { limit: FIRST }));
  const held = useRef<Held<T>>({ path, rows: [], next: null });
  const asking = useRef<AbortController | null>(null);
  const [, redraw] = useState(0);
  const [trouble, setTrouble] = useState<ApiError | undefined>();
  if (held.current.path !== path) {
    asking.current?.abort();
    asking.current = null;
    held.current = { path, rows: [], next: null };
  }
  useEffect(() => () => asking.current?.abort(), []);
  useEffect(() => setTrouble(undefined), [path]);
  const rows = data ? laidOver(data.items, held.current.rows) : [];
  const next = held.current.rows.length ? held.current.next : (data?.next ?? null);
  const more = () => {
    if (!next || asking.current) return;
    const mine = new AbortController();
    asking.current = mine;
    get<Page<T>>(query(path, { limit: FURTHER, after: next }), mine.signal)
      .then((page) => {
        if (mine.signal.aborted) return;
        held.current = { path, rows: append(rows, page.items), next: page.next ?? null };
        setTrouble(undefined);
      })
      .catch((reason: unknown) => {
        if (!mine.signal.aborted) setTrouble(reason instanceof ApiError ? reason : new ApiError(0, "error", String(reason)));
      })
      .finally(() => {
        if (asking.current === mine) asking.current = null;
        if (!mine.signal.aborted) redraw((n) => n + 1);
      });
  };
  return { rows, error: error ?? trouble, isLoading: !data && !error, isWhole: Boolean(data) && !next, more };
}

/** What came newly, then all that was held and has not come again. */
export function laidOver<T extends { id: string }>(fresh: T[], held: T[]): T[] {
  if (!held.length) return fresh;
  const ids = new Set(fresh.map((row) => row.id));
  return [...fresh, ...held.filter((row) => !ids.has(row.id))];
}

function append<T extends { id: string }>(rows: T[], further: T[]): T[] {
  const ids = new Set(rows.map((row) => row.id));
  return [...rows, ...further.filter((row) => !ids.has(row.id))];
}
