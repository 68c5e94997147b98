// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { differing, parseDiff } from "../src/diff.ts";
import { parseModelFile } from "../src/mlmodel.ts";
import { imageType, lookOf, textOf, treeOf } from "../src/preview.ts";
import { parseCsv, tableOfJson } from "../src/tabular.ts";

test("a file is looked at by its name, and HTML is never more than text", () => {
  assert.equal(lookOf("plots/roc.PNG"), "image");
  assert.equal(lookOf("report.html"), "html");
  assert.equal(lookOf("model/MLmodel"), "model");
  assert.equal(lookOf("code/diff.patch"), "diff");
  assert.equal(lookOf("model.pkl"), "none");
  assert.equal(lookOf("requirements.txt"), "text");
  assert.equal(lookOf("Makefile"), "text");
});

test("bytes prove a picture, not the name", () => {
  assert.equal(imageType(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])), "image/png");
  assert.equal(imageType(new TextEncoder().encode("<script>")), null);
});

test("text with a letter cut in the middle is text; with a zero byte it is not", () => {
  const whole = new TextEncoder().encode("déjà");
  assert.equal(textOf(whole.subarray(0, whole.length - 1)), "déj");
  assert.equal(textOf(new Uint8Array([65, 0, 66])), null);
  assert.equal(textOf(new Uint8Array([0xff, 0xfe, 0xfd, 0xfc, 0xfb])), null);
});

test("paths become folders with their sizes", () => {
  const tree = treeOf([
    { path: "a/b/c.txt", size: 3 },
    { path: "z.txt", size: 1 },
    { path: "a/d.txt", size: 2 },
  ]);
  assert.equal(tree.size, 6);
  assert.deepEqual(tree.files, ["z.txt"]);
  assert.equal(tree.folders[0]?.size, 5);
  assert.deepEqual(tree.folders[0]?.folders[0]?.files, ["a/b/c.txt"]);
});

test("CSV keeps commas and line breaks that stand in quotes", () => {
  const table = parseCsv('a,b\r\n"x, y","say ""hi"""\r\n"two\nlines",2\n');
  assert.deepEqual(table, {
    columns: ["a", "b"],
    rows: [
      ["x, y", 'say "hi"'],
      ["two\nlines", "2"],
    ],
    isCut: false,
  });
});

test("the torn last line of a CSV that goes on is left out", () => {
  assert.deepEqual(parseCsv("a\n1\n2\n3", { isCut: true })?.rows, [["1"], ["2"]]);
  assert.equal(parseCsv("a\n1\n2\n3", { isCut: true })?.isCut, true);
  assert.deepEqual(parseCsv("a\n1\n2\n3")?.rows, [["1"], ["2"], ["3"]]);
});

test("of a long CSV the first rows are read, and it says that there are more", () => {
  const table = parseCsv(`n\n${Array.from({ length: 50 }, (_, n) => n).join("\n")}`, { most: 10 });
  assert.equal(table?.rows.length, 10);
  assert.equal(table?.isCut, true);
});

test("JSON is a table where it is one", () => {
  assert.deepEqual(tableOfJson([{ a: 1 }, { a: 2, b: null }])?.columns, ["a", "b"]);
  assert.deepEqual(tableOfJson({ columns: ["q"], data: [["x"]] })?.rows, [["x"]]);
  assert.equal(tableOfJson([{ a: { deep: 1 } }]), null);
  assert.equal(tableOfJson({ a: 1 }), null);
});

test("a diff knows its files, its numbers, and lines that only look like a head", () => {
  const files = parseDiff(
    [
      "diff --git a/x.sql b/x.sql",
      "index 1..2 100644",
      "--- a/x.sql",
      "+++ b/x.sql",
      "@@ -1,2 +1,2 @@ here",
      "--- was a comment",
      "+-- is a comment",
      " same",
      "diff --git a/new.py b/new.py",
      "--- /dev/null",
      "+++ b/new.py",
      "@@ -0,0 +1 @@",
      "+x = 1",
      "\\ No newline at end of file",
    ].join("\n"),
  );
  assert.deepEqual(
    files.map((file) => [file.name, file.added, file.removed]),
    [
      ["x.sql", 1, 1],
      ["new.py", 1, 0],
    ],
  );
  assert.deepEqual(files[0]?.lines[1], { kind: "removed", text: "-- was a comment", before: 1, after: null });
  assert.deepEqual(files[0]?.lines[3], { kind: "same", text: "same", before: 2, after: 2 });
});

test("only what differs is listed, and what is missing on a side differs", () => {
  assert.deepEqual(differing([{ numpy: "1", polars: "2" }, { numpy: "1" }]), [{ name: "polars", values: ["2", undefined] }]);
  assert.deepEqual(differing([null, undefined]), []);
});

test("an MLmodel file tells what loads it, what goes in and what comes out", () => {
  const model = parseModelFile(
    [
      "flavors:",
      "  sklearn:",
      "    pickled_model: model.pkl",
      "mlflow_version: 3.4.0",
      "signature:",
      `  inputs: '[{"type": "double", "name": "delay", "required": true}, {"type": "string",`,
      `    "name": "it''s", "required": false}]'`,
      `  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'`,
      "  params: null",
    ].join("\n"),
  );
  assert.deepEqual(model.flavors, [{ name: "sklearn", facts: [["pickled_model", "model.pkl"]] }]);
  assert.deepEqual(model.inputs, [
    { name: "delay", type: "double" },
    { name: "it's", type: "string, may be missing" },
  ]);
  assert.deepEqual(model.outputs, [{ name: "1", type: "int64 (-1)" }]);
  assert.deepEqual(model.facts, [["mlflow_version", "3.4.0"]]);
});
