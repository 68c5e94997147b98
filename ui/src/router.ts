// SPDX-License-Identifier: Apache-2.0
// Addresses: plain paths through the browser's history. Ordinary <a href> elements work; one listener turns their clicks
// into moves inside the page. What a view shows (tab, filter, sorting, columns) stands in the query, so that it can be sent.
import { useEffect, useState } from "preact/hooks";

export interface Place {
  path: string;
  query: URLSearchParams;
}

const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

export function here(): Place {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

export function go(href: string, { replace = false }: { replace?: boolean } = {}): void {
  const samePath = new URL(href, window.location.href).pathname === window.location.pathname;
  if (replace) window.history.replaceState(null, "", href);
  else window.history.pushState(null, "", href);
  tell();
  if (!samePath) {
    window.scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }
}

/** Follows moves for as long as the page is open. */
export function listen(): void {
  window.addEventListener("popstate", tell);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const href = link?.getAttribute("href");
    if (!link || !href || link.target || link.hasAttribute("download") || !href.startsWith("/")) return;
    if (/^\/(api|login|openapi\.json|docs)\b/.test(href)) return; // the server answers these itself
    event.preventDefault();
    go(href);
  });
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const update = () => setPlace(here());
    listeners.add(update);
    return () => {
      listeners.delete(update);
    };
  }, []);
  return place;
}

/** One word of the query as state. Setting it to its default takes it out of the address. */
export function useParam(name: string, fallback = ""): [string, (value: string) => void] {
  const { query } = usePlace();
  const value = query.get(name) ?? fallback;
  return [value, (next) => setParams({ [name]: next === fallback ? "" : next })];
}

/** Changes words of the query without leaving the page or growing the history. */
export function setParams(changes: Record<string, string>): void {
  const query = new URLSearchParams(window.location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  go(window.location.pathname + (text ? `?${text}` : ""), { replace: true });
}

/** "/models/:name/:number" against a path; `undefined` when it does not fit. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/").filter(Boolean);
  const found = path.split("/").filter(Boolean);
  if (wanted.length !== found.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = found[index] ?? "";
    if (part.startsWith(":")) params[part.slice(1)] = decodePart(value);
    else if (part !== value) return undefined;
  }
  return params;
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a broken %-escape is shown as it stands and leads to "no such page"
  }
}
