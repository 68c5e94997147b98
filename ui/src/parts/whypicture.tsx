// SPDX-License-Identifier: Apache-2.0
// The chain behind a prediction as a picture: each record a box, what points to what an arrow, the chosen one told beside it.
import { useState } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { decimal, isNumber, kindWords, plain, shortId, splitSubject, subjectHref } from "../format.ts";
import type { Why, WhyStep } from "../types.ts";
import { Graph } from "./graph.tsx";
import { Icon } from "./icons.tsx";
import { Empty, ErrorNote, Skeleton } from "./notice.tsx";
import { FactList, Person, Value, When } from "./words.tsx";

export function WhyPicture({ id }: { id: string }) {
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
