// SPDX-License-Identifier: Apache-2.0
// The addresses that MLflow's client prints ("View run at …/#/experiments/1/runs/…") lead to the pages here.
import { at, get, query } from "./api.ts";
import type { Experiment } from "./types.ts";

/** Where a printed address leads; null: nowhere. An experiment is told by its number and needs its name. */
export function leadsTo(hash: string): { href: string } | { experiment: number; path: string } | null {
  const [path = ""] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  const [room, name = "", more, last = ""] = parts;
  if (room === "experiments" && more === "runs" && last) return { href: at("/runs", last) };
  if (room === "experiments" && /^\d+$/.test(name))
    return { experiment: Number(name), path: more === "traces" ? "/traces" : "/runs" };
  if (room === "models" && name && more === "versions" && last) return { href: at("/models", name, last) };
  if (room === "models" && name) return { href: at("/models", name) };
  if (room === "experiments" || room === "models") return { href: `/${room}` };
  return null;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a broken %-escape leads to a page that says there is no such thing
  }
}

/** Goes where the address in the window leads, if MLflow's client printed it. */
export async function followPrinted(go: (href: string) => void): Promise<void> {
  const found = leadsTo(window.location.hash);
  if (!found) return;
  if ("href" in found) return go(found.href);
  const named = await get<Experiment>(at("/api/experiments", found.experiment)).catch(() => null);
  go(named ? query(found.path, { experiment: named.name }) : "/experiments");
}
