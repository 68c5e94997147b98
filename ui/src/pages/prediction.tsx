// SPDX-License-Identifier: Apache-2.0
// A prediction: what was asked, what was answered, what became true, and the whole chain behind it as a picture, from stored
// records only. A link that the record does not hold is drawn hatched and says unknown.
import { useState } from "preact/hooks";
import { query, at, useGet } from "../api.ts";
import {
  absolute,
  decimal,
  isNumber,
  kindWords,
  plain,
  releaseHref,
  releaseId,
  shortId,
  splitSubject,
  subjectHref,
  versionId,
} from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Graph } from "../parts/graph.tsx";
import { Icon } from "../parts/icons.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, Value, When } from "../parts/words.tsx";
import type { Maybe, Phrase, Prediction, Version, Why, WhyStep } from "../types.ts";

interface Output {
  type?: string; // binary, multiclass, regression
  classes?: unknown[];
  positive?: unknown;
}

export function PredictionPage({ id }: { id: string }) {
  const { data, error } = useGet<Prediction>(at("/api/predictions", id));
  const release = releaseId(data?.release, data?.deployment);
  const output = useOutput(data?.version);
  const labels = data?.feedback ?? [];
  const last = labels.at(-1);
  return (
    <ObjectPage
      subject={`prediction:${id}`}
      kind="Prediction"
      name={<>{data && answerOf(data)}</>}
      plainName={`Prediction ${shortId(id)}`}
      made={data?.logged_at}
      loading={!data}
      error={error}
      wide
      because={data && sentenceOf(data)}
      state={data?.status}
      aside={
        <>
          <Id id={id} label="prediction id" />
          {release && (
            <span>
              by{" "}
              <b>
                <Subject subject={`release:${release}`} />
              </b>
            </span>
          )}
          {isNumber(data?.latency_ms) && (
            <span>
              in <b>{decimal(data.latency_ms, 1)} ms</b>
            </span>
          )}
          <span>
            truth <b>{last ? truthOf(last.label, output) : "not yet known"}</b>
          </span>
        </>
      }
      acts={data && <SendTruth id={id} output={output} />}
      tabs={[
        { id: "why", label: "Why", body: () => <WhyPicture id={id} /> },
        {
          id: "row",
          label: "What was asked",
          count: Object.keys(data?.row ?? {}).length || undefined,
          body: () => <PlainFacts facts={data?.row} empty="The row is not on record." />,
        },
        { id: "feedback", label: "What became true", count: labels.length, body: () => <Feedback prediction={data} output={output} /> },
        { id: "answer", label: "Answer", body: () => data && <Answer prediction={data} /> },
      ]}
    />
  );
}

/** What the version answers, and in which classes; undefined while, or where, nobody knows. */
function useOutput(version: Maybe<string | number>): Output | undefined {
  const [model, number] = String(version ?? "").split("/");
  const found = useGet<Version>(model && number ? at("/api/models", model, "versions", number) : null).data;
  return (found?.signature as { output?: Output } | null | undefined)?.output;
}

function answerOf(prediction: Prediction): string {
  return prediction.label === null || prediction.label === undefined ? decimal(prediction.value) : plain(prediction.label);
}

/** What was told became true: classes are kept by their place, of two as 1 for the positive one. */
function truthOf(label: unknown, output: Output | undefined): string {
  const classes = output?.classes;
  if (!classes || !isNumber(label)) return plain(label);
  if (output.type === "multiclass") return plain(classes[label] ?? label);
  return plain(classes.find((name) => Number(name === output.positive) === label) ?? label);
}

/** A class is chosen by its name; where there are none, a number is typed. */
function SendTruth({ id, output }: { id: string; output: Output | undefined }) {
  const classes = output?.classes;
  const isByPlace = output?.type === "binary" && !classes?.every((name) => typeof name === "string");
  const label = (chosen: string | undefined) => {
    const name = classes?.find((one) => plain(one) === chosen);
    if (name === undefined) return chosen;
    return isByPlace ? Number(name === output?.positive) : name;
  };
  const shared = {
    label: "Send the truth",
    title: "What became true",
    path: "/api/feedback",
    reason: "none" as const,
    preview: (
      <p>
        The label is joined to this prediction by its id. A different label later is kept as a revision; the last one counts.
      </p>
    ),
  };
  if (!classes?.length)
    return (
      <Act
        {...shared}
        body={{ id }}
        fields={[{ name: "label", label: "The value that became true", kind: "number" }]}
        cli={(values) => `mainstay feedback ${id} ${values["label"] || "VALUE"}`}
      />
    );
  return (
    <Act
      {...shared}
      body={(values) => ({ id, label: label(values["truth"]) })}
      fields={[{ name: "truth", label: "What it was", kind: "choice", choices: ["", ...classes.map(plain)], isApart: true }]}
      cli={(values) => `mainstay feedback ${id} ${plain(label(values["truth"]))}`}
    />
  );
}

/** Predictions are telemetry and not in the ledger, so their sentence is written from their own record. */
function sentenceOf(prediction: Prediction): Phrase[] {
  const release = releaseId(prediction.release, prediction.deployment);
  const how = prediction.source === "http" ? "over HTTP" : prediction.source ? `from a ${prediction.source}` : "";
  return [
    { text: "Answered by " },
    { text: release ?? "an unknown release", href: release ? releaseHref(release) : null },
    { text: ` of ` },
    {
      text: prediction.deployment ?? "an unknown deployment",
      href: prediction.deployment ? `/deployments/${prediction.deployment}` : null,
    },
    {
      text: ` as ${prediction.variant ?? "an unknown variant"}${how ? `, ${how}` : ""}; it is about ${absolute(prediction.at)}.`,
    },
  ];
}

function Answer({ prediction }: { prediction: Prediction }) {
  const release = releaseId(prediction.release, prediction.deployment);
  return (
    <FactList
      facts={[
        ["answer", prediction.kind === "multiclass" ? answerOf(prediction) : decimal(prediction.value, 4)],
        ["kind", prediction.kind ?? <Unknown />],
        ["status", prediction.status ?? <Unknown />],
        ["about", plain(prediction.at)],
        ["answered", <When at={prediction.logged_at} />],
        [
          "deployment",
          prediction.deployment ? (
            <Subject subject={`deployment:${prediction.deployment}`}>{prediction.deployment}</Subject>
          ) : (
            <Unknown />
          ),
        ],
        ["release", release ? <Subject subject={`release:${release}`} /> : <Unknown />],
        ["version", plain(versionId(prediction.version, null))],
        ["variant", prediction.variant ?? <Unknown />],
        ["latency", isNumber(prediction.latency_ms) ? `${decimal(prediction.latency_ms, 2)} ms` : <Unknown />],
        ["source", prediction.source ?? <Unknown />],
      ]}
    />
  );
}

function Feedback({ prediction, output }: { prediction: Prediction | undefined; output: Output | undefined }) {
  const labels = prediction?.feedback ?? [];
  if (!labels.length)
    return (
      <Empty title="The label has not arrived yet" command={`mainstay feedback ${prediction?.id ?? "ID"} 1`}>
        Labels come late; they are joined by the prediction's id whenever they come.
      </Empty>
    );
  return (
    <div class="table-frame">
      <table aria-label="Labels">
        <thead>
          <tr>
            <th scope="col">Revision</th>
            <th scope="col">Label</th>
            <th scope="col">At</th>
            <th scope="col">From</th>
          </tr>
        </thead>
        <tbody>
          {labels.map((one, index) => (
            <tr key={index}>
              <td>{one.revision ?? index + 1}</td>
              <td>
                <b>{truthOf(one.label, output)}</b>
                {index === labels.length - 1 && labels.length > 1 && <span class="quiet"> counts</span>}
              </td>
              <td>
                <When at={one.at} />
              </td>
              <td>
                <Person name={one.actor} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
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
  const links = data.edges?.length
    ? data.edges
    : steps.slice(1).map((_step, index): [number, number, string?] => [index, index + 1]);
  const groups = grouped(steps, links);
  const edges = groupEdges(groups, links);
  const nodes = groups
    .filter((group) => group.length > 1)
    .map((group) => ({
      id: groupId(group),
      label: `${group.length} × ${steps[group[0] ?? 0]?.kind ?? "record"}`,
      style: "",
      body: <GroupBody steps={group.map((index) => steps[index]).filter((step) => step !== undefined)} />,
    }))
    .concat(
      groups
        .filter((group) => group.length === 1)
        .map(([index = 0]) => ({ step: steps[index] ?? {}, index }))
        .map(({ step, index }) => ({
          id: String(index),
          label: `${step.kind ?? "step"} ${step.title ?? ""}${step.unknown ? ", unknown" : ""}`,
          style: step.unknown ? "node-unknown" : step.verified === false ? "node-failed" : "",
          body: <WhyBody step={step} />,
        })),
    );
  const open =
    groups
      .find((group) => groupId(group) === chosen)
      ?.map((index) => steps[index])
      .filter((step) => step !== undefined) ?? [];
  const unknown = steps.filter((step) => step.unknown).length;
  const broken = steps.filter((step) => step.verified === false).length;
  return (
    <div class="stack">
      <p class="legend-line">
        <span>
          {steps.length} records{isNumber(data.ms) ? ` in ${decimal(data.ms, 0)} ms` : ""}
        </span>
        {unknown > 0 && (
          <span class="tone-unknown">
            <Icon name="unknown" size={12} /> {unknown} unknown
          </span>
        )}
        {verify && data.chain_ok != null && (
          <span class={data.chain_ok ? "tone-ok" : "tone-alert"}>
            <Icon name={data.chain_ok ? "ok" : "alert"} size={12} /> ledger {data.chain_ok ? "whole" : "broken"}
          </span>
        )}
        {verify && (
          <span class={broken ? "tone-alert" : "tone-ok"}>
            <Icon name={broken ? "alert" : "ok"} size={12} />{" "}
            {broken ? `${broken} do not match their digest` : "every digest that is held was checked"}
          </span>
        )}
        <button type="button" class="button button-small push" aria-pressed={verify} onClick={() => setVerify(!verify)}>
          {verify ? "Without checking" : "Check every digest"}
        </button>
      </p>
      <div class="why">
        <Graph
          nodes={nodes}
          edges={edges}
          label="The chain behind this prediction"
          widths={[200, 176, 160, 148, 132]}
          height={66}
          down
          chosen={chosen}
          choose={choose}
        />
        <div class="why-panel">
          {open.map((step, index) => (
            <WhyPanel key={index} step={step} short={open.length > 1} />
          ))}
        </div>
      </div>
    </div>
  );
}

const MOST_ALONE: Record<string, number> = { gate: 1 }; // of one kind that stand in boxes of their own; of others two

/** Many records of one kind with the same origin (a model learned from nine snapshots) stand in one box. */
function grouped(steps: WhyStep[], links: [number, number, string?][]): number[][] {
  const groups = new Map<string, number[]>();
  steps.forEach((step, index) => {
    const from = links
      .filter(([, to]) => to === index)
      .map(([start, , label]) => `${start}${label ?? ""}`)
      .sort()
      .join();
    const key = from && !step.unknown && step.verified !== false ? `${step.kind} ${from}` : String(index);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  });
  return [...groups.values()].flatMap((group) =>
    group.length > (MOST_ALONE[steps[group[0] ?? 0]?.kind ?? ""] ?? 2) ? [group] : group.map((index) => [index]),
  );
}

function groupId(group: number[]): string {
  return String(group[0] ?? "");
}

function groupEdges(
  groups: number[][],
  links: [number, number, string?][],
): { from: string; to: string; label: string | undefined }[] {
  const home = new Map(groups.flatMap((group) => group.map((index): [number, string] => [index, groupId(group)])));
  const edges = new Map<string, { from: string; to: string; label: string | undefined }>();
  for (const [start, end, label] of links) {
    const from = home.get(start);
    const to = home.get(end);
    if (from !== undefined && to !== undefined && from !== to)
      edges.set(`${from} ${to} ${label ?? ""}`, { from, to, label: label || undefined });
  }
  return [...edges.values()];
}

function GroupBody({ steps }: { steps: WhyStep[] }) {
  const isGate = steps[0]?.kind === "gate";
  const passed = steps.filter((step) => step.facts?.some((fact) => fact.name === "verdict" && fact.value === "pass")).length;
  return (
    <>
      <span class="node-kind">
        {steps.length} × {kindWords(steps[0]?.kind)}
        {steps.every((step) => step.verified === true) && <Icon name="check" size={12} />}
      </span>
      <span class="node-name">{isGate ? `${passed} of ${steps.length} passed` : `${shortTitle(steps[0] ?? {})} …`}</span>
      <span class="node-line quiet">{isGate ? <When at={steps[0]?.at} /> : `to ${shortTitle(steps.at(-1) ?? {})}`}</span>
    </>
  );
}

function WhyBody({ step }: { step: WhyStep }) {
  return (
    <>
      <span class="node-kind">
        {kindWords(step.kind)}
        {step.verified === true && <Icon name="check" size={12} />}
        {step.verified === false && <Icon name="alert" size={12} />}
      </span>
      <span class="node-name">{step.unknown ? "unknown" : shortTitle(step)}</span>
      <span class="node-line quiet">
        {step.at ? <When at={step.at} /> : "time unknown"}
        {step.actor && (
          <>
            {" "}
            · <Person name={step.actor} />
          </>
        )}
      </span>
    </>
  );
}

function shortTitle(step: WhyStep): string {
  const title = step.title ?? splitSubject(step.subject).name;
  const kind = step.kind ?? "";
  const rest = title.toLowerCase().startsWith(`${kind.toLowerCase()} `) ? title.slice(kind.length + 1) : title; // the kind stands above it
  return rest.replace(/[0-9a-f]{32,64}/g, (id) => shortId(id));
}

function WhyPanel({ step, short }: { step: WhyStep; short: boolean }) {
  const href = step.href ?? subjectHref(step.subject);
  return (
    <section class="panel" aria-label={step.title ?? step.kind ?? "record"}>
      <p class="object-kind">{kindWords(step.kind)}</p>
      <h2 class="minor">{href ? <a href={href}>{shortTitle(step)}</a> : shortTitle(step)}</h2>
      {short ? (
        <p class="quiet">
          {(step.facts ?? [])
            .slice(0, 3)
            .map((fact) => `${kindWords(fact.name)} ${plainShort(fact.value)}`)
            .join(" · ")}
        </p>
      ) : null}
      {step.unknown && <p class="unknown-note">The record does not hold this link. It is unknown, not absent.</p>}
      {!short && (
        <FactList
          facts={[
            ["at", <When at={step.at} />],
            ["by", <Person name={step.actor} />],
            ...(step.facts ?? []).map((fact): [string, preact.ComponentChildren] => [
              kindWords(fact.name),
              <Value value={fact.value} />,
            ]),
            ...(step.verified === undefined || step.verified === null
              ? []
              : [
                  ["digest", step.verified ? "checked, the same" : <b class="tone-alert">not the same</b>] as [
                    string,
                    preact.ComponentChildren,
                  ],
                ]),
          ]}
        />
      )}
    </section>
  );
}

function plainShort(value: unknown): string {
  return typeof value === "string" ? shortId(value) : plain(value);
}
