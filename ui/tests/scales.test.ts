// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { even, fieldsOf, isSame, scaleOf } from "../src/scales.ts";

test("numbers lie evenly between the least and the greatest, and a missing one lies nowhere", () => {
  const scale = scaleOf([2, 10, undefined]);
  assert.equal(scale.kind, "even");
  assert.deepEqual([scale.place(2), scale.place(6), scale.place(10), scale.place(undefined)], [0, 0.5, 1, null]);
});

test("numbers of many sizes lie by their logarithm, with round powers of ten as marks", () => {
  const scale = scaleOf([0.0001, 0.01, 0.1]);
  assert.equal(scale.kind, "log");
  assert.ok(Math.abs((scale.place(0.001) ?? 0) - 1 / 3) < 1e-9);
  assert.deepEqual(
    scale.ticks.map((tick) => tick.text),
    ["0.0001", "0.001", "0.01", "0.1"],
  );
});

test("as soon as one value is a word, all are words", () => {
  const scale = scaleOf(["rbf", "poly", 3]);
  assert.equal(scale.kind, "words");
  assert.deepEqual(
    scale.ticks.map((tick) => tick.text),
    ["3", "poly", "rbf"],
  );
});

test("a single value stands in the middle", () => {
  assert.equal(scaleOf([5, 5]).place(5), 0.5);
  assert.equal(scaleOf(["a"]).place("a"), 0.5);
});

test("marks are round numbers", () => {
  assert.deepEqual(even(0.52, 0.99), [0.6, 0.7, 0.8, 0.9]);
  assert.deepEqual(even(0, 10), [0, 2, 4, 6, 8, 10]);
});

test("a field is the same only if every run has it, and alike", () => {
  const fields = fieldsOf([{ params: { depth: 6, rate: 1 } }, { params: { depth: 6 } }], "params");
  assert.deepEqual(
    fields.map((field) => [field.key, isSame(field)]),
    [
      ["params.depth", true],
      ["params.rate", false],
    ],
  );
});
