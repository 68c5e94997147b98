// SPDX-License-Identifier: Apache-2.0
// The newest plan of a pipeline: what a run would do, drawn as runs are. Of the step that is chosen, what has changed.
import { at, query, useGet } from "../api.ts";
import { count, moment, plain, plural } from "../format.ts";
import { graphOf, stateOf, type Box } from "../stepgraph.ts";
import type { Job, Pipeline, PlanDocument, PlanItem, StepNode } from "../types.ts";
import { Lines } from "./explanation.tsx";
import { isOpen, useJobs } from "./jobs.tsx";
import { Command, Empty, ErrorNote, Skeleton } from "./notice.tsx";
import { Sign } from "./pill.tsx";
import { STATE, StepSheet, StepTable, stateWords } from "./steps.tsx";
import { Table, type Column } from "./table.tsx";
import { FactList, Id, Person, Subject, When } from "./words.tsx";

export function PlanTab({ pipeline }: { pipeline: Pipeline }) {
  const asked = useJobs(query("/api/jobs", { subject: `pipeline:${pipeline.name}`, kind: "plan", limit: 20 }));
  const made = asked.jobs?.find((job) => job.state === "done");
  const { data, error } = useGet<Job>(made ? at("/api/jobs", made.id) : null);
  if (asked.error ?? error) return <ErrorNote error={(asked.error ?? error) as Error} />;
  if (data?.result) return <Made job={data} plan={data.result as unknown as PlanDocument} pipeline={pipeline} />;
  if (!asked.jobs || made) return <Skeleton rows={8} tall />;
  if (asked.jobs.some(isOpen)) return <Empty title="A plan is asked for">As soon as a worker has made it, it stands here.</Empty>;
  return (
    <Empty title="Nothing is planned yet" command={`mainstay plan ${pipeline.entry ?? pipeline.name}`}>
      A plan says before a run which steps are hits, which would run, and why: down to the lines, the parameter or the data.
      “Plan” above asks a worker for it; in the project's folder the command does.
    </Empty>
  );
}

function Made({ job, plan, pipeline }: { job: Job; plan: PlanDocument; pipeline: Pipeline }) {
  const items = new Map(plan.items.map((item) => [item.label, item]));
  const module = (pipeline.entry ?? "").replace(/(\.py)?:.*$/, "").split(/[./]/).at(-1) ?? "";
  const said = (calls: StepNode[]) => saidOf(calls, items).replaceAll(`${module}.`, module ? "" : "."); // as in the names above
  const columns: Column<StepNode>[] = [
    { ...STATE, label: "Would" },
    {
      key: "why",
      label: "Why",
      value: (call) => reason(items.get(call.name)),
      cell: (call) => <Why item={items.get(call.name)} />,
      wide: true,
    },
  ];
  const graph = graphOf(plan);
  return (
    <div class="stack">
      <Standing job={job} pipeline={pipeline} />
      {plan.remarks.length > 0 && (
        <ul class="plain-list" aria-label="What no key can hold">
          {plan.remarks.map((remark) => (
            <li key={remark}>
              <Sign tone="watch" label="remark" /> <span>{remark}</span>
            </li>
          ))}
        </ul>
      )}
      {plan.items.length ? (
        <StepSheet
          graph={graph}
          label="Steps of this plan"
          head={<b>{plan.summary}</b>}
          said={said}
          last={(box) => LAST[stateOf(box.calls)] ?? ""}
          panel={(box) => <Panel box={box} items={items} columns={columns} pipeline={pipeline} />}
        >
          <StepTable graph={graph} columns={columns} href={hrefOf} />
        </StepSheet>
      ) : (
        <Empty title="There is nothing to do">With these parameters the pipeline calls no step.</Empty>
      )}
    </div>
  );
}

const LAST: Record<string, string> = { cached: "nothing to compute", due: "would run", open: "not known yet" };

function hrefOf(call: StepNode): string | null {
  if (call.kind === "existing") return `/snapshots/${call.name}`;
  return call.hit_of ? `/runs/${call.hit_of}` : null;
}

/** Who made it, for which parameters, and whether it may be out of date. */
function Standing({ job, pipeline }: { job: Job; pipeline: Pipeline }) {
  const params = Object.entries(job.body?.params ?? {});
  const last = typeof pipeline.last_run === "object" ? pipeline.last_run : null;
  const isOld = moment(last?.started_at) > moment(job.finished_at);
  return (
    <p class="lead">
      Made <When at={job.finished_at} /> for <Person name={job.created_by} /> by {job.worker},{" "}
      {params.length ? `with ${params.map(([name, value]) => `${name} ${plain(value)}`).join(", ")}` : "with its own defaults"}.
      {isOld && (
        <>
          {" "}
          <Sign tone="watch" label="out of date" /> A run has begun since then; plan again to see what is left to do.
        </>
      )}
    </p>
  );
}

function reason(item: PlanItem | undefined): string {
  if (!item) return "–";
  return item.why === "hit" ? "nothing has changed" : item.sentence;
}

function Why({ item }: { item: PlanItem | undefined }) {
  if (item?.hit_of)
    return (
      <>
        made before by <Subject subject={`run:${item.hit_of}`} />
      </>
    );
  return <>{reason(item)}</>;
}

function saidOf(calls: StepNode[], items: Map<string, PlanItem>): string {
  const [only] = calls;
  const state = stateOf(calls);
  if (state === "given" || state === "cached") return stateWords(state);
  if (calls.length === 1 && only) return reason(items.get(only.name));
  const due = calls.filter((call) => call.state === "due").length;
  return due ? `${count(due)} of ${plural(calls.length, "call")}` : reason(items.get(only?.name ?? ""));
}

interface PanelProps {
  box: Box;
  items: Map<string, PlanItem>;
  columns: Column<StepNode>[];
  pipeline: Pipeline;
}

function Panel({ box, items, columns, pipeline }: PanelProps) {
  const [only] = box.calls;
  const item = items.get(only?.name ?? "");
  return (
    <section class="panel" aria-label={box.name}>
      <header class="panel-head">
        <h2 class="minor">{box.name}</h2>
        {box.calls.length > 1 && <span class="quiet">{plural(box.calls.length, "call")}, side by side</span>}
        {box.calls.length === 1 && item?.hit_of && <a href={`/runs/${item.hit_of}`}>the run that made its result</a>}
        {only?.kind === "existing" && <a href={`/snapshots/${only.name}`}>the snapshot</a>}
      </header>
      {box.calls.length > 1 ? (
        <Table
          name="calls"
          label={`calls of ${box.name}`}
          rows={box.calls}
          columns={[{ key: "name", label: "Call", value: (call: StepNode) => call.name }, ...columns]}
          href={hrefOf}
        />
      ) : (
        item && <Item item={item} pipeline={pipeline} />
      )}
    </section>
  );
}

function Item({ item, pipeline }: { item: PlanItem; pipeline: Pipeline }) {
  const assumes = (item.assumes ?? []).filter((name) => name !== item.label);
  return (
    <>
      <FactList
        facts={[
          [item.why === "hit" ? "why not" : "why", reason(item)],
          ["cache key", item.key ? <Id id={item.key} label="cache key" /> : "not known before that has run"],
          ...(assumes.length ? [["holds if", `${assumes.join(" and ")} gives the same bytes again`] as [string, string]] : []),
        ]}
      />
      {item.changes?.map((change) => (
        <section key={change.name} class="plan-change">
          <h3 class="minor">
            <code>{change.name}</code> <span class="quiet">{plural(change.lines, "line")}</span>
          </h3>
          {change.diff && <Lines text={change.diff} />}
        </section>
      ))}
      {item.stands_for && (
        <div class="next-steps">
          <span class="quiet">Only unrelated code of its file has changed. On your word its stored result stands:</span>
          <Command text={`mainstay plan ${pipeline.entry ?? pipeline.name} --accept -m "…"`} />
        </div>
      )}
    </>
  );
}
