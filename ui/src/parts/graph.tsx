// SPDX-License-Identifier: Apache-2.0
// A directed graph, laid out by dagre. Boxes are ordinary elements over one sheet of arrows, at full size always: text never
// shrinks, a wide graph scrolls. It runs left to right where that fits, else from top to bottom.
import dagre from "@dagrejs/dagre";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

export interface GraphNode {
  id: string;
  body: ComponentChildren;
  label: string;
  style?: string;
  href?: string | null;
}

export interface GraphEdge {
  from: string;
  to: string;
  label?: string | undefined;
}

interface Props {
  nodes: GraphNode[];
  edges: GraphEdge[];
  label: string;
  widths?: number[]; // of a box, the most wanted first; the next is taken where the graph would not fit
  height?: number;
  down?: boolean; // always from top to bottom
  chosen?: string | null;
  choose?: (id: string) => void;
}

interface Point {
  x: number;
  y: number;
}

interface Laid {
  width: number;
  height: number;
  boxes: Map<string, Point>;
  lines: { edge: GraphEdge; points: Point[]; at: Point | null }[];
}

function lay(nodes: GraphNode[], edges: GraphEdge[], width: number, height: number, direction: "LR" | "TB"): Laid {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  const labelled = edges.some((edge) => edge.label);
  graph.setGraph({
    rankdir: direction,
    nodesep: 16,
    ranksep: direction === "LR" ? (width < 170 ? 28 : 44) : labelled ? 44 : 32,
    marginx: 4,
    marginy: 4,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width, height });
  edges.forEach((edge, index) => {
    if (graph.hasNode(edge.from) && graph.hasNode(edge.to)) {
      graph.setEdge(
        edge.from,
        edge.to,
        { width: edge.label ? edge.label.length * 6 : 0, height: edge.label ? 14 : 0, labelpos: "c" },
        String(index),
      );
    }
  });
  dagre.layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  const boxes = new Map(nodes.map((node) => [node.id, graph.node(node.id) as unknown as Point]));
  const lines = graph.edges().map((key) => {
    const laid = graph.edge(key) as unknown as { points: Point[]; x?: number; y?: number };
    const edge = edges[Number(key.name)] ?? { from: key.v, to: key.w };
    return { edge, points: laid.points, at: laid.x !== undefined && laid.y !== undefined ? { x: laid.x, y: laid.y } : null };
  });
  return { width: size.width ?? width, height: size.height ?? height, boxes, lines };
}

/** The first layout that fits the room: left to right with each width, then top to bottom with each; else the narrowest downwards. */
function fit(
  nodes: GraphNode[],
  edges: GraphEdge[],
  widths: number[],
  height: number,
  down: boolean,
  room: number,
): Laid & { box: number; down: boolean } {
  const tries = [
    ...(down ? [] : widths.map((box) => ({ box, way: "LR" as const }))),
    ...widths.map((box) => ({ box, way: "TB" as const })),
  ];
  let laid: (Laid & { box: number; down: boolean }) | undefined;
  for (const { box, way } of tries) {
    laid = { ...lay(nodes, edges, box, height, way), box, down: way === "TB" };
    if (laid.width <= room) break;
  }
  return laid ?? { width: 0, height: 0, boxes: new Map(), lines: [], box: 0, down };
}

export function Graph({ nodes, edges, label, widths = [188, 164, 140], height = 72, down = false, chosen, choose }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useEffect(() => {
    const place = frame.current;
    if (!place) return undefined;
    const watch = new ResizeObserver(() => setRoom(place.clientWidth));
    watch.observe(place);
    return () => watch.disconnect();
  }, []);
  const shape = JSON.stringify([nodes.map((node) => node.id), edges, widths, height, down]);
  const laid = useMemo(() => fit(nodes, edges, widths, height, down, Math.max(room - 26, 320)), [shape, room]);
  const { box: width } = laid;
  useEffect(() => {
    const place = frame.current;
    const root = laid.boxes.get(nodes[0]?.id ?? "");
    if (place && laid.down && root) place.scrollLeft = root.x - place.clientWidth / 2; // where it does not fit, begin at the root
  }, [laid]);
  return (
    <div class="graph-frame" ref={frame} role="group" aria-label={label} tabIndex={0}>
      <div class="graph" style={{ width: `${laid.width}px`, height: `${laid.height}px` }}>
        <svg width={laid.width} height={laid.height} aria-hidden="true">
          <defs>
            <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 .8 7 4 0 7.2z" />
            </marker>
          </defs>
          {laid.lines.map(({ edge, points, at }) => (
            <g key={`${edge.from}>${edge.to}${edge.label ?? ""}`}>
              <path class="graph-edge" d={curve(points)} marker-end="url(#tip)" />
              {edge.label && at && (
                <text class="graph-label" x={at.x} y={at.y + 4}>
                  {edge.label}
                </text>
              )}
            </g>
          ))}
        </svg>
        {nodes.map((node) => {
          const spot = laid.boxes.get(node.id);
          const place = {
            left: `${(spot?.x ?? 0) - width / 2}px`,
            top: `${(spot?.y ?? 0) - height / 2}px`,
            width: `${width}px`,
            height: `${height}px`,
          };
          const style = `graph-node ${node.style ?? ""}${chosen === node.id ? " graph-chosen" : ""}`;
          if (choose)
            return (
              <button
                key={node.id}
                type="button"
                class={style}
                style={place}
                aria-pressed={chosen === node.id}
                title={node.label}
                onClick={() => choose(node.id)}
              >
                {node.body}
              </button>
            );
          if (node.href)
            return (
              <a key={node.id} class={style} style={place} href={node.href} title={node.label}>
                {node.body}
              </a>
            );
          return (
            <div key={node.id} class={style} style={place} title={node.label}>
              {node.body}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function curve(points: Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  if (rest.length < 2) return `M${first.x},${first.y}${rest.map((point) => `L${point.x},${point.y}`).join("")}`;
  const parts = [`M${first.x},${first.y}`];
  for (let index = 0; index < rest.length - 1; index += 1) {
    const point = rest[index] as Point;
    const next = rest[index + 1] as Point;
    const end = index === rest.length - 2 ? next : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    parts.push(`Q${point.x},${point.y} ${end.x},${end.y}`);
  }
  return parts.join("");
}
