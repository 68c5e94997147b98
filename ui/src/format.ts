// SPDX-License-Identifier: Apache-2.0
// How numbers, times, ids and subjects are written. Everything accepts a missing value and then says "unknown".
import type { Health, Maybe } from "./types.ts";

export const UNKNOWN = "unknown";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
export const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** 48102 → "48,102". */
export function count(value: Maybe<number>): string {
  return isNumber(value) ? Math.round(value).toLocaleString("en-US") : UNKNOWN;
}

/** A measured value: `digits` after the point, so that columns of it line up. */
export function decimal(value: Maybe<number>, digits = 3): string {
  return isNumber(value) ? value.toFixed(digits).replace("-", "−") : UNKNOWN;
}

/** Any number a person may have logged: whole numbers whole, the rest with four significant digits. */
export function figure(value: unknown): string {
  if (!isNumber(value)) return value === null || value === undefined ? UNKNOWN : String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? value.toLocaleString("en-US") : value.toExponential(3);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2).replace("-", "−");
  if (size >= 1000) return Math.round(value).toLocaleString("en-US").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

/** How the numbers of one column are written so that their points line up: whole ones whole, the rest with three digits. */
export function alike(values: unknown[]): (value: unknown) => string {
  const numbers = values.filter(isNumber);
  if (numbers.every(Number.isInteger)) return (value) => (isNumber(value) ? count(value) : "–");
  const plainSize = numbers.every((number) => number === 0 || (Math.abs(number) >= 0.001 && Math.abs(number) < 1000));
  return (value) => (!isNumber(value) ? "–" : plainSize ? decimal(value) : figure(value));
}

/** A metric as the API gives it: JSON has no word for what is no number (null) and for the infinite (text). */
export function reading(value: unknown, write: (value: unknown) => string = figure): string {
  if (value === null) return "not a number";
  if (value === "Infinity") return "∞";
  if (value === "-Infinity") return "−∞";
  return value === undefined ? "–" : write(value);
}

/** A share of 0..1 as percent; small shares keep a digit more. */
export function percent(share: Maybe<number>, digits?: number): string {
  if (!isNumber(share)) return UNKNOWN;
  const value = share * 100;
  const places = digits ?? (value !== 0 && Math.abs(value) < 10 ? 1 : 0);
  return `${value.toFixed(places)} %`;
}

/** A share of traffic, whether it comes as 0..1, as percent or as basis points: "10 %". */
export function share(value: Maybe<number>): string {
  if (!isNumber(value)) return "";
  const part = value > 100 ? value / 10_000 : value > 1 ? value / 100 : value;
  return `${Number((part * 100).toFixed(2))} %`;
}

/** "0.703 [0.690, 0.716]"; without an interval it says so by leaving it out. */
export function interval(value: Maybe<number>, lo: Maybe<number>, hi: Maybe<number>, digits = 3): string {
  if (!isNumber(value)) return UNKNOWN;
  const range = isNumber(lo) && isNumber(hi) ? ` [${decimal(lo, digits)}, ${decimal(hi, digits)}]` : "";
  return decimal(value, digits) + range;
}

export function signed(value: Maybe<number>, digits = 3): string {
  if (!isNumber(value)) return UNKNOWN;
  const text = decimal(value, digits);
  return value > 0 ? `+${text}` : text;
}

export function bytes(value: Maybe<number>): string {
  if (!isNumber(value)) return UNKNOWN;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** Seconds as people say them: "38 ms", "2.4 s", "3 min 5 s", "2 h 10 min", "12 d". */
export function duration(seconds: Maybe<number>): string {
  if (!isNumber(seconds)) return UNKNOWN;
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return pair(seconds, MINUTE, "min", 1, "s");
  if (seconds < 2 * DAY) return pair(seconds, HOUR, "h", MINUTE, "min");
  return `${Math.round(seconds / DAY)} d`;
}

function pair(seconds: number, big: number, bigName: string, small: number, smallName: string): string {
  const whole = Math.floor(seconds / big);
  const rest = Math.floor((seconds - whole * big) / small);
  return rest ? `${whole} ${bigName} ${rest} ${smallName}` : `${whole} ${bigName}`;
}

export function days(value: Maybe<number>): string {
  if (!isNumber(value)) return UNKNOWN;
  if (value < 1 / 24) return "under 1 h";
  return value < 2 ? `${Math.round(value * 24)} h` : `${Math.round(value)} d`;
}

/** Milliseconds since 1970, or NaN. */
export function moment(iso: Maybe<string>): number {
  return iso ? Date.parse(iso) : Number.NaN;
}

/** "4 min ago", "in 3 d"; never "yesterday", which depends on where the reader sits. */
export function ago(iso: Maybe<string>, now: number = Date.now()): string {
  const then = moment(iso);
  if (Number.isNaN(then)) return UNKNOWN;
  const seconds = (now - then) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const size = coarse(Math.abs(seconds));
  return seconds > 0 ? `${size} ago` : `in ${size}`;
}

function coarse(seconds: number): string {
  if (seconds < MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  if (seconds < 90 * DAY) return `${Math.round(seconds / DAY)} d`;
  const months = Math.round(seconds / (30.44 * DAY));
  return months < 24 ? `${months} months` : `${Math.round(seconds / (365.25 * DAY))} years`;
}

/** "12 Jun 2013" in UTC. */
export function day(iso: Maybe<string>): string {
  const at = moment(iso);
  if (Number.isNaN(at)) return UNKNOWN;
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

/** "12 Jun 2013 14:03:22 UTC". */
export function absolute(iso: Maybe<string>): string {
  const at = moment(iso);
  if (Number.isNaN(at)) return UNKNOWN;
  return `${day(iso)} ${new Date(at).toISOString().slice(11, 19)} UTC`;
}

/** A window's name: a whole calendar month is "Mar 2013", a whole day "4 Mar 2013", anything else "4 Mar – 11 Mar 2013". */
export function period(since: Maybe<string>, until: Maybe<string>): string {
  const from = moment(since);
  const to = moment(until);
  if (Number.isNaN(from)) return UNKNOWN;
  if (Number.isNaN(to)) return `since ${day(since)}`;
  const start = new Date(from);
  const next = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1);
  const tolerance = 2000; // an end written as 23:59:59.999 closes the same month
  if (start.getUTCDate() === 1 && Math.abs(to - next) <= tolerance) {
    return `${MONTHS[start.getUTCMonth()]} ${start.getUTCFullYear()}`;
  }
  const last = new Date(Math.max(from, to - 1));
  if (to - from <= DAY * 1000 + tolerance) return day(since);
  const tail = `${last.getUTCDate()} ${MONTHS[last.getUTCMonth()]} ${last.getUTCFullYear()}`;
  const sameYear = last.getUTCFullYear() === start.getUTCFullYear();
  return `${start.getUTCDate()} ${MONTHS[start.getUTCMonth()]}${sameYear ? "" : ` ${start.getUTCFullYear()}`} – ${tail}`;
}

/** The month alone for narrow columns ("Mar"), else the period. */
export function shortPeriod(since: Maybe<string>, until: Maybe<string>): string {
  const full = period(since, until);
  const month = /^([A-Z][a-z]{2}) \d{4}$/.exec(full);
  if (month) return month[1] ?? full;
  return full.replace(/ \d{4}$/, "");
}

/** An id or digest short enough to read. Ids begin with a time, so two neighbours differ only at the end: show both. */
export function shortId(id: Maybe<string>): string {
  if (!id) return UNKNOWN;
  if (/^[0-9a-f]{64}$/.test(id) || /^[0-9a-f]{40}$/.test(id)) return id.slice(0, 12);
  if (/^[0-9a-f]{32}$/.test(id)) return `${id.slice(0, 4)}…${id.slice(-6)}`;
  return id;
}

/** "run:0193…" → {kind: "run", name: "0193…"}. */
export function splitSubject(subject: Maybe<string>): { kind: string; name: string } {
  const text = subject ?? "";
  const colon = text.indexOf(":");
  return colon < 0 ? { kind: "", name: text } : { kind: text.slice(0, colon), name: text.slice(colon + 1) };
}

/** A subject as people read it: without its kind where the name alone tells it ("flights#7", "flights@3"). */
export function subjectName(subject: Maybe<string>): string {
  const { kind, name } = splitSubject(subject);
  if (!kind) return name || UNKNOWN;
  const telling = ["snapshot", "version", "release"].includes(kind);
  return telling ? name : `${kind} ${shortId(name)}`;
}

const FOLDERS: Record<string, string> = {
  dataset: "datasets",
  snapshot: "snapshots",
  run: "runs",
  model: "models",
  version: "models",
  deployment: "deployments",
  monitor: "monitors",
  alert: "alerts",
  trigger: "triggers",
  decision: "decisions",
  prediction: "predictions",
  pipeline: "pipelines",
  policy: "policies",
  schedule: "schedules",
  backfill: "backfills",
};

/** Where the page of a subject is, or null when it has none. */
export function subjectHref(subject: Maybe<string>): string | null {
  const { kind, name } = splitSubject(subject);
  if (!kind || !name) return null;
  if (kind === "release") {
    const mark = name.lastIndexOf("#");
    return mark > 0 ? `/releases/${name.slice(0, mark)}/${name.slice(mark + 1)}` : null;
  }
  if (kind === "view") return `/features/${name.split("/")[0]}`;
  if (kind === "person") return "/people";
  if (kind === "contract") return `/datasets/${name}?tab=contract`;
  if (kind === "rollout" || kind === "step") return null;
  const folder = FOLDERS[kind];
  return folder ? `/${folder}/${name}` : null;
}

/** "flights#7" → "/releases/flights/7". */
export function releaseHref(release: Maybe<string>): string | null {
  return release ? subjectHref(`release:${release}`) : null;
}

/** A version's id, whether the API names it "flights-late/3" or only 3. */
export function versionId(version: Maybe<string | number>, model: Maybe<string>): string | null {
  if (version === null || version === undefined || version === "") return null;
  const text = String(version);
  if (text.includes("/")) return text;
  return model ? `${model}/${text}` : text;
}

/** A release's id, whether the API names it "flights#3" or only 3. */
export function releaseId(release: Maybe<string | number>, deployment: Maybe<string>): string | null {
  if (release === null || release === undefined || release === "") return null;
  const text = String(release);
  if (text.includes("#")) return text;
  return deployment ? `${deployment}#${text}` : text;
}

/** "release.approved" → "release approved". */
export function kindWords(kind: Maybe<string>): string {
  return (kind ?? UNKNOWN).replaceAll(".", " ").replaceAll("_", " ");
}

export type Tone = Health | "plain" | "accent";

const TONES: Record<string, Tone> = {
  ok: "ok",
  watch: "watch",
  alert: "alert",
  unknown: "unknown",
  insufficient: "unknown",
  "insufficient data": "unknown",
  pass: "ok",
  passed: "ok",
  fail: "alert",
  failed: "alert",
  warning: "watch",
  succeeded: "ok",
  cached: "ok",
  running: "accent",
  judging: "accent",
  rolling: "accent",
  live: "accent",
  leased: "accent",
  done: "ok",
  waiting: "watch",
  open: "watch",
  held: "watch",
  paused: "watch",
  refused: "alert",
  rejected: "alert",
  aborted: "alert",
  killed: "alert",
  rolled_back: "alert",
  promote: "ok",
  rollback: "alert",
  start: "accent",
  suggest: "accent",
};

/** Which of the page's few colours a state word is drawn in. A word the page does not know stays neutral. */
export function toneOf(word: Maybe<string>): Tone {
  if (!word) return "unknown";
  return TONES[word] ?? "plain";
}

export function isHealth(word: Maybe<string>): word is Health {
  return word === "ok" || word === "watch" || word === "alert" || word === "unknown";
}

/** The worst of several; "unknown" weighs more than "ok", since nobody knows, and less than a sign of trouble. */
export function worst(states: Maybe<string>[]): Health {
  const order: Health[] = ["alert", "watch", "unknown", "ok"];
  const known = states.map((state) => (isHealth(state) ? state : "unknown"));
  return order.find((state) => known.includes(state)) ?? "unknown";
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** A value of a facts table, in one line. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value === "number") return figure(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") {
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value)) return absolute(value);
    if (/^[0-9a-f]{64}$/.test(value)) return value.slice(0, 12);
    return value === "" ? "(empty)" : value;
  }
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object")) {
    return value.length ? value.map(plain).join(", ") : "none";
  }
  if (Array.isArray(value)) return value.map(plain).join("; ");
  return Object.entries(value as object)
    .map(
      ([name, inner]) =>
        `${name} ${typeof inner === "object" && inner !== null && !Array.isArray(inner) ? `(${plain(inner)})` : plain(inner)}`,
    )
    .join(", ");
}

const IMPORTANCE = /^importance[./]/;

/** Whether a metric is the weight of a column, as training runs log it: "importance.carrier". */
export function isImportance(name: string): boolean {
  return IMPORTANCE.test(name);
}

export function importanceColumn(name: string): string {
  return name.replace(IMPORTANCE, "");
}
