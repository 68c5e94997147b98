// SPDX-License-Identifier: Apache-2.0
// A run: the graph of its steps (which were hits, and why the rest were not), metrics, parameters, inputs and outputs, code.
import type { ComponentChildren } from "preact";
import { at, useGet } from "../api.ts";
import {
  bytes,
  count,
  duration,
  figure,
  isImportance,
  isNumber,
  plain,
  shortId,
  splitSubject,
  subjectHref,
  toneOf,
} from "../format.ts";
import { Chart } from "../parts/chart.tsx";
import { Graph } from "../parts/graph.tsx";
import { Icon } from "../parts/icons.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Sign } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Weights, weightsIn } from "../parts/weights.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Artifact, Link, Run, Step } from "../types.ts";

export function RunPage({ id }: { id: string }) {
  const { data, error } = useGet<Run>(at("/api/runs", id));
  const steps = data?.steps ?? [];
  const hits = steps.filter((step) => step.state === "cached").length;
  const tabs = [
    ...(steps.length ? [{ id: "steps", label: "Steps", count: steps.length, body: () => <Steps steps={steps} /> }] : []),
    {
      id: "results",
      label: "Results",
      count: Object.keys(data?.metrics ?? {}).length || undefined,
      body: () => data && <Results run={data} />,
    },
    { id: "data", label: "In and out", body: () => data && <InAndOut run={data} /> },
    { id: "code", label: "Code and environment", body: () => data && <Code run={data} /> },
  ];
  const failure = typeof data?.error === "string" ? data.error : data?.error?.message;
  return (
    <ObjectPage
      subject={`run:${id}`}
      kind={data?.kind === "pipeline" ? "Pipeline run" : data?.kind === "step" ? "Step run" : "Run"}
      name={data?.name ?? shortId(id)}
      plainName={data?.name ?? shortId(id)}
      state={data?.state}
      made={data?.started_at}
      loading={!data}
      error={error}
      wide
      aside={
        <>
          <span>
            by{" "}
            <b>
              <Person name={data?.actor} />
            </b>
          </span>
          <span>
            took <b>{duration(data?.seconds)}</b>
          </span>
          <Id id={id} label="run id" />
          {data?.parent && (
            <span>
              part of <Subject subject={`run:${data.parent}`} />
            </span>
          )}
        </>
      }
      above={
        <>
          {failure && <ErrorNote error={new Error(failure)} what="This run failed." />}
          {steps.length > 0 && (
            <p class="lead">
              {hits === steps.length
                ? "Every step was a hit: nothing had changed, nothing was computed again."
                : `${hits} of ${count(steps.length)} steps were hits; the others ran because ${reasons(steps)}.`}
            </p>
          )}
        </>
      }
      tabs={tabs}
    />
  );
}

const WHY: Record<string, string> = {
  hit: "hit",
  new: "new",
  code: "code changed",
  input: "input changed",
  param: "parameter changed",
  environment: "environment changed",
};

function reasons(steps: Step[]): string {
  const words = [
    ...new Set(
      steps.filter((step) => step.state !== "cached").map((step) => WHY[step.why ?? ""] ?? step.why ?? "that is not recorded"),
    ),
  ];
  const said = words.map((word) => (word === "new" ? "they were new" : `their ${word}`));
  return said.length > 1 ? `${said.slice(0, -1).join(", ")} or ${said.at(-1)}` : (said[0] ?? "that is not recorded");
}

function Steps({ steps }: { steps: Step[] }) {
  const [chosen, choose] = useParam("step");
  const open = steps.find((step) => step.name === chosen);
  const edges = steps.flatMap((step) => (step.upstream ?? []).map((from) => ({ from, to: step.name })));
  const nodes = steps.map((step) => ({
    id: step.name,
    label: `${step.name}: ${step.state ?? "unknown"}, ${WHY[step.why ?? ""] ?? step.why ?? ""}`,
    style: step.state === "cached" ? "node-hit" : step.state === "failed" ? "node-failed" : "",
    body: <StepBody step={step} />,
  }));
  return (
    <div class="stack">
      <Graph
        nodes={nodes}
        edges={edges}
        label="Steps of this run"
        chosen={chosen}
        choose={(name) => choose(name === chosen ? "" : name)}
      />
      {open ? <StepPanel step={open} /> : <p class="quiet">Choose a step to see its cache key and what it made.</p>}
    </div>
  );
}

/** "flights.features" → "features": the module is the same all along. */
function shortName(name: string): string {
  return name.replace(/^[A-Za-z_]\w*\.(?=[A-Za-z_])/, "");
}

function StepBody({ step }: { step: Step }) {
  const rows = step.outputs?.find((output) => isNumber(output.rows))?.rows;
  return (
    <>
      <span class="node-name">
        <Sign tone={step.state === "cached" ? "plain" : toneOf(step.state)} label={step.state ?? "unknown"} size={12} />
        {shortName(step.name)}
      </span>
      <span class="node-line">
        {step.state === "cached" ? (
          <>
            <Icon name="bolt" size={12} />
            hit, reused
          </>
        ) : (
          (WHY[step.why ?? ""] ?? step.why ?? "ran")
        )}
      </span>
      <span class="node-line quiet">
        {step.state === "cached" ? "0 s" : duration(step.seconds)}
        {isNumber(rows) && ` · ${count(rows)} rows`}
      </span>
    </>
  );
}

function StepPanel({ step }: { step: Step }) {
  return (
    <section class="panel" aria-label={step.name}>
      <header class="panel-head">
        <h2 class="minor">{step.name}</h2>
        {step.run_id && <a href={`/runs/${step.run_id}`}>its own run</a>}
        {step.hit_of && (
          <span class="quiet">
            first made by <Subject subject={step.hit_of.includes(":") ? step.hit_of : `run:${step.hit_of}`} />
          </span>
        )}
      </header>
      <FactList
        facts={[
          ["cache key", <Id id={step.key} label="cache key" />],
          ...Object.entries(step.key_parts ?? {}).map(([name, value]): [string, ComponentChildren] => [
            name,
            typeof value === "string" && value.length > 20 ? <Id id={value} label={name} /> : plain(value),
          ]),
        ]}
      />
      {step.outputs?.length ? (
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
              {step.outputs.map((output, index) => (
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
      ) : null}
    </section>
  );
}

function Results({ run }: { run: Run }) {
  const metrics = Object.entries(run.metrics ?? {}).filter(([name]) => !isImportance(name));
  const weights = weightsIn(run.metrics);
  const [open, choose] = useParam("metric");
  return (
    <div class="pair">
      <section>
        <h2>Metrics</h2>
        {!metrics.length && (
          <Empty title="This run logged no metric">
            In a step, <code>ms.log_metric("auc", 0.71)</code> logs to that step's run.
          </Empty>
        )}
        {metrics.length > 0 && (
          <div class="tiles">
            {metrics.map(([name, value]) => (
              <button
                key={name}
                type="button"
                class="tile"
                aria-pressed={open === name}
                onClick={() => choose(open === name ? "" : name)}
                title="Show every point that was logged"
              >
                <span>{name}</span>
                <b>{figure(value)}</b>
              </button>
            ))}
          </div>
        )}
        {weights.length > 0 && (
          <>
            <h2>What the model leans on</h2>
            <Weights weights={weights} />
          </>
        )}
        {open && <MetricCurve run={run.id} metric={open} />}
      </section>
      <section>
        <h2>Parameters</h2>
        <PlainFacts facts={run.params} empty="This run took no parameters." />
        <h2>Tags</h2>
        <PlainFacts facts={run.tags} empty="No tags." />
      </section>
    </div>
  );
}

function MetricCurve({ run, metric }: { run: string; metric: string }) {
  const { data, error } = useGet<{ points?: { step?: number; at?: string; value?: number | null }[] }>(
    at("/api/runs", run, "metrics", metric),
  );
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={4} />;
  const points = data.points ?? [];
  if (points.length < 2)
    return (
      <p class="quiet">
        {metric} was logged {points.length === 1 ? "once" : "never"}; a curve needs two points.
      </p>
    );
  const steps = points.map((point, index) => point.step ?? index);
  return (
    <Chart
      title={metric}
      unit="by step"
      times={steps}
      names={steps.map((step) => `step ${step}`)}
      series={[{ label: metric, values: points.map((point) => point.value ?? null) }]}
      write={(value) => figure(value)}
      numeric
      height={200}
    />
  );
}

const ARTIFACTS: Column<Artifact>[] = [
  {
    key: "path",
    label: "Artifact",
    value: (artifact) => artifact.path ?? artifact.name,
    cell: (artifact) =>
      artifact.digest ? (
        <a href={`/api/blobs/${artifact.digest}`} download={artifact.path?.split("/").at(-1) ?? "artifact"}>
          {artifact.path ?? artifact.name}
        </a>
      ) : (
        (artifact.path ?? "–")
      ),
  },
  { key: "type", label: "Type", value: (artifact) => artifact.media_type },
  { key: "size", label: "Size", value: (artifact) => artifact.size, cell: (artifact) => bytes(artifact.size), right: true },
  {
    key: "digest",
    label: "Digest",
    value: (artifact) => artifact.digest,
    cell: (artifact) => <Id id={artifact.digest} label="digest" />,
  },
];

function Links({ links, empty }: { links: Link[] | undefined; empty: string }) {
  if (!links?.length) return <p class="quiet">{empty}</p>;
  return (
    <ul class="plain-list">
      {links.map((link, index) => {
        const subject = link.ref?.includes(":") ? link.ref : `${link.kind}:${link.ref}`;
        return (
          <li key={index}>
            <span class="quiet link-kind">{link.kind}</span>
            {subjectHref(subject) ? (
              <Subject subject={subject} />
            ) : (
              <Id id={splitSubject(link.ref).name} label={link.kind ?? "id"} />
            )}
            {link.name && <span class="quiet">as {link.name}</span>}
          </li>
        );
      })}
    </ul>
  );
}

function InAndOut({ run }: { run: Run }) {
  return (
    <>
      <div class="pair">
        <section>
          <h2>Went in</h2>
          <Links links={run.inputs} empty="Nothing on record went in." />
        </section>
        <section>
          <h2>Came out</h2>
          <Links links={run.outputs} empty="Nothing on record came out." />
        </section>
      </div>
      <h2>Artifacts</h2>
      {run.artifacts?.length ? (
        <Table name="a" label="artifacts" rows={run.artifacts} columns={ARTIFACTS} filter={run.artifacts.length > 8} />
      ) : (
        <p class="quiet">No artifact was kept.</p>
      )}
    </>
  );
}

function Code({ run }: { run: Run }) {
  const { code, environment } = run;
  const packages = Object.entries(environment?.packages ?? {});
  return (
    <>
      <div class="pair">
        <section>
          <h2>Code</h2>
          <FactList
            facts={[
              ["entry", code?.entry ? <code>{code.entry}</code> : <Unknown />],
              [
                "commit",
                code?.commit ? <Id id={code.commit} label="commit" /> : <span class="quiet">not in a git repository</span>,
              ],
              [
                "uncommitted changes",
                code?.dirty === undefined ? (
                  <Unknown />
                ) : code.dirty ? (
                  <>
                    yes, kept as <Id id={code.diff_digest} label="diff digest" />
                  </>
                ) : (
                  "none"
                ),
              ],
              ["sources", <Id id={code?.sources_digest} label="sources digest" />],
              ["seeds", plain(run.seeds)],
              ["hardware", plain(run.hardware)],
              ["started", <When at={run.started_at} />],
            ]}
          />
        </section>
        <section>
          <h2>Environment</h2>
          <FactList
            facts={[
              ["Python", environment?.python ?? <Unknown />],
              ["digest", <Id id={environment?.digest} label="environment digest" />],
              ["packages", count(packages.length)],
            ]}
          />
          {packages.length > 0 && (
            <details>
              <summary>All packages</summary>
              <FactList facts={packages.map(([name, version]) => [name, <code key={name}>{version}</code>])} />
            </details>
          )}
        </section>
      </div>
    </>
  );
}
