// SPDX-License-Identifier: Apache-2.0
// Compiles the unit tests so that Node's own test runner can run them; no test framework is installed.
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    ssr: true,
    outDir: ".tests",
    emptyOutDir: true,
    rolldownOptions: { input: ["tests/format.test.ts", "tests/search.test.ts"], output: { entryFileNames: "[name].js" } },
  },
});
