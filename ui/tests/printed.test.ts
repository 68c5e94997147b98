// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { leadsTo } from "../src/printed.ts";

test("what MLflow's client prints leads to the run, the version, the model and the experiment", () => {
  assert.deepEqual(leadsTo("#/experiments/1/runs/01a2"), { href: "/runs/01a2" });
  assert.deepEqual(leadsTo("#/experiments/12"), { experiment: 12, path: "/runs" });
  assert.deepEqual(leadsTo("#/experiments/12/traces?selected=tr-1"), { experiment: 12, path: "/traces" });
  assert.deepEqual(leadsTo("#/models/a%20b/versions/3"), { href: "/models/a%20b/3" });
  assert.deepEqual(leadsTo("#/models/iris"), { href: "/models/iris" });
});

test("any other address stays where it is", () => {
  assert.equal(leadsTo("#main"), null);
  assert.equal(leadsTo(""), null);
  assert.deepEqual(leadsTo("#/models/50%"), { href: "/models/50%25" });
});
