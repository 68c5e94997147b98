// SPDX-License-Identifier: Apache-2.0
// A run: what it scored and how that came about (curves), the graph of its steps, its files, data, code and environment.
import { at, query, useGet, useGets } from "../api.ts";
import { isSystem } from "../curves.ts";
import { count, duration, isImportance, kindWords, plain, plural, reading, shortId, splitSubject, subjectHref } from "../format.ts";
import { CandidateOf, versionOf } from "../parts/candidate.tsx";
import { CurveChart, type Line } from "../parts/curve.tsx";
import { Curves } from "../parts/curves.tsx";
import { CurveTools, useCurveLook } from "../parts/curvetools.tsx";
import { FileTree } from "../parts/filetree.tsx";
import { Jobs } from "../parts/jobs.tsx";
import { LogLines } from "../parts/loglines.tsx";
import { Command, Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { State } from "../parts/pill.tsx";
import { Reproduce, Reproduced } from "../parts/reproduced.tsx";
import { runColumns } from "../parts/runcolumns.tsx";
import { SourceChanges } from "../parts/sourcechanges.tsx";
import { SourceWarnings } from "../parts/sourcewarnings.tsx";
import { reasons, Steps } from "../parts/steps.tsx";
import { Table } from "../parts/table.tsx";
import { Weights, weightsIn } from "../parts/weights.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import { progressOf } from "../stepgraph.ts";
import type { About, Artifact, Facts, Lease, Link, LoggedModel, Page, Run, StepGraph, Version } from "../types.ts";

const KINDS: Record<string, string> = { pipeline: "Pipeline run", step: "Step run" };

export function RunPage({ id }: { id: string }) {
  const { data, error } = useGet<Run>(at("/api/runs", id));
  const about = useGet<About>(query("/api/about", { subject: `run:${id}` })).data;
  const left = useGets<LoggedModel>(modelsOf(data).map((model) => at("/api/logged-models", model)));
  const models = left.flatMap((answer) => (answer.data ? [answer.data] : []));
  const children = useGet<Page<Run>>(query("/api/runs", { parent: id, limit: 1000 })).data?.items ?? [];
  const isRunning = data?.state === "running";
  const isPipeline = data?.kind === "pipeline";
  const graph = useGet<StepGraph>(isPipeline ? at("/api/runs", id, "graph") : null, isRunning ? LOOK_MS : 0).data;
  const failure = typeof data?.error === "string" ? data.error : data?.error?.message;
  const name = data?.name ?? shortId(id);
  return (
    <ObjectPage
      subject={`run:${id}`}
      kind={KINDS[data?.kind ?? ""] ?? "Run"}
      name={name}
      plainName={name}
      state={data?.deleted_at ? "deleted" : data?.state}
      made={data?.started_at}
      loading={!data}
      error={error}
      wide
      acts={
        data && (
          <>
            {isPipeline && data.state === "succeeded" && <Reproduce run={data} />}
            <CandidateOf run={data} version={versionOf(about)} />
          </>
        )
      }
      aside={
        <>
          <span>
            by{" "}
            <b>
              <Person name={data?.actor} />
            </b>
          </span>
          <span>
            took <b>{data?.state === "running" ? "so far unknown" : duration(data?.seconds)}</b>
          </span>
          {data?.experiment && (
            <span>
              experiment <a href={query("/runs", { experiment: data.experiment })}>{data.experiment}</a>
            </span>
          )}
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
          {isPipeline && data && <Resumable run={data} />}
          {graph && !isRunning && !failure && <Told graph={graph} />}
          {isPipeline && <Jobs subject={`run:${id}`} />}
          {isPipeline && <Reproduced run={id} />}
          <SourceWarnings warnings={data?.warnings} />
        </>
      }
      tabs={data ? tabsOf(data, children, models, graph) : []}
    />
  );
}

const LOOK_MS = 1000; // what is under way is told by signs of life, which are no events

/** Why what ran did run, in one sentence. */
function Told({ graph }: { graph: StepGraph }) {
  const { total, done, hits } = progressOf(graph.nodes);
  if (!total || !done) return null;
  return (
    <p class="lead">
      {hits === total
        ? "Every step was a hit: nothing had changed, nothing was computed again."
        : hits
          ? `${hits} of ${plural(total, "step")} ${hits === 1 ? "was a hit" : "were hits"}; the others ran because ${reasons(graph.nodes)}.`
          : `No step was a hit; they ran because ${reasons(graph.nodes)}.`}
    </p>
  );
}

/** A run that failed, or whose process gives no sign of life, goes on by one command; what is done stays done. */
function Resumable({ run }: { run: Run }) {
  const isRunning = run.state === "running";
  const lease = useGet<Lease>(isRunning ? at("/api/runs", run.id, "lease") : null, isRunning ? LOOK_MS * 10 : 0).data;
  const isLost = isRunning && lease?.leased_until ? Date.parse(lease.leased_until) < Date.now() : false;
  if (!isLost && run.state !== "failed" && run.state !== "killed") return null;
  return (
    <div class="next-steps">
      {isLost ? (
        <span>
          <State state="watch" small /> Its process has given no sign of life since <When at={lease?.leased_until} />. Carry it
          on:
        </span>
      ) : (
        <span class="quiet">Carry the same run on; steps that are done stay as they are:</span>
      )}
      <Command text={`mainstay resume ${run.id}`} />
    </div>
  );
}

/** The models that a run left without registering them. */
function modelsOf(run: Run | undefined): string[] {
  return (run?.outputs ?? []).flatMap((link) => (link.kind === "logged_model" && link.ref ? [link.ref] : []));
}

/** The run's files, and those of each model it left in a folder of the model's name. */
function filesOf(run: Run, models: LoggedModel[]): Artifact[] {
  const apart = new Set(models.map((model) => model.name)).size === models.length;
  return [
    ...(run.artifacts ?? []),
    ...models.flatMap((model) => {
      const folder = apart ? (model.name ?? model.id) : `${model.name} ${model.id.slice(-6)}`;
      return (model.artifacts ?? []).map((file) => ({ ...file, path: `${folder}/${file.path}` }));
    }),
  ];
}

function tabsOf(run: Run, children: Run[], models: LoggedModel[], graph: StepGraph | undefined) {
  const metrics = Object.keys(run.metrics ?? {}).filter((key) => !isImportance(key));
  const own = metrics.filter((key) => !isSystem(key));
  const machine = metrics.filter(isSystem);
  const nested = children.filter((child) => child.kind !== "step");
  const files = filesOf(run, models);
  return [
    ...(run.kind === "pipeline"
      ? [
          {
            id: "steps",
            label: "Steps",
            count: graph && progressOf(graph.nodes).total,
            body: () =>
              graph?.nodes.length ? (
                <Steps run={run} graph={graph} now={Date.parse(run.started_at ?? "")} />
              ) : graph ? (
                <Empty title="No step is known yet">The steps appear here as soon as the run has planned them.</Empty>
              ) : (
                <Skeleton rows={8} tall />
              ),
          },
          {
            id: "log",
            label: "Log",
            body: () => <LogLines run={run.id} steps={(graph?.nodes ?? []).map((node) => node.name)} />,
          },
        ]
      : []),
    {
      id: "results",
      label: "Results",
      count: own.length || undefined,
      body: () => <Results run={run} metrics={own} steps={children.filter((child) => child.kind === "step")} />,
    },
    ...(run.kind === "step" && run.parent && run.name
      ? [{ id: "log", label: "Log", body: () => <LogLines run={run.parent ?? ""} steps={[]} step={run.name ?? ""} /> }]
      : []),
    ...(own.length ? [{ id: "curves", label: "Curves", body: () => <RunCurves run={run} metrics={own} /> }] : []),
    ...(machine.length ? [{ id: "system", label: "System", body: () => <RunCurves run={run} metrics={machine} /> }] : []),
    ...(nested.length
      ? [{ id: "children", label: "Children", count: nested.length, body: () => <Children runs={nested} /> }]
      : []),
    {
      id: "files",
      label: "Artifacts",
      count: files.length || undefined,
      body: () =>
        files.length ? (
          <FileTree files={files} />
        ) : (
          <Empty title="No artifact was kept">
            <code>ms.log_artifact("plots/roc.png")</code> keeps a file of a run, by its digest.
          </Empty>
        ),
    },
    { id: "data", label: "In and out", body: () => <InAndOut run={run} /> },
    { id: "code", label: "Code and environment", body: () => <Code run={run} /> },
  ];
}

function lineOf(run: Run): Line {
  return { run: run.id, label: run.name ?? shortId(run.id), isRunning: run.state === "running", hue: 1 };
}

function RunCurves({ run, metrics }: { run: Run; metrics: string[] }) {
  return <Curves lines={[lineOf(run)]} metrics={metrics} />;
}

const MOST_TILES = 48;

function Results({ run, metrics, steps }: { run: Run; metrics: string[]; steps: Run[] }) {
  const weights = weightsIn(run.metrics);
  const version = versionOf(useGet<About>(query("/api/about", { subject: `run:${run.id}` })).data);
  const [open, choose] = useParam("metric");
  const look = useCurveLook();
  const told = steps.filter((step) => Object.keys(step.metrics ?? {}).some((key) => !isImportance(key)));
  return (
    <div class="pair">
      <section>
        <h2>Metrics</h2>
        {!metrics.length && !told.length && !version && (
          <Empty title="This run logged no metric">
            In a run, <code>ms.log_metric("auc", 0.71)</code> logs to it; in a step, to that step's run.
          </Empty>
        )}
        {metrics.length > 0 && (
          <div class="tiles">
            {metrics.slice(0, MOST_TILES).map((name) => (
              <button
                key={name}
                type="button"
                class="tile"
                aria-pressed={open === name}
                onClick={() => choose(open === name ? "" : name)}
                title={`${name}: show every point that was logged`}
              >
                <span>{name}</span>
                <b>{reading(run.metrics?.[name])}</b>
              </button>
            ))}
          </div>
        )}
        {metrics.length > MOST_TILES && (
          <p class="quiet">
            The first {MOST_TILES} of {count(metrics.length)}; all of them are under Curves.
          </p>
        )}
        {open && (
          <div class="stack">
            <CurveTools look={look} />
            <CurveChart metric={open} lines={[lineOf(run)]} look={look} isAlone />
          </div>
        )}
        {told.map((step) => (
          <StepResults key={step.id} step={step} />
        ))}
        {version && <VersionResults version={version} />}
        {weights.length > 0 && (
          <>
            <h2>What the model leans on</h2>
            <Weights weights={weights} />
          </>
        )}
      </section>
      <section>
        <h2>Parameters</h2>
        <PlainFacts facts={run.params} empty="This run took no parameters." />
        <h2>Tags</h2>
        <Tags tags={run.tags ?? {}} />
      </section>
    </div>
  );
}

/** Tags that people set, and below them those that tools set for themselves ("mlflow.source.name"). */
function Tags({ tags }: { tags: Facts }) {
  const entries = Object.entries(tags);
  const tools = entries.filter(([key]) => key.startsWith("mlflow."));
  return (
    <>
      <PlainFacts facts={Object.fromEntries(entries.filter(([key]) => !key.startsWith("mlflow.")))} empty="No tags." />
      {tools.length > 0 && (
        <details>
          <summary>Set by the client ({tools.length})</summary>
          <PlainFacts facts={Object.fromEntries(tools)} empty="" />
        </details>
      )}
    </>
  );
}

/** What a step of a pipeline logged, for the reader who looks at the pipeline's run. */
function StepResults({ step }: { step: Run }) {
  const metrics = Object.entries(step.metrics ?? {}).filter(([key]) => !isImportance(key));
  return (
    <section class="step-results">
      <h3>
        by <a href={`/runs/${step.id}`}>{step.name ?? shortId(step.id)}</a>
      </h3>
      <div class="tiles">
        {metrics.map(([key, value]) => (
          <div key={key} class="tile">
            <span title={key}>{key}</span>
            <b>{reading(value)}</b>
          </div>
        ))}
      </div>
    </section>
  );
}

/** What the version that the run registered scored. */
function VersionResults({ version }: { version: string }) {
  const slash = version.lastIndexOf("/");
  const found = useGet<Version>(at("/api/models", version.slice(0, slash), "versions", version.slice(slash + 1))).data;
  const metrics = Object.entries(found?.metrics ?? {}).filter(([key]) => !isImportance(key));
  if (!metrics.length) return null;
  return (
    <section class="step-results">
      <h3>
        of its version <a href={`/models/${version}`}>{version}</a>
      </h3>
      <div class="tiles">
        {metrics.map(([key, value]) => (
          <div key={key} class="tile">
            <span title={key}>{key}</span>
            <b>{reading(value)}</b>
          </div>
        ))}
      </div>
    </section>
  );
}

const MOST_COMPARED = 50; // their ids stand in the address

function Children({ runs }: { runs: Run[] }) {
  const some = runs.slice(0, MOST_COMPARED).map((run) => run.id);
  return (
    <div class="stack">
      {some.length > 1 && (
        <p>
          <a href={`/compare?runs=${some.join(",")}&tab=parallel`}>
            {some.length < runs.length ? `The first ${count(some.length)}` : "All of them"} beside each other
          </a>
          , by parameters and metrics.
        </p>
      )}
      <Table name="c" label="children" rows={runs} columns={runColumns(runs)} href={(run) => `/runs/${run.id}`} />
    </div>
  );
}

function Links({ links, empty }: { links: Link[] | undefined; empty: string }) {
  if (!links?.length) return <p class="quiet">{empty}</p>;
  return (
    <ul class="plain-list">
      {links.map((link, index) => {
        const isOurs = link.kind !== "dataset"; // a dataset that a client told of has a digest and no page
        const subject = !isOurs ? "" : link.ref?.includes(":") ? link.ref : `${link.kind}:${link.ref}`;
        return (
          <li key={index}>
            <span class="quiet link-kind">{kindWords(link.kind)}</span>
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

/** What the run read and made; a pipeline's run did so through its steps. */
function InAndOut({ run }: { run: Run }) {
  const steps = run.steps ?? [];
  const inputs = [
    ...(run.inputs ?? []),
    ...steps.flatMap((step) => step.inputs ?? []).filter((link) => link.kind === "snapshot"),
  ];
  const about = useGet<About>(query("/api/about", { subject: `run:${run.id}` })).data;
  const version = versionOf(about);
  const outputs = [...(run.outputs ?? []), ...(version ? [{ kind: "version", ref: version, name: "" }] : [])];
  return (
    <div class="pair">
      <section>
        <h2>Went in</h2>
        <Links links={once(inputs)} empty="Nothing on record went in." />
      </section>
      <section>
        <h2>Came out</h2>
        <Links links={once(outputs)} empty="Nothing on record came out." />
      </section>
    </div>
  );
}

function once(links: Link[]): Link[] {
  return [...new Map(links.map((link) => [`${link.kind}:${link.ref}`, link])).values()];
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
      <SourceChanges run={run} />
    </>
  );
}
