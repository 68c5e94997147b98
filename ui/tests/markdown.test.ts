// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, piecesOf } from "../src/markdown.ts";

test("a card's headings, texts, tables and lists are told apart", () => {
  const blocks = blocksOf("# m/1\n\n## Model\n\n| | |\n|---|---|\n| owner | ana \\| bo |\n\ntwo\nlines\n\n- one\n- two\n");
  assert.deepEqual(blocks, [
    { kind: "heading", level: 1, text: "m/1" },
    { kind: "heading", level: 2, text: "Model" },
    { kind: "table", head: ["", ""], rows: [["owner", "ana | bo"]] },
    { kind: "text", text: "two lines" },
    { kind: "list", items: ["one", "two"] },
  ]);
});

test("markup stays text", () => {
  assert.deepEqual(blocksOf("<script>x</script>"), [{ kind: "text", text: "<script>x</script>" }]);
});

test("code, strong and soft pieces are found, and names with underscores are left alone", () => {
  assert.deepEqual(piecesOf("a `b` **c** _d_ e_f_g"), [
    { kind: "text", text: "a " },
    { kind: "code", text: "b" },
    { kind: "text", text: " " },
    { kind: "strong", text: "c" },
    { kind: "text", text: " " },
    { kind: "soft", text: "d" },
    { kind: "text", text: " e_f_g" },
  ]);
});
