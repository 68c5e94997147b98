// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { laidOver } from "../src/longlist.ts";
import { asked, field, ordering, turned } from "../src/runquery.ts";
import { read, saved } from "../src/views.ts";

test("steps are left out until somebody asks for them, and the reader's filter is kept as it was typed", () => {
  const none = { kind: "", experiment: "", filter: " metrics.auc > 0.7 ", sort: "" };
  assert.equal(asked(none).filter, "kind != 'step' and metrics.auc > 0.7");
  assert.deepEqual(asked({ ...none, kind: "all" }), { kind: "", experiment: "", filter: "metrics.auc > 0.7", order_by: "" });
  assert.equal(asked({ ...none, kind: "step" }).kind, "step");
});

test("a key with odd characters is written in backticks", () => {
  assert.equal(field("metrics.val loss"), "metrics.`val loss`");
  assert.equal(field("metrics.val/loss"), "metrics.val/loss");
  assert.equal(ordering("-metrics.val loss"), "metrics.`val loss` DESC");
  assert.equal(ordering(""), "");
});

test("a metric is sorted by its greatest first, a name from A, and the third turn is as it was", () => {
  assert.equal(turned("", "metrics.auc"), "-metrics.auc");
  assert.equal(turned("-metrics.auc", "metrics.auc"), "metrics.auc");
  assert.equal(turned("metrics.auc", "metrics.auc"), "");
  assert.equal(turned("", "name"), "name");
  assert.equal(turned("-metrics.auc", "name"), "name");
});

test("a fresh first page is laid over what was read: nothing twice, nothing lost", () => {
  const rows = (...ids: string[]) => ids.map((id) => ({ id }));
  assert.deepEqual(laidOver(rows("e", "d"), rows("d", "c", "b")), rows("e", "d", "c", "b"));
  assert.deepEqual(laidOver(rows("a"), []), rows("a"));
});

test("saved views that cannot be read are none, and a name names one view", () => {
  assert.deepEqual(read("{"), []);
  assert.deepEqual(read('[{"name": "best"}, 3]'), []);
  const once = saved([{ name: "best", query: "a=1" }], { name: "best", query: "a=2" });
  assert.deepEqual(once, [{ name: "best", query: "a=2" }]);
});
