// SPDX-License-Identifier: Apache-2.0
// Asking for a pipeline: to be run, or to be planned. Parameters are those of its newest run until somebody changes them.
import { at } from "../api.ts";
import type { Facts, Pipeline } from "../types.ts";
import { Act, type Field } from "./act.tsx";

interface Props {
  verb: "run" | "plan";
  pipeline: Pipeline;
  params: Facts; // of the newest run
  done?: () => void;
}

const OTHERS = " others"; // no parameter is called so

export function Order({ verb, pipeline, params, done }: Props) {
  const isPlan = verb === "plan";
  const fields: Field[] = Object.entries(params).map(([name, value]) => ({
    name,
    label: name,
    kind: "text",
    value: written(value),
    optional: true,
    isApart: true,
  }));
  fields.push({ name: OTHERS, label: "Other parameters, as NAME=VALUE", kind: "text", optional: true, isApart: true });
  return (
    <Act
      label={isPlan ? "Plan" : "Run"}
      title={`${isPlan ? "Plan" : "Run"} ${pipeline.name}`}
      path={at("/api/pipelines", pipeline.name, verb)}
      fields={fields}
      body={(values) => ({ params: given(values) })}
      reason={isPlan ? "none" : "optional"}
      tone={isPlan ? "plain" : "primary"}
      cli={(values) => command(verb, pipeline, given(values))}
      preview={
        <p>
          {isPlan
            ? "A worker says what a run would do now, step by step, and why. Nothing is carried out and nothing recorded."
            : "A worker runs it with the code of its project as it is now; a step that has not changed is not computed again."}{" "}
          {fields.length > 1 && "The parameters are those of its newest run; one that is left empty has the pipeline's own default."}
        </p>
      }
      done={done}
    />
  );
}

function written(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What was typed, by name; texts, which the worker converts as the command line does. */
function given(values: Record<string, string>): Record<string, string> {
  const { [OTHERS]: others = "", ...known } = values;
  const more = others
    .split(/\s+/)
    .filter((word) => word.includes("="))
    .map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]);
  return Object.fromEntries([...Object.entries(known), ...more].filter(([, text]) => text !== ""));
}

function command(verb: string, pipeline: Pipeline, params: Record<string, string>): string {
  const words = Object.entries(params).map(([name, text]) => `-p ${name}=${/[^\w.,:/@-]/.test(text) ? `'${text}'` : text}`);
  return ["mainstay", verb, pipeline.entry ?? pipeline.name, ...words].join(" ");
}
