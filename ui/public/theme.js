// SPDX-License-Identifier: Apache-2.0
// Runs before the first paint, so that a remembered theme does not flash in the other one.
try {
  var theme = localStorage.getItem("mainstay.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (unused) {
  // Storage may be switched off; the system's preference then decides.
}
