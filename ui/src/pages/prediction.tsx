// SPDX-License-Identifier: Apache-2.0
// A prediction: what was asked, what was answered, what became true, and the whole chain behind it as a picture, from stored
// records only. A link that the record does not hold is drawn hatched and says unknown.
import { useState } from "preact/hooks";
import { query, at, useGet } from "../api.ts";
import { decimal, isNumber, kindWords, plain, releaseId, shortId, splitSubject, subjectHref, versionId } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Graph } from "../parts/graph.tsx";
import { Icon } from "../parts/icons.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, Value, When } from "../parts/words.tsx";
import type { Prediction, Why, WhyStep } from "../types.ts";

export function PredictionPage({ id }: { id: string }) {
  const { data, error } = useGet<Prediction>(at("/api/predictions", id));
  const release = releaseId(data?.release, data?.deployment);
  const labels = data?.feedback ?? [];
  const last = labels.at(-1);
  return (
    <ObjectPage
      subject={`prediction:${id}`} kind="Prediction" name={<>{decimal(data?.value)}</>} plainName={`Prediction ${shortId(id)}`} made={data?.logged_at} loading={!data} error={error}
      state={data?.status}
      aside={<><Id id={id} label="prediction id" />{release && <span>by <b><Subject subject={`release:${release}`} /></b></span>}<span>in <b>{isNumber(data?.latency_ms) ? `${decimal(data.latency_ms, 1)} ms` : "unknown time"}</b></span><span>label <b>{last ? plain(last.label) : "not yet known"}</b></span></>}
      acts={data && <Act label="Send the truth" title="What became true" path="/api/feedback" body={{ id }} reason="none" fields={[{ name: "label", label: "Label (0 or 1, or the value)", kind: "number" }]} cli={(values) => `mainstay feedback ${id} ${values["label"] || "1"}`} preview={<p>The label is joined to this prediction by its id. A different label later is kept as a revision; the last one counts.</p>} />}
      tabs={[
        { id: "why", label: "Why", body: () => <WhyPicture id={id} /> },
        { id: "row", label: "What was asked", count: Object.keys(data?.row ?? {}).length || undefined, body: () => <PlainFacts facts={data?.row} empty="The row is not on record." /> },
        { id: "feedback", label: "What became true", count: labels.length, body: () => <Feedback prediction={data} /> },
        { id: "answer", label: "Answer", body: () => data && <Answer prediction={data} /> },
      ]}
    />
  );
}

function Answer({ prediction }: { prediction: Prediction }) {
  const release = releaseId(prediction.release, prediction.deployment);
  return (
    <FactList
      facts={[
        ["value", decimal(prediction.value, 4)], ["status", prediction.status ?? <Unknown />], ["about", plain(prediction.at)], ["answered", <When at={prediction.logged_at} />],
        ["deployment", prediction.deployment ? <Subject subject={`deployment:${prediction.deployment}`}>{prediction.deployment}</Subject> : <Unknown />],
        ["release", release ? <Subject subject={`release:${release}`} /> : <Unknown />], ["version", plain(versionId(prediction.version, null))], ["variant", prediction.variant ?? <Unknown />],
        ["latency", isNumber(prediction.latency_ms) ? `${decimal(prediction.latency_ms, 2)} ms` : <Unknown />], ["source", prediction.source ?? <Unknown />],
      ]}
    />
  );
}

function Feedback({ prediction }: { prediction: Prediction | undefined }) {
  const labels = prediction?.feedback ?? [];
  if (!labels.length) return <Empty title="The label has not arrived yet" command={`mainstay feedback ${prediction?.id ?? "ID"} 1`}>Labels come late; they are joined by the prediction's id whenever they come.</Empty>;
  return (
    <div class="table-frame"><table aria-label="Labels"><thead><tr><th scope="col">Revision</th><th scope="col">Label</th><th scope="col">At</th><th scope="col">From</th></tr></thead>
      <tbody>{labels.map((one, index) => <tr key={index}><td>{one.revision ?? index + 1}</td><td><b>{plain(one.label)}</b>{index === labels.length - 1 && labels.length > 1 && <span class="quiet"> counts</span>}</td><td><When at={one.at} /></td><td><Person name={one.actor} /></td></tr>)}</tbody></table></div>
  );
}

function WhyPicture({ id }: { id: string }) {
  const [verify, setVerify] = useState(false);
  const { data, error } = useGet<Why>(query(at("/api/why", `prediction:${id}`), verify ? { verify: 1 } : {}));
  const [chosen, choose] = useState<string | null>("0");
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={8} tall />;
  const steps = data.steps ?? [];
  if (!steps.length) return <Empty title="No chain is on record for this prediction" />;
  const edges = data.edges?.length ? data.edges.map(([from, to, label]) => ({ from: String(from), to: String(to), label: label || undefined })) : steps.slice(1).map((_step, index) => ({ from: String(index), to: String(index + 1) }));
  const nodes = steps.map((step, index) => ({ id: String(index), label: `${step.kind ?? "step"} ${step.title ?? ""}${step.unknown ? ", unknown" : ""}`, style: step.unknown ? "node-unknown" : step.verified === false ? "node-failed" : "", body: <WhyBody step={step} /> }));
  const open = steps[Number(chosen)];
  const unknown = steps.filter((step) => step.unknown).length;
  const broken = steps.filter((step) => step.verified === false).length;
  return (
    <div class="stack">
      <p class="legend-line">
        <span>{steps.length} records{isNumber(data.ms) ? ` in ${decimal(data.ms, 0)} ms` : ""}</span>
        {unknown > 0 && <span class="tone-unknown"><Icon name="unknown" size={12} /> {unknown} unknown</span>}
        {verify && <span class={broken ? "tone-alert" : "tone-ok"}><Icon name={broken ? "alert" : "ok"} size={12} /> {broken ? `${broken} do not match their digest` : "every digest that is held was checked"}</span>}
        <button type="button" class="button button-small push" aria-pressed={verify} onClick={() => setVerify(!verify)}>{verify ? "Without checking" : "Check every digest"}</button>
      </p>
      <div class="why">
        <Graph nodes={nodes} edges={edges} label="The chain behind this prediction" width={212} height={66} down chosen={chosen} choose={choose} />
        {open && <WhyPanel step={open} />}
      </div>
    </div>
  );
}

function WhyBody({ step }: { step: WhyStep }) {
  return (
    <>
      <span class="node-kind">{kindWords(step.kind)}{step.verified === true && <Icon name="check" size={12} />}{step.verified === false && <Icon name="alert" size={12} />}</span>
      <span class="node-name">{step.unknown ? "unknown" : shortTitle(step)}</span>
      <span class="node-line quiet">{step.at ? <When at={step.at} /> : "time unknown"}{step.actor && <> · <Person name={step.actor} /></>}</span>
    </>
  );
}

function shortTitle(step: WhyStep): string {
  return (step.title ?? splitSubject(step.subject).name).replace(/[0-9a-f]{32,64}/g, (id) => shortId(id));
}

function WhyPanel({ step }: { step: WhyStep }) {
  const href = step.href ?? subjectHref(step.subject);
  return (
    <section class="panel why-panel" aria-label={step.title ?? step.kind ?? "record"}>
      <p class="object-kind">{kindWords(step.kind)}</p>
      <h3>{href ? <a href={href}>{shortTitle(step)}</a> : shortTitle(step)}</h3>
      {step.unknown && <p class="unknown-note">The record does not hold this link. It is unknown, not absent.</p>}
      <FactList
        facts={[
          ["at", <When at={step.at} />],
          ["by", <Person name={step.actor} />],
          ...(step.facts ?? []).map((fact): [string, preact.ComponentChildren] => [kindWords(fact.name), <Value value={fact.value} />]),
          ...(step.verified === undefined || step.verified === null ? [] : [["digest", step.verified ? "checked, the same" : <b class="tone-alert">not the same</b>] as [string, preact.ComponentChildren]]),
        ]}
      />
    </section>
  );
}
