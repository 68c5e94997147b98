// SPDX-License-Identifier: Apache-2.0
// Judged windows as the page reads them: put in order of time, their figures picked out, whatever is missing left as null.
//
// Everything lies on event time (the time the predictions are about), not on the time at which they were judged.
import { interval, isNumber, moment, period, releaseId, versionId } from "./format.ts";
import type { Maybe, Measured, WindowAnswer } from "./types.ts";

export type Reading = Maybe<Measured | number>;

export function value(of: Reading): number | null {
  const found = typeof of === "number" ? of : (of?.value ?? of?.auc);
  return isNumber(found) ? found : null;
}

export function bound(of: Reading, side: "lo" | "hi"): number | null {
  const found = typeof of === "object" ? of?.[side] : null;
  return isNumber(found) ? found : null;
}

export function middle(window: WindowAnswer): number {
  const since = moment(window.since);
  const until = moment(window.until);
  return (Number.isNaN(until) ? since : (since + until) / 2) / 1000;
}

export type Judged = WindowAnswer & { release: string | null; version: string | null };

/** Windows with a place in time, oldest first, their release and version by full id. */
export function usable(windows: WindowAnswer[]): Judged[] {
  return windows
    .filter((window) => !Number.isNaN(middle(window)))
    .map((window) => ({
      ...window,
      release: releaseId(window.release, window.deployment),
      version: versionId(window.version, null),
    }))
    .sort((a, b) => middle(a) - middle(b));
}

export type Figure = "auc" | "brier" | "base_rate" | "accuracy" | "macro_f1" | "mae" | "rmse";

export function figureOf(window: WindowAnswer, name: Figure): Reading {
  return window.performance?.[name];
}

export function referenceOf(windows: WindowAnswer[], name: Figure): number | null {
  for (const window of [...windows].reverse()) {
    const found = window.performance?.reference?.[name];
    const number = typeof found === "string" ? null : value(found);
    if (number !== null) return number;
  }
  return null;
}

/** By what each kind of answer is read: a probability, one of several classes, a number; and what else is told of it. */
export type MainFigure = "auc" | "accuracy" | "mae";

export const FURTHER: Record<MainFigure, Figure[]> = {
  auc: ["brier", "base_rate"],
  accuracy: ["macro_f1"],
  mae: ["rmse"],
};

/** The newest window that is measured tells of what kind the model is. */
export function mainFigure(windows: WindowAnswer[]): MainFigure {
  const measured = usable(windows).filter((window) => mainValue(window) !== null);
  const kinds = Object.keys(FURTHER) as MainFigure[];
  return kinds.find((name) => value(measured.at(-1)?.performance?.[name]) !== null) ?? "auc";
}

/** The figure of a window by which its model is read, with its interval. */
export function mainReading(window: WindowAnswer): Reading {
  const of = window.performance;
  return [of?.auc, of?.accuracy, of?.mae].find((reading) => value(reading) !== null);
}

export function mainValue(window: WindowAnswer): number | null {
  return value(mainReading(window));
}

export const TITLES: Record<Figure, [string, string]> = {
  auc: ["AUC", "area under the ROC curve, 0.5 is chance"],
  brier: ["Brier score", "mean squared error of the probability, lower is better"],
  base_rate: ["Base rate", "share of rows whose label is 1"],
  accuracy: ["Accuracy", "share of answers that name the right class"],
  macro_f1: ["Macro F1", "mean over the classes of F1, each of the same weight"],
  mae: ["Mean absolute error", "in the label's unit, lower is better"],
  rmse: ["Root mean squared error", "in the label's unit, lower is better"],
};

/** Value and interval without n, for narrow columns that have their own column of n. */
export function bare(of: Reading, reason?: Maybe<string>): Measured | null {
  const found = value(of);
  return found === null ? { value: null, reason: reason ?? null } : { value: found, lo: bound(of, "lo"), hi: bound(of, "hi") };
}

export function coverage(window: WindowAnswer): number | null {
  if (isNumber(window.coverage)) return window.coverage;
  return isNumber(window.labelled) && isNumber(window.n) && window.n > 0 ? window.labelled / window.n : null;
}

export function latestText(windows: WindowAnswer[]): string {
  const name = mainFigure(windows);
  const last = usable(windows)
    .filter((window) => value(figureOf(window, name)) !== null)
    .at(-1);
  return last
    ? `${TITLES[name][0]} ${measuredText(figureOf(last, name))} in ${period(last.since, last.until)}`
    : "no labelled window yet";
}

function measuredText(of: Maybe<Measured | number>): string {
  if (typeof of === "number") return interval(of, null, null);
  return interval(of?.value ?? of?.auc, of?.lo, of?.hi);
}
