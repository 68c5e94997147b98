// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { compile, order } from "../src/search.ts";

const ROW = { name: "flights_late", state: "failed", auc: 0.702, reason: "bad taxi feed", empty: null };

test("all parts of a filter must hold", () => {
  assert.equal(compile("flights failed")(ROW), true);
  assert.equal(compile("flights succeeded")(ROW), false);
  assert.equal(compile("")(ROW), true);
});

test("a minus sign keeps rows away", () => {
  assert.equal(compile("-failed")(ROW), false);
  assert.equal(compile("flights -succeeded")(ROW), true);
});

test("numbers are compared as numbers, and a missing one satisfies no comparison", () => {
  assert.equal(compile("auc>0.7")(ROW), true);
  assert.equal(compile("auc>0.71")(ROW), false);
  assert.equal(compile("auc<=0.702")(ROW), true);
  assert.equal(compile("empty<5")(ROW), false);
  assert.equal(compile("auc>many")(ROW), false);
});

test("a column that does not exist matches nothing, so that a typing mistake is seen", () => {
  assert.equal(compile("nmae:flights")(ROW), false);
  assert.equal(compile("name:FLIGHTS")(ROW), true);
  assert.equal(compile("state=failed")(ROW), true);
  assert.equal(compile("state!=failed")(ROW), false);
});

test("words in quotation marks belong together", () => {
  assert.equal(compile('"taxi feed"')(ROW), true);
  assert.equal(compile('"feed taxi"')(ROW), false);
});

test("missing values come last whichever way a column is sorted", () => {
  const values = [2, null, 1];
  assert.deepEqual(
    [...values].sort((a, b) => order(a, b, false)),
    [1, 2, null],
  );
  assert.deepEqual(
    [...values].sort((a, b) => order(a, b, true)),
    [2, 1, null],
  );
  assert.deepEqual(
    ["flights#10", "flights#9"].sort((a, b) => order(a, b, false)),
    ["flights#9", "flights#10"],
  );
});
