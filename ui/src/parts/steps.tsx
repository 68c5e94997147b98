// SPDX-License-Identifier: Apache-2.0
// The steps of a pipeline's run as a graph: how far it is, which were hits, why the others ran, how many rows passed. Below it
// the same as a table, and of the step that is chosen what its key is made of and what it made.
import type { ComponentChildren } from "preact";
import { bytes, count, duration, isNumber, kindWords, plain, plural, toneOf, type Tone } from "../format.ts";
import { useParam } from "../router.ts";
import { gather, isGiven, progressOf, stateOf, stepOf, type Box } from "../stepgraph.ts";
import type { Run, Step, StepGraph, StepNode } from "../types.ts";
import { Graph } from "./graph.tsx";
import { Icon, type IconName } from "./icons.tsx";
import { Command, ErrorNote } from "./notice.tsx";
import { Sign } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { FactList, Id, Subject, When } from "./words.tsx";

const WHY: Record<string, string> = {
  hit: "hit",
  new: "never run before",
  code: "code changed",
  unrelated: "unrelated code changed",
  input: "input changed",
  param: "parameter changed",
  environment: "environment changed",
  expired: "its result had expired",
};

const BECAUSE: Record<string, string> = {
  new: "they were new",
  unrelated: "unrelated code of their files changed",
  expired: "their result had expired",
};

function whyWords(why: string | null | undefined): string {
  return WHY[why ?? ""] ?? why ?? "";
}

export function reasons(steps: { state?: string; why?: string | null }[]): string {
  const ran = steps.filter((step) => step.state !== "cached" && step.why);
  const words = [...new Set(ran.map((step) => step.why ?? ""))];
  const said = words.map((why) => BECAUSE[why] ?? `their ${whyWords(why)}`);
  return said.length > 1 ? `${said.slice(0, -1).join(", ")} or ${said.at(-1)}` : (said[0] ?? "that is not recorded");
}

const TONES: Record<string, Tone> = { waiting: "plain", cached: "plain", given: "plain", due: "accent", open: "unknown" };

/** Waiting for its turn is no trouble, and a hit is no work. */
function stepTone(state: string): Tone {
  return TONES[state] ?? toneOf(state);
}

const STYLES: Record<string, string> = {
  cached: "node-hit",
  given: "node-hit",
  failed: "node-failed",
  running: "node-running",
  waiting: "node-waiting",
  due: "node-due",
  open: "node-waiting",
};

export function Steps({ run, graph, now }: { run: Run; graph: StepGraph; now: number }) {
  return (
    <StepSheet
      graph={graph}
      label="Steps of this run"
      head={<ProgressLine nodes={graph.nodes} isRunning={run.state === "running"} />}
      said={saidOf}
      last={(box) => {
        const [state, seconds] = [stateOf(box.calls), secondsOf(box.calls)];
        if (state === "given") return "";
        return state === "cached" ? "nothing computed" : isNumber(seconds) ? duration(seconds) : "–";
      }}
      panel={(box) => <BoxPanel run={run} box={box} />}
    >
      <StepTable graph={graph} columns={CALL_COLUMNS.slice(1)} last={[beganOf(now)]} href={runHref} />
    </StepSheet>
  );
}

interface Sheet {
  graph: Pick<StepGraph, "nodes" | "edges">;
  label: string;
  head: ComponentChildren;
  said: (calls: StepNode[]) => string; // why it ran or will, or that it does not
  last: (box: Box) => string;
  panel: (box: Box) => ComponentChildren;
  children: ComponentChildren; // the table
}

/** The graph, of a run or of a plan; below it what is chosen in it, and the table. */
export function StepSheet({ graph, label, head, said, last, panel, children }: Sheet) {
  const [chosen, choose] = useParam("step");
  const [apart, setApart] = useParam("calls");
  const gathered = gather(graph);
  const { boxes, flows } = apart ? gather(graph, true) : gathered;
  const open = boxes.find((box) => box.id === chosen || box.calls.some((call) => call.name === chosen));
  const nodes = boxes.map((box) => ({
    id: box.id,
    label: labelOf(box, said),
    style: STYLES[stateOf(box.calls)] ?? "",
    body: <StepBody box={box} said={said(box.calls)} last={last(box)} />,
  }));
  const edges = flows.map(({ from, to, rows }) => ({
    from,
    to,
    label: isNumber(rows) ? plural(rows, "row") : undefined,
  }));
  return (
    <div class="stack">
      <div>
        <div class="steps-head">
          {head}
          {gathered.boxes.length < graph.nodes.length && (
            <label class="check push">
              <input
                type="checkbox"
                checked={!!apart}
                onChange={(event) => setApart(event.currentTarget.checked ? "apart" : "")}
              />
              A box for each call
            </label>
          )}
        </div>
        <Graph
          nodes={nodes}
          edges={edges}
          label={label}
          chosen={open?.id ?? ""}
          choose={(id) => choose(id === open?.id ? "" : id)}
        />
      </div>
      {open && panel(open)}
      {children}
    </div>
  );
}

function ProgressLine({ nodes, isRunning }: { nodes: StepNode[]; isRunning: boolean }) {
  const { total, done, hits, running, failed } = progressOf(nodes);
  const said = [
    `${count(done)} of ${plural(total, "step")} done`,
    hits ? `${count(hits)} by a hit` : "",
    running ? `${count(running)} running` : "",
    failed ? `${count(failed)} failed` : "",
  ].filter(Boolean);
  return (
    <div class="progress-line">
      <div
        class={`progress${failed ? " progress-failed" : ""}`}
        role="progressbar"
        aria-label="Steps that are done"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={done}
        aria-valuetext={said.join(", ")}
      >
        <i style={{ width: `${total ? (done / total) * 100 : 0}%` }} />
      </div>
      <span class={isRunning ? "" : "quiet"}>{said.join(" · ")}</span>
    </div>
  );
}

/** "flights.features" → "features": the module is the same all along. */
function shortName(name: string): string {
  return name.replace(/^[A-Za-z_]\w*\.(?=[A-Za-z_])/, "");
}

function secondsOf(calls: StepNode[]): number | null {
  const known = calls.map((call) => call.seconds).filter(isNumber);
  return known.length ? known.reduce((sum, seconds) => sum + seconds, 0) : null;
}

/** What a box says of its calls in one line: why they ran, or that they did not. */
function saidOf(calls: StepNode[]): string {
  const state = stateOf(calls);
  if (state === "cached") return "hit, reused";
  if (state === "waiting") return "waiting";
  if (state === "given") return "there before";
  if (state === "failed" && calls.length === 1) return "failed";
  if (calls.length === 1) return state === "running" ? "running" : whyWords(calls[0]?.why) || "ran";
  const { done, hits, running, failed } = progressOf(calls);
  return [
    `${count(done)} of ${count(calls.length)} done`,
    hits ? plural(hits, "hit") : "",
    running ? `${count(running)} running` : "",
    failed ? `${count(failed)} failed` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

const STATE_WORDS: Record<string, string> = { cached: "hit", given: "there before", due: "would run", open: "not known yet" };

export function stateWords(state: string): string {
  return STATE_WORDS[state] ?? state;
}

function labelOf(box: Box, said: (calls: StepNode[]) => string): string {
  const times = box.calls.length > 1 ? `, ${count(box.calls.length)} calls` : "";
  const [state, why] = [stateWords(stateOf(box.calls)), said(box.calls)];
  return `${box.name}${times}: ${state}${why && why !== state ? `, ${why}` : ""}`;
}

const SIGNS: [string, IconName][] = [
  ["snapshot ", "data"],
  ["register ", "model"],
];

/** What is made of a result is told by a sign: the word would leave no room for the name. */
function BoxName({ name }: { name: string }) {
  const [word, icon] = SIGNS.find(([start]) => name.startsWith(start)) ?? [];
  if (!word || !icon) return <>{name}</>;
  return (
    <span title={name}>
      <Icon name={icon} size={14} />
      <span class="unseen">{word}</span> {name.slice(word.length)}
    </span>
  );
}

function StepBody({ box, said, last }: { box: Box; said: string; last: string }) {
  const state = stateOf(box.calls);
  return (
    <>
      <span class="node-name">
        <Sign tone={stepTone(state)} label={stateWords(state)} size={12} />
        <BoxName name={shortName(box.name)} />
        {box.calls.length > 1 && <span class="node-times">× {count(box.calls.length)}</span>}
      </span>
      <span class="node-line">
        {state === "cached" && <Icon name="bolt" size={12} />}
        {said}
      </span>
      <span class="node-line quiet">{last}</span>
    </>
  );
}

function BoxPanel({ run, box }: { run: Run; box: Box }) {
  const [only] = box.calls;
  if (box.calls.length === 1 && only) return <CallPanel run={run} call={only} />;
  return (
    <section class="panel" aria-label={box.name}>
      <header class="panel-head">
        <h2 class="minor">{box.name}</h2>
        <span class="quiet">{plural(box.calls.length, "call")}, side by side</span>
      </header>
      <Table name="calls" label={`calls of ${box.name}`} rows={box.calls} columns={CALL_COLUMNS} href={runHref} />
    </section>
  );
}

function runHref(call: StepNode): string | null {
  if (isGiven(call)) return `/snapshots/${call.name}`;
  return call.run_id ? `/runs/${call.run_id}` : null;
}

function CallPanel({ run, call }: { run: Run; call: StepNode }) {
  const step: Step | undefined = run.steps?.find((one) => one.name === call.name);
  return (
    <section class="panel" aria-label={call.name}>
      <header class="panel-head">
        <h2 class="minor">{call.name}</h2>
        {call.run_id && <a href={`/runs/${call.run_id}`}>its own run</a>}
        {isGiven(call) && <a href={`/snapshots/${call.name}`}>the snapshot</a>}
        {call.hit_of && (
          <span class="quiet">
            first made by <Subject subject={`run:${call.hit_of}`} />
          </span>
        )}
      </header>
      {call.error && (
        <>
          <ErrorNote error={new Error(call.error)} what="This step failed." />
          <p class="quiet">Its inputs were kept. The same call again, here, with a debugger:</p>
          <Command text={`mainstay debug ${run.id} '${call.name}'`} />
        </>
      )}
      <FactList
        facts={[
          ["why it ran, or not", whyWords(call.why) || "not known yet"],
          ["cache key", call.key ? <Id id={call.key} label="cache key" /> : "not known yet"],
          ...Object.entries(step?.key_parts ?? {}).map(([name, value]): [string, ComponentChildren] => [
            kindWords(name),
            typeof value === "string" && value.length > 20 ? <Id id={value} label={name} /> : <Part value={value} />,
          ]),
        ]}
      />
      {call.outputs?.length ? <Outputs call={call} /> : null}
    </section>
  );
}

const LONGEST_PART = 240;

/** A part of the key in one line; what is long is opened on demand. */
function Part({ value }: { value: unknown }) {
  const text = plain(value) || "none";
  if (text.length <= LONGEST_PART) return <span class="wrap">{text}</span>;
  return (
    <details>
      <summary>{text.slice(0, 80)} …</summary>
      <span class="wrap">{text}</span>
    </details>
  );
}

function Outputs({ call }: { call: StepNode }) {
  return (
    <div class="table-frame">
      <table aria-label="Outputs of the step">
        <thead>
          <tr>
            <th scope="col">Made</th>
            <th scope="col">Kind</th>
            <th scope="col" class="right">
              Rows
            </th>
            <th scope="col" class="right">
              Size
            </th>
            <th scope="col">Digest</th>
          </tr>
        </thead>
        <tbody>
          {call.outputs?.map((output, index) => (
            <tr key={index}>
              <td>{output.name ?? `output ${index + 1}`}</td>
              <td>{output.kind ?? "–"}</td>
              <td class="right">{isNumber(output.rows) ? count(output.rows) : "–"}</td>
              <td class="right">{bytes(output.size)}</td>
              <td>
                <Id id={output.digest} label="digest" />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export const STATE: Column<StepNode> = {
  key: "state",
  label: "State",
  value: (call) => call.state,
  cell: (call) => (
    <span class="state-word">
      <Sign tone={stepTone(stateOf([call]))} label="" size={12} />
      {stateWords(stateOf([call]))}
    </span>
  ),
};

const CALL_COLUMNS: Column<StepNode>[] = [
  { key: "name", label: "Call", value: (call) => call.name },
  STATE,
  { key: "why", label: "Why", value: (call) => whyWords(call.why) || "–", cell: (call) => <Why call={call} /> },
  { key: "took", label: "Took", value: (call) => call.seconds, cell: (call) => tookOf(call), right: true },
  {
    key: "rows",
    label: "Rows",
    value: (call) => call.rows,
    cell: (call) => (isNumber(call.rows) ? count(call.rows) : "–"),
    right: true,
  },
];

function tookOf(call: StepNode): string {
  return call.state === "cached" ? "–" : isNumber(call.seconds) ? duration(call.seconds) : "–";
}

function Why({ call }: { call: StepNode }) {
  if (call.hit_of)
    return (
      <span>
        made before by <Subject subject={`run:${call.hit_of}`} />
      </span>
    );
  if (call.state === "cached") return <>its bytes were here already</>;
  return <>{whyWords(call.why) || "–"}</>;
}

interface Rows {
  graph: Pick<StepGraph, "nodes" | "edges">;
  columns: Column<StepNode>[]; // behind the name, and before what a step uses
  last?: Column<StepNode>[];
  href: (call: StepNode) => string | null;
}

/** The graph for those who read it better as rows, or cannot see it. */
export function StepTable({ graph, columns, last = [], href }: Rows) {
  const sources = new Map<string, string[]>();
  for (const edge of graph.edges) {
    const known = sources.get(edge.target) ?? [];
    const name = shortName(stepOf(edge.source));
    if (!known.includes(name)) sources.set(edge.target, [...known, name]);
  }
  const name: Column<StepNode> = {
    key: "name",
    label: "Step",
    value: (call) => call.name,
    cell: (call) => shortName(call.name),
  };
  const uses: Column<StepNode> = {
    key: "after",
    roomy: true,
    label: "Uses",
    value: (call) => sources.get(call.name)?.join(", ") ?? "–",
  };
  return <Table name="s" label="steps" rows={graph.nodes} columns={[name, ...columns, uses, ...last]} href={href} />;
}

function beganOf(now: number): Column<StepNode> {
  return {
    key: "started",
    roomy: true,
    label: "Began",
    value: (call) => call.started_at,
    cell: (call) => (call.started_at ? <Since at={call.started_at} now={now} /> : "–"),
  };
}

/** When a step began, from the beginning of its run: "+3.2 s". */
function Since({ at, now }: { at: string; now: number }) {
  const seconds = (Date.parse(at) - now) / 1000;
  return Number.isNaN(seconds) || seconds < 0 ? <When at={at} /> : <span title={at}>+{duration(seconds)}</span>;
}
