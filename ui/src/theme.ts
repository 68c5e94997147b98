// SPDX-License-Identifier: Apache-2.0
// Light or dark: the system's preference until somebody chooses, then the choice, kept in this browser.
import { useEffect, useState } from "preact/hooks";

export type Theme = "light" | "dark";

const KEY = "mainstay.theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();

function tell(): void {
  for (const watcher of watchers) watcher();
}

system.addEventListener("change", tell);

export function theme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  if (chosen === "light" || chosen === "dark") return chosen;
  return system.matches ? "dark" : "light";
}

export function choose(next: Theme): void {
  document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is switched off: the choice holds for this tab.
  }
  tell();
}

export function useTheme(): Theme {
  const [now, setNow] = useState(theme);
  useEffect(() => {
    const watcher = () => setNow(theme());
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
    };
  }, []);
  return now;
}
