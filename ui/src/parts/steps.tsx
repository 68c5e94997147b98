// SPDX-License-Identifier: Apache-2.0
// The steps of a pipeline's run as a graph: which were hits, why the others ran, what each made.
import type { ComponentChildren } from "preact";
import { bytes, count, duration, isNumber, plain, toneOf } from "../format.ts";
import { useParam } from "../router.ts";
import type { Step } from "../types.ts";
import { Graph } from "./graph.tsx";
import { Icon } from "./icons.tsx";
import { Sign } from "./pill.tsx";
import { FactList, Id, Subject } from "./words.tsx";

const WHY: Record<string, string> = {
  hit: "hit",
  new: "new",
  code: "code changed",
  input: "input changed",
  param: "parameter changed",
  environment: "environment changed",
};

export function reasons(steps: Step[]): string {
  const words = [
    ...new Set(
      steps.filter((step) => step.state !== "cached").map((step) => WHY[step.why ?? ""] ?? step.why ?? "that is not recorded"),
    ),
  ];
  const said = words.map((word) => (word === "new" ? "they were new" : `their ${word}`));
  return said.length > 1 ? `${said.slice(0, -1).join(", ")} or ${said.at(-1)}` : (said[0] ?? "that is not recorded");
}

export function Steps({ steps }: { steps: Step[] }) {
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
