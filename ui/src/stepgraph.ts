// SPDX-License-Identifier: Apache-2.0
// The graph of a pipeline's run as it is drawn: calls of one step that stand side by side become one box with a count, so that
// a fan-out of hundreds stays legible.
import type { PlanDocument, PlanItem, StepEdge, StepGraph, StepNode } from "./types.ts";

export const FEW = 3; // up to here each call has a box of its own

export interface Box {
  id: string;
  name: string; // of the step; of a call, where the box stands for one
  calls: StepNode[];
}

export interface Flow {
  from: string;
  to: string;
  rows: number | null;
}

/** "flights.hourly [3]" and "flights.hourly (2)" are calls of "flights.hourly". */
export function stepOf(name: string): string {
  return name.replace(/ (\[[^\]]*\]|\(\d+\))$/, "");
}

/** A snapshot that is only read is no work: it was there before the run began. */
export function isGiven(node: StepNode): boolean {
  return node.kind !== "step" && !node.run_id && /^[^ ]+@\d+$/.test(node.name);
}

/** Boxes and the flows between them. `isApart`: every call by itself. */
export function gather(graph: Pick<StepGraph, "nodes" | "edges">, isApart = false): { boxes: Box[]; flows: Flow[] } {
  const depths = depthsOf(graph.nodes, graph.edges);
  // Only calls at one depth are gathered: otherwise a step that is fed by itself would close a circle.
  const groupOf = (node: StepNode) => `${stepOf(node.name)} @${depths.get(node.name) ?? 0}`;
  const sizes = new Map<string, number>();
  for (const node of graph.nodes) sizes.set(groupOf(node), (sizes.get(groupOf(node)) ?? 0) + 1);
  const boxes = new Map<string, Box>();
  const place = new Map<string, string>();
  for (const node of graph.nodes) {
    const isGathered = !isApart && (sizes.get(groupOf(node)) ?? 0) > FEW;
    const id = isGathered ? groupOf(node) : node.name;
    place.set(node.name, id);
    const box = boxes.get(id);
    if (box) box.calls.push(node);
    else boxes.set(id, { id, name: isGathered ? stepOf(node.name) : node.name, calls: [node] });
  }
  return { boxes: [...boxes.values()], flows: flowsOf(graph.edges, place) };
}

function flowsOf(edges: StepEdge[], place: Map<string, string>): Flow[] {
  const sources = new Map<string, Map<string, number | null>>(); // of each flow: rows by the call that gives them
  for (const edge of edges) {
    const [from, to] = [place.get(edge.source), place.get(edge.target)];
    if (from === undefined || to === undefined || from === to) continue;
    const key = JSON.stringify([from, to]);
    const given = sources.get(key) ?? new Map<string, number | null>();
    given.set(edge.source, edge.rows ?? null);
    sources.set(key, given);
  }
  return [...sources].map(([key, given]) => {
    const [from, to] = JSON.parse(key) as [string, string];
    const known = [...given.values()].filter((rows) => rows !== null);
    return { from, to, rows: known.length ? known.reduce((sum, rows) => sum + rows, 0) : null };
  });
}

/** How many steps lie before each, on the longest way. */
function depthsOf(nodes: StepNode[], edges: StepEdge[]): Map<string, number> {
  const before = new Map<string, string[]>();
  for (const edge of edges) before.set(edge.target, [...(before.get(edge.target) ?? []), edge.source]);
  const depths = new Map<string, number>();
  for (const node of nodes) {
    // Nodes come in the order of work, so whatever lies before one is there already.
    depths.set(node.name, Math.max(-1, ...(before.get(node.name) ?? []).map((name) => depths.get(name) ?? -1)) + 1);
  }
  return depths;
}

/** One state for all the calls of a box: trouble first, then work under way. */
export function stateOf(calls: StepNode[]): string {
  if (calls.every(isGiven)) return "given";
  const states = new Set(calls.map((call) => call.state ?? "unknown"));
  for (const state of ["failed", "running", "due", "open"]) if (states.has(state)) return state;
  if (states.has("waiting")) return states.size > 1 ? "running" : "waiting";
  if (states.size === 1) return [...states][0] ?? "unknown";
  return states.has("unknown") ? "unknown" : "succeeded";
}

const SNAPSHOT = /^[^ ]+@\d+$/;

/** A plan as the same graph: what is a hit, what is due, and what only shows when that has run. */
export function graphOf(plan: PlanDocument): Pick<StepGraph, "nodes" | "edges"> {
  const edges = plan.items.flatMap((item) => (item.upstream ?? []).map((source) => ({ source, target: item.label })));
  const labels = new Set(plan.items.map((item) => item.label));
  const given = [...new Set(edges.map((edge) => edge.source))].filter((name) => !labels.has(name) && SNAPSHOT.test(name));
  return {
    nodes: [
      ...given.map((name) => ({ name, kind: "existing", state: "succeeded" })),
      ...plan.items.map((item) => ({
        name: item.label,
        kind: /^(snapshot|register) /.exec(item.label)?.[1] ?? "step",
        state: plannedState(item),
        why: item.why,
        key: item.key ?? null,
        hit_of: item.hit_of ?? null,
      })),
    ],
    edges,
  };
}

function plannedState(item: PlanItem): string {
  return item.why === "hit" ? "cached" : item.why === "unknown" ? "open" : "due";
}

export interface Progress {
  total: number;
  done: number;
  hits: number;
  running: number;
  failed: number;
}

export function progressOf(all: StepNode[]): Progress {
  const nodes = all.filter((node) => !isGiven(node));
  const number = (state: string) => nodes.filter((node) => node.state === state).length;
  return {
    total: nodes.length,
    done: number("succeeded") + number("cached"),
    hits: number("cached"),
    running: number("running"),
    failed: number("failed"),
  };
}
