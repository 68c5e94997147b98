// SPDX-License-Identifier: Apache-2.0
// Compiles the unit tests so that Node's own test runner can run them; no test framework is installed.
import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    ssr: true,
    outDir: ".tests",
    emptyOutDir: true,
    rolldownOptions: { input: readdirSync("tests").map((name) => `tests/${name}`), output: { entryFileNames: "[name].js" } },
  },
});
