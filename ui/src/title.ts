// SPDX-License-Identifier: Apache-2.0
// What the browser's tab says.
export function setTitle(title: string): void {
  document.title = title ? `${title} · Mainstay` : "Mainstay";
}
