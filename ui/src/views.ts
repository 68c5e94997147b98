// SPDX-License-Identifier: Apache-2.0
// Saved views: a name for an address. The view itself is the address, so it can be sent to a colleague; the names are this
// browser's.
import { recall, remember } from "./remember.ts";

export interface View {
  name: string;
  query: string;
}

/** What this browser has saved for `page`; whatever cannot be read is nothing. */
export function views(page: string): View[] {
  return read(recall(`views.${page}`));
}

export function read(text: string | null): View[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found.filter(isView) : [];
  } catch {
    return [];
  }
}

/** Saving under a name that is there already replaces what it names. */
export function saved(before: View[], view: View): View[] {
  return [...before.filter((one) => one.name !== view.name), view].sort((a, b) => a.name.localeCompare(b.name, "en"));
}

export function save(page: string, view: View): View[] {
  return keep(page, saved(views(page), view));
}

export function forget(page: string, name: string): View[] {
  return keep(
    page,
    views(page).filter((view) => view.name !== name),
  );
}

function keep(page: string, all: View[]): View[] {
  remember(`views.${page}`, JSON.stringify(all));
  return all;
}

function isView(value: unknown): value is View {
  const view = value as View | null;
  return typeof view?.name === "string" && typeof view.query === "string";
}
