// SPDX-License-Identifier: Apache-2.0
// Whether a run gives the same again when it is carried out from its record alone: what was found, and how to ask.
import { query, useGet } from "../api.ts";
import { kindWords } from "../format.ts";
import type { LedgerEvent, Maybe, Page, Run } from "../types.ts";
import { Act } from "./act.tsx";
import { State } from "./pill.tsx";
import { Person, When } from "./words.tsx";

interface Verdict {
  verdict?: string; // identical, equivalent, different
  sentence?: string;
  is_rebuilt?: boolean;
  steps?: { name: string; verdict: string; sentence: string }[];
}

const HEALTH: Record<string, string> = { identical: "ok", equivalent: "ok", different: "alert" };

/** The newest verdict on a run; nothing where nobody asked. */
export function Reproduced({ run }: { run: Maybe<string> }) {
  const path = run ? query("/api/events", { subject: `run:${run}`, kind: "run.reproduced", limit: 1 }) : null;
  const [event] = useGet<Page<LedgerEvent>>(path).data?.items ?? [];
  if (!event) return null;
  const found = (event.body ?? {}) as Verdict;
  const apart = (found.steps ?? []).filter((step) => step.verdict !== "identical");
  return (
    <div class="lead">
      <State state={HEALTH[found.verdict ?? ""]} small /> Carried out again from its record{" "}
      {found.is_rebuilt ? "in its environment, rebuilt, " : ""}
      <When at={event.at} /> by <Person name={event.actor} />: {found.sentence ?? kindWords(found.verdict)}.
      {apart.length > 0 && (
        <ul class="plain-list" aria-label="Steps that were not the same">
          {apart.map((step) => (
            <li key={step.name}>
              <code>{step.name}</code> {step.verdict}: {step.sentence}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

export function Reproduce({ run }: { run: Run }) {
  return (
    <Act
      label="Reproduce"
      title={`Carry ${run.name ?? "the run"} out again`}
      path="/api/jobs"
      body={{ kind: "reproduce", body: { subject: run.id } }}
      reason="optional"
      cli={`mainstay reproduce ${run.id}`}
      preview={
        <p>
          A worker runs it once more from its record alone: its sources, parameters, seeds and snapshots, nothing from the cache.
          Nothing is published but the verdict, which will stand here.
        </p>
      }
    />
  );
}
