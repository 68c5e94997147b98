// SPDX-License-Identifier: Apache-2.0
// Curves: what a metric was at each step, as lines that can be laid over each other. Nothing here draws.
import { isNumber } from "./format.ts";
import type { Maybe } from "./types.ts";

export type Across = "step" | "time" | "relative";

export interface CurvePoint {
  step: number;
  at: number; // seconds since 1970
  value: number | null; // null: not a number
}

export interface Curve {
  run: string;
  label: string;
  points: CurvePoint[];
}

/** What the API answers, made plain: times in seconds, values that are no numbers as gaps, in the order of the steps. */
export function pointsOf(answer: Maybe<{ points?: { step?: number; at?: string; value?: unknown }[] }>): CurvePoint[] {
  return (answer?.points ?? [])
    .map((point, index) => ({
      step: point.step ?? index,
      at: Date.parse(point.at ?? "") / 1000,
      value: isNumber(point.value) ? point.value : null,
    }))
    .sort((a, b) => a.step - b.step || a.at - b.at);
}

/** Where each point of a curve stands on the x axis. Relative: seconds since the curve's first point. */
export function across(points: CurvePoint[], by: Across): number[] {
  if (by === "step") return points.map((point) => point.step);
  const first = by === "relative" ? Math.min(...points.map((point) => point.at)) : 0;
  return points.map((point) => point.at - first);
}

/**
 * An exponential moving average: each value counts `weight` times as much as the one after it, 0 ≤ weight < 1. The first values
 * are corrected for the missing past, so that the curve does not begin at zero. Gaps stay gaps.
 */
export function smooth(values: (number | null)[], weight: number): (number | null)[] {
  if (!(weight > 0)) return values;
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    return sum / total;
  });
}

/** A logarithmic axis has no place for zero and below: these become gaps. */
export function positive(values: (number | null)[]): (number | null)[] {
  return values.map((value) => (value !== null && value > 0 ? value : null));
}

/** One point for each place on the x axis: where several share it, the last. uPlot wants strictly rising places. */
export function rising(places: number[], values: (number | null)[]): [number[], (number | null)[]] {
  const byPlace = new Map<number, number | null>();
  places.forEach((place, index) => Number.isFinite(place) && byPlace.set(place, values[index] ?? null));
  const sorted = [...byPlace].sort((a, b) => a[0] - b[0]);
  return [sorted.map(([place]) => place), sorted.map(([, value]) => value)];
}

/** The steps that enclose what is seen between two places on the x axis, so that finer points can be asked for. */
export function stepsWithin(points: CurvePoint[], places: number[], from: number, to: number): [number, number] | null {
  let low: number | null = null;
  let high: number | null = null;
  places.forEach((place, index) => {
    const step = points[index]?.step ?? 0;
    if (place <= from && (low === null || step > low)) low = step;
    if (place >= to && (high === null || step < high)) high = step;
  });
  const first = low ?? points[0]?.step;
  const last = high ?? points.at(-1)?.step;
  return first === undefined || last === undefined ? null : [first, last];
}

/** "train/loss" → "train": curves of one group stand together. */
export function groupOf(key: string): string {
  const slash = key.lastIndexOf("/");
  return slash > 0 ? key.slice(0, slash) : "";
}

/** Metrics that the machine tells of itself, which stand on their own tab. */
export function isSystem(key: string): boolean {
  return key.startsWith("system/");
}
