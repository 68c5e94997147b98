// SPDX-License-Identifier: Apache-2.0
// Axes for values of any kind: numbers evenly, numbers over many sizes by their logarithm, words in the order of the alphabet.
import { figure, isNumber, plain } from "./format.ts";

export interface Scale {
  kind: "even" | "log" | "words";
  place: (value: unknown) => number | null; // 0..1; null: the value is missing
  ticks: { at: number; text: string }[];
}

const MANY_SIZES = 200; // greatest / least from which on a logarithm tells more

export function scaleOf(values: unknown[]): Scale {
  const known = values.filter((value) => value !== undefined && value !== null);
  const numbers = known.filter(isNumber);
  return known.length > 0 && numbers.length === known.length ? numeric(numbers) : words(known);
}

function numeric(numbers: number[]): Scale {
  const least = Math.min(...numbers);
  const greatest = Math.max(...numbers);
  if (least === greatest)
    return { kind: "even", place: (value) => (isNumber(value) ? 0.5 : null), ticks: [{ at: 0.5, text: figure(least) }] };
  const isLog = least > 0 && greatest / least >= MANY_SIZES;
  const to = isLog ? Math.log10 : (value: number) => value;
  const [low, high] = [to(least), to(greatest)];
  const place = (value: unknown) => (isNumber(value) ? (to(value) - low) / (high - low) : null);
  const steps = isLog ? round(Math.ceil(low), Math.floor(high), 1).map((power) => Number(`1e${power}`)) : even(low, high);
  return { kind: isLog ? "log" : "even", place, ticks: steps.map((value) => ({ at: place(value) ?? 0, text: figure(value) })) };
}

/** About five round numbers from `low` to `high`. */
export function even(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((part) => part * size).find((one) => one >= rough) ?? 10 * size;
  return round(Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9), step);
}

function round(first: number, last: number, step: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function words(known: unknown[]): Scale {
  const names = [...new Set(known.map(plain))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const at = (index: number) => (names.length < 2 ? 0.5 : index / (names.length - 1));
  const places = new Map(names.map((name, index) => [name, at(index)]));
  return {
    kind: "words",
    place: (value) => (value === undefined || value === null ? null : (places.get(plain(value)) ?? null)),
    ticks: names.map((text, index) => ({ at: at(index), text })),
  };
}

export interface Field {
  key: string; // "metrics.auc"
  label: string;
  values: unknown[]; // one for each run; undefined: it has none
}

interface Holder {
  params?: Record<string, unknown>;
  metrics?: Record<string, unknown>;
}

/** Every parameter and metric of some runs, those that differ first told by `isSame`. */
export function fieldsOf(runs: Holder[], part: "params" | "metrics"): Field[] {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run[part] ?? {})))].sort();
  return keys.map((key) => ({ key: `${part}.${key}`, label: key, values: runs.map((run) => run[part]?.[key]) }));
}

export function isSame(field: Field): boolean {
  return new Set(field.values.map((value) => JSON.stringify(value) ?? "undefined")).size <= 1;
}
