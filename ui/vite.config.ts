// SPDX-License-Identifier: Apache-2.0
// Builds the page into the Python package. Nothing may be inlined: the server's content policy is `default-src 'self'`.
import { defineConfig } from "vite";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/mainstay/server/ui/assets",
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    reportCompressedSize: true,
    license: { fileName: "licenses.md" },
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:7777", "/health": "http://127.0.0.1:7777", "/login": "http://127.0.0.1:7777" },
  },
});
