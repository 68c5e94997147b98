// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { gather, progressOf, stateOf, stepOf } from "../src/stepgraph.ts";
import type { StepNode } from "../src/types.ts";

const node = (name: string, state = "succeeded"): StepNode => ({ name, state, kind: "step" });
const FAN = Array.from({ length: 200 }, (_, index) => `n.hourly [${index}]`);
const GRAPH = {
  nodes: [node("n.read"), ...FAN.map((name) => node(name)), node("n.sum")],
  edges: [
    ...FAN.map((target) => ({ source: "n.read", target, rows: 50 })),
    ...FAN.map((source) => ({ source, target: "n.sum", rows: 2 })),
  ],
};

test("two hundred calls side by side are one box, and its rows are all of theirs", () => {
  const { boxes, flows } = gather(GRAPH);

  assert.deepEqual(
    boxes.map((box) => [box.name, box.calls.length]),
    [
      ["n.read", 1],
      ["n.hourly", 200],
      ["n.sum", 1],
    ],
  );
  assert.deepEqual(
    flows.map((flow) => flow.rows),
    [50, 400], // what is read by each is the same 50 rows; what each gives are 2 of its own
  );
  assert.equal(gather(GRAPH, true).boxes.length, 202);
});

test("a step that is fed by itself stays a chain", () => {
  const names = ["n.more", "n.more (2)", "n.more (3)", "n.more (4)", "n.more (5)"];
  const edges = names.slice(1).map((target, index) => ({ source: names[index] ?? "", target }));

  const { boxes, flows } = gather({ nodes: names.map((name) => node(name)), edges });

  assert.equal(boxes.length, 5);
  assert.equal(flows.length, 4);
  assert.equal(stepOf("n.more (5)"), "n.more");
});

test("a box tells trouble first, and is not done before its last call is", () => {
  assert.equal(stateOf([node("a"), node("b", "failed"), node("c", "running")]), "failed");
  assert.equal(stateOf([node("a"), node("b", "waiting")]), "running");
  assert.equal(stateOf([node("a", "cached"), node("b", "cached")]), "cached");
  assert.equal(stateOf([node("a", "cached"), node("b")]), "succeeded");
});

test("a snapshot that is only read is no step that is to be done", () => {
  const read: StepNode = { name: "readings@2", kind: "snapshot", state: "waiting" };

  assert.equal(stateOf([read]), "given");
  assert.deepEqual(progressOf([read, node("a"), node("b", "cached")]), { total: 2, done: 2, hits: 1, running: 0, failed: 0 });
});
