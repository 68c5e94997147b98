// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { across, groupOf, isSystem, pointsOf, positive, rising, smooth, stepsWithin } from "../src/curves.ts";

const POINTS = [
  { step: 2, at: 130, value: 0.5 },
  { step: 0, at: 100, value: 1 },
  { step: 1, at: 110, value: null },
].sort((a, b) => a.step - b.step);

test("what the API answers comes in the order of steps, with gaps where a value is no number", () => {
  const answer = {
    points: [
      { step: 5, at: "1970-01-01T00:00:09Z", value: "NaN" },
      { step: 1, at: "1970-01-01T00:00:03Z", value: 2 },
    ],
  };
  assert.deepEqual(pointsOf(answer), [
    { step: 1, at: 3, value: 2 },
    { step: 5, at: 9, value: null },
  ]);
  assert.deepEqual(pointsOf(undefined), []);
});

test("a curve stands along steps, times, or the time since its first point", () => {
  assert.deepEqual(across(POINTS, "step"), [0, 1, 2]);
  assert.deepEqual(across(POINTS, "time"), [100, 110, 130]);
  assert.deepEqual(across(POINTS, "relative"), [0, 10, 30]);
});

test("smoothing leaves a level curve level from its first value on, and gaps gaps", () => {
  for (const value of smooth([3, 3, 3], 0.9)) assert.ok(Math.abs((value ?? 0) - 3) < 1e-12);
  const half = smooth([0, 1, null, 1], 0.5);
  assert.equal(half[0], 0);
  assert.ok(Math.abs((half[1] ?? 0) - 2 / 3) < 1e-12);
  assert.equal(half[2], null);
  assert.deepEqual(smooth([1, 5], 0), [1, 5]);
});

test("a logarithmic axis leaves out zero and below", () => {
  assert.deepEqual(positive([1, 0, -2, null]), [1, null, null, null]);
});

test("places rise strictly: of points that share one the last counts", () => {
  assert.deepEqual(rising([2, 1, 2], [10, 20, 30]), [
    [1, 2],
    [20, 30],
  ]);
});

test("what is seen is enclosed by the steps on both sides, so that the line does not end short of the edge", () => {
  assert.deepEqual(stepsWithin(POINTS, [100, 110, 130], 105, 108), [0, 1]);
  assert.deepEqual(stepsWithin(POINTS, [100, 110, 130], 90, 200), [0, 2]);
  assert.equal(stepsWithin([], [], 0, 1), null);
});

test("metrics group by the name before the last slash; the machine's own are told apart", () => {
  assert.equal(groupOf("train/epoch/loss"), "train/epoch");
  assert.equal(groupOf("loss"), "");
  assert.equal(isSystem("system/cpu"), true);
  assert.equal(isSystem("systematic"), false);
});
