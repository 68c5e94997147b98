// SPDX-License-Identifier: Apache-2.0
// The one way to the server: typed GET and POST, errors as the API's own sentence, and answers that stay fresh.
//
// `useGet` shows the last known answer at once, asks again, and draws anew only if the answer's text has changed. Each ledger
// event that arrives over server-sent events makes the answers on screen ask again, so a page moves without being reloaded.
import { useEffect, useState } from "preact/hooks";
import type { LedgerEvent } from "./types.ts";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly facts: Record<string, unknown> = {},
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

async function failure(answer: Response): Promise<ApiError> {
  const text = await answer.text();
  try {
    const { error } = JSON.parse(text) as {
      error?: { kind?: string; message?: string; facts?: Record<string, unknown>; request_id?: string };
    };
    if (error?.message)
      return new ApiError(answer.status, error.kind ?? "error", error.message, error.facts, error.request_id ?? null);
  } catch {
    // Not our server's shape: a proxy, or a server that is just starting. The status is all there is to say.
  }
  return new ApiError(answer.status, "error", `The server answered ${answer.status} ${answer.statusText} and no sentence.`);
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...init });
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === "AbortError") throw reason;
    throw new ApiError(
      0,
      "unavailable",
      "The server does not answer. `mainstay up` starts it; this page then goes on by itself.",
    );
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await send(path, { signal: signal ?? null, headers: { accept: "application/json" } });
  return (await answer.json()) as T;
}

/** A POST. Trying again with the same key is safe: the server carries the act out once. */
export async function post<T>(path: string, body: unknown, key: string = freshKey()): Promise<T> {
  const answer = await send(path, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  window.setTimeout(freshen); // after the sheet that asked is closed: its preview need not be asked about what is done
  return (text ? JSON.parse(text) : null) as T;
}

export function freshKey(): string {
  // crypto.randomUUID needs https; this works on a plain http address inside a company too.
  const random = crypto.getRandomValues(new Uint8Array(16));
  return [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A path with each part escaped: `at("/api/runs", id)`. "@" stays readable. */
export function at(...parts: (string | number)[]): string {
  const [root, ...rest] = parts;
  return [root, ...rest.map((part) => encodeURIComponent(String(part)).replaceAll("%40", "@"))].join("/");
}

export function query(path: string, params: Record<string, string | number | null | undefined>): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== null && value !== undefined && value !== "") words.set(name, String(value));
  const text = words.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}

export interface Answer<T> {
  data: T | undefined;
  error: ApiError | undefined;
}

interface Kept {
  text: string;
  data: unknown;
  error: ApiError | undefined;
  readers: Set<() => void>;
  asking: AbortController | undefined;
  again: boolean;
}

const kept = new Map<string, Kept>();
const MOST_KEPT = 120;

function entry(path: string): Kept {
  const known = kept.get(path);
  if (known) return known;
  if (kept.size >= MOST_KEPT) {
    for (const [old, value] of kept) if (value.readers.size === 0) kept.delete(old);
  }
  const fresh: Kept = { text: "", data: undefined, error: undefined, readers: new Set(), asking: undefined, again: false };
  kept.set(path, fresh);
  return fresh;
}

async function ask(path: string, item: Kept): Promise<void> {
  if (item.asking) {
    item.again = true; // something changed while the question was on its way: ask once more afterwards
    return;
  }
  const asking = new AbortController();
  item.asking = asking;
  try {
    const answer = await send(path, { signal: asking.signal, headers: { accept: "application/json" } });
    const text = await answer.text();
    if (text !== item.text || item.error) {
      item.text = text;
      item.data = JSON.parse(text);
      item.error = undefined;
      for (const reader of item.readers) reader();
    }
  } catch (reason) {
    if (!asking.signal.aborted) {
      item.error =
        reason instanceof ApiError
          ? reason
          : new ApiError(0, "error", `The answer to ${path} could not be read: ${String(reason)}`);
      for (const reader of item.readers) reader();
    }
  } finally {
    item.asking = undefined;
    if (item.again && item.readers.size) {
      item.again = false;
      void ask(path, item);
    }
  }
}

/** The answer to `path`, kept fresh while it is on screen. `null` asks nothing. `everyMs`: ask so often as well, for what
 * moves without an event in the ledger. */
export function useGet<T>(path: string | null, everyMs = 0): Answer<T> {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    const item = entry(path);
    const reader = () => redraw((n) => n + 1);
    item.readers.add(reader);
    void ask(path, item);
    return () => {
      item.readers.delete(reader);
      if (item.readers.size === 0) item.asking?.abort();
    };
  }, [path]);
  useEffect(() => {
    if (path === null || !everyMs) return undefined;
    const timer = window.setInterval(() => {
      if (document.visibilityState === "visible") void ask(path, entry(path));
    }, everyMs);
    return () => window.clearInterval(timer);
  }, [path, everyMs]);
  const item = path === null ? undefined : kept.get(path);
  return { data: item?.data as T | undefined, error: item?.error };
}

/** The answers to many paths at once, each kept fresh like that of `useGet`. */
export function useGets<T>(paths: string[]): Answer<T>[] {
  const [, redraw] = useState(0);
  const key = paths.join("\n");
  useEffect(() => {
    const items = paths.map((path) => [path, entry(path)] as const);
    const reader = () => redraw((n) => n + 1);
    for (const [path, item] of items) {
      item.readers.add(reader);
      void ask(path, item);
    }
    return () => {
      for (const [, item] of items) {
        item.readers.delete(reader);
        if (item.readers.size === 0) item.asking?.abort();
      }
    };
  }, [key]);
  return paths.map((path) => ({ data: kept.get(path)?.data as T | undefined, error: kept.get(path)?.error }));
}

/** Asks every question on screen again. */
export function freshen(): void {
  for (const [path, item] of kept) if (item.readers.size) void ask(path, item);
}

export type Line = "connecting" | "live" | "lost";

interface Stream {
  line: Line;
  last: LedgerEvent | undefined;
}

const stream: Stream = { line: "connecting", last: undefined };
const watchers = new Set<() => void>();
const QUIET_MS = 700; // a busy loop records dozens of events a second; the page asks at most about once in this time
let pending: number | undefined;

function changed(): void {
  for (const watcher of watchers) watcher();
}

function soon(): void {
  if (pending !== undefined) return;
  pending = window.setTimeout(() => {
    pending = undefined;
    if (document.visibilityState === "visible") freshen();
  }, QUIET_MS);
}

/** Opens the stream of ledger events; the browser reconnects by itself when the line is lost. */
export function follow(): void {
  const source = new EventSource("/api/events/stream");
  source.addEventListener("open", () => {
    const returned = stream.line === "lost";
    stream.line = "live";
    changed();
    if (returned) freshen();
  });
  source.addEventListener("error", () => {
    stream.line = "lost";
    changed();
    // A refused stream (401) is closed for good by the browser: try again now and then, as a sign-in may happen in another tab.
    if (source.readyState === EventSource.CLOSED) window.setTimeout(() => follow(), 10_000);
  });
  const take = (event: MessageEvent<string>) => {
    try {
      stream.last = JSON.parse(event.data) as LedgerEvent;
    } catch {
      return; // a comment or a heartbeat
    }
    changed();
    soon();
  };
  source.addEventListener("ledger", take);
  source.addEventListener("message", take);
}

/** While the line is lost, or the tab was hidden, the page catches up by asking again. */
export function catchUp(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") freshen();
  });
  window.setInterval(() => {
    if (stream.line === "lost" && document.visibilityState === "visible") freshen();
  }, 15_000);
}

export function useStream(): Stream {
  const [, redraw] = useState(0);
  useEffect(() => {
    const watcher = () => redraw((n) => n + 1);
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
    };
  }, []);
  return stream;
}
