// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { FURTHER, latestText, mainFigure, mainReading, mainValue } from "../src/windows.ts";
import type { WindowAnswer } from "../src/types.ts";

function window(day: number, performance: WindowAnswer["performance"]): WindowAnswer {
  return { id: day, since: `2026-03-0${day}T00:00:00Z`, until: `2026-03-0${day + 1}T00:00:00Z`, performance };
}

const sure = { value: 0.8, lo: 0.7, hi: 0.9 };

test("a model is read by the figure of its kind, as its newest measured window has it", () => {
  const classes = [window(1, { kind: "multiclass", accuracy: sure, macro_f1: 0.7 }), window(2, null)];
  assert.equal(mainFigure(classes), "accuracy");
  assert.deepEqual(FURTHER[mainFigure(classes)], ["macro_f1"]);
  assert.equal(mainFigure([window(1, { kind: "number", mae: 2, rmse: 3 })]), "mae");
  assert.equal(mainFigure([window(1, { mae: 2 }), window(2, { auc: sure })]), "auc");
  assert.equal(mainFigure([]), "auc");
});

test("the figure of a window comes with its interval, and none where it could not be measured", () => {
  assert.deepEqual(mainReading(window(1, { accuracy: sure })), sure);
  assert.equal(mainValue(window(1, { accuracy: { value: null } })), null);
  assert.equal(latestText([window(1, { accuracy: sure })]), "Accuracy 0.800 [0.700, 0.900] in 1 Mar 2026");
});
