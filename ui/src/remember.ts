// SPDX-License-Identifier: Apache-2.0
// Small things this browser remembers (how far the reader has looked, a folded panel). Works without storage, too.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`mainstay.${key}`);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`mainstay.${key}`, value);
  } catch {
    // Storage is switched off: nothing is remembered, nothing breaks.
  }
}
