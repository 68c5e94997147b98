// SPDX-License-Identifier: Apache-2.0
// A release: the gate with its numbers, the evidence, who approved and why, the rollout step by step.
import { at, useGet } from "../api.ts";
import {
  alike,
  count,
  decimal,
  figure,
  isNumber,
  kindWords,
  plain,
  releaseId,
  share,
  shortId,
  toneOf,
  versionId,
} from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Sign, Word } from "../parts/pill.tsx";
import { VersionWarnings } from "../parts/sourcewarnings.tsx";
import { FactList, Id, Person, Subject, Unknown, Value, When } from "../parts/words.tsx";
import type { Evidence, Facts, Gate, Release, Rollout } from "../types.ts";

export function ReleasePage({ deployment, number }: { deployment: string; number: string }) {
  const { data, error } = useGet<Release>(at("/api/releases", deployment, number));
  const id = data?.id ?? releaseId(number, deployment) ?? "";
  const version = versionId(data?.version, data?.model);
  return (
    <ObjectPage
      subject={`release:${id}`}
      kind="Release"
      name={id}
      plainName={id}
      state={data?.state}
      made={data?.requested_at}
      loading={!data}
      error={error}
      aside={
        <>
          {version && (
            <span>
              version{" "}
              <b>
                <Subject subject={`version:${version}`} />
              </b>
            </span>
          )}
          <span>
            asked by{" "}
            <b>
              <Person name={data?.requested_by} />
            </b>
          </span>
          <Id id={data?.digest} label="release digest" />
        </>
      }
      acts={data?.state === "waiting" && <Approve release={data} id={id} deployment={deployment} number={number} />}
      above={
        data && (
          <>
            <Track release={data} />
            <VersionWarnings version={version} />
          </>
        )
      }
      tabs={[
        { id: "gate", label: "Gate", count: data?.gates?.length, body: () => <Gates release={data} /> },
        { id: "approvals", label: "Approvals", count: data?.approvals?.length, body: () => <Approvals release={data} /> },
        { id: "rollout", label: "Rollout", body: () => <RolloutPart rollout={data?.rollout} /> },
        { id: "manifest", label: "What it is made of", body: () => <Manifest release={data} /> },
      ]}
    />
  );
}

function Approve({ release, id, deployment, number }: { release: Release; id: string; deployment: string; number: string }) {
  const path = at("/api/releases", deployment, number, "approvals");
  const passed = release.gates?.filter((gate) => gate.verdict === "pass").length ?? 0;
  const preview = (
    <>
      <p>
        You answer for exactly this: release digest <code>{shortId(release.digest)}</code>. The gate passed {passed} of{" "}
        {release.gates?.length ?? 0} checks.
      </p>
      <ul class="plain-list">
        {release.gates?.map((gate, index) => (
          <li key={index}>
            <Sign tone={toneOf(gate.verdict)} label={gate.verdict ?? "unknown"} />
            {gate.sentence ?? gate.gate}
          </li>
        ))}
      </ul>
    </>
  );
  return (
    <>
      <Act
        label="Reject"
        title={`Reject ${id}`}
        path={path}
        body={{ decision: "reject", digest: release.digest }}
        cli={`mainstay reject ${id} -m "…"`}
        preview={preview}
      />
      <Act
        label="Approve"
        title={`Approve ${id}`}
        tone="primary"
        path={path}
        body={{ decision: "approve", digest: release.digest }}
        cli={`mainstay approve ${id} -m "…"`}
        preview={preview}
      />
    </>
  );
}

const STAGES = ["gate", "approval", "rollout", "live"] as const;

/** The way of a release: gate → approval → rollout → live, with where it stands or where it ended. */
function Track({ release }: { release: Release }) {
  const places: Record<string, [number, string]> = {
    judging: [0, "judging"],
    refused: [0, "refused"],
    waiting: [1, "waiting"],
    rejected: [1, "rejected"],
    approved: [2, "approved"],
    rolling: [2, "rolling"],
    failed: [2, "failed"],
    live: [3, "live"],
    superseded: [4, "superseded"],
    rolled_back: [3, "rolled back"],
  };
  const [reached, word] = places[release.state ?? ""] ?? [-1, "unknown"];
  const bad = ["refused", "rejected", "failed", "rolled_back"].includes(release.state ?? "");
  return (
    <ol class="track" aria-label={`This release is ${word}`}>
      {STAGES.map((stage, index) => {
        const state = index < reached ? "done" : index === reached ? (bad ? "ended" : "now") : "ahead";
        return (
          <li key={stage} class={`track-${state}`}>
            <Sign
              tone={state === "done" ? "ok" : state === "ended" ? "alert" : state === "now" ? "accent" : "plain"}
              label={state}
              size={14}
            />
            {stage}
            <span class="quiet">{index === reached && word !== stage ? word : ""}</span>
          </li>
        );
      })}
    </ol>
  );
}

function Gates({ release }: { release: Release | undefined }) {
  if (!release?.gates?.length)
    return (
      <Empty title={release?.state === "judging" ? "The gate is judging" : "No gate result is on record"}>
        The gate asks the policy's questions of this release, on rows neither model has learned from. A missing number is a
        failure, never a pass.
      </Empty>
    );
  return (
    <div class="stack">
      {release.gates.map((gate, index) => (
        <GateCard key={index} gate={gate} />
      ))}
      <p class="quiet">
        Rows judged:{" "}
        {release.evidence_blob ? (
          <Id id={release.evidence_blob} label="evidence digest" />
        ) : (
          <Unknown why="No evidence is kept for this release" />
        )}
      </p>
    </div>
  );
}

function GateCard({ gate }: { gate: Gate }) {
  const numbers = Object.entries(gate.numbers ?? {});
  const flat = numbers.filter(([, value]) => value === null || typeof value !== "object");
  const deep = numbers.filter(([, value]) => value !== null && typeof value === "object");
  return (
    <section class={`panel gate gate-${toneOf(gate.verdict)}`}>
      <header class="panel-head">
        <Word word={gate.verdict} />
        <code class="gate-text">{gate.gate}</code>
      </header>
      {gate.sentence && <p>{gate.sentence}</p>}
      {flat.length > 0 && (
        <dl class="numbers">
          {flat.map(([name, value]) => (
            <div key={name}>
              <dt>{kindWords(name)}</dt>
              <dd>
                {typeof value === "string" && value.length === 64 ? (
                  <Id id={value} />
                ) : typeof value === "number" ? (
                  Number.isInteger(value) ? (
                    count(value)
                  ) : (
                    figure(value)
                  )
                ) : (
                  plain(value)
                )}
              </dd>
            </div>
          ))}
        </dl>
      )}
      {deep.map(([name, value]) => (
        <DeepNumbers key={name} name={name} value={value} />
      ))}
      {isNumber(gate.rows)
        ? gate.rows > 0 && <p class="quiet gate-rows">judged on {count(gate.rows)} rows</p>
        : gate.rows != null && (
            <p class="quiet gate-rows">
              rows: <Value value={gate.rows} />
            </p>
          )}
    </section>
  );
}

/** Slices and the like: a list of equal records is a small table, anything else its own facts. */
function DeepNumbers({ name, value }: { name: string; value: unknown }) {
  const list = Array.isArray(value)
    ? (value as unknown[]).filter((item): item is Facts => typeof item === "object" && item !== null)
    : [];
  if (!list.length)
    return (
      <p class="quiet">
        {kindWords(name)}: <Value value={value} />
      </p>
    );
  const keys = [...new Set(list.flatMap((item) => Object.keys(item)))];
  const write = new Map(keys.map((key) => [key, alike(list.map((item) => item[key]))]));
  const body = (
    <div class="table-frame">
      <table aria-label={name}>
        <thead>
          <tr>
            {keys.map((key) => (
              <th key={key} scope="col" class={list.some((item) => isNumber(item[key])) ? "right" : ""}>
                {kindWords(key)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {list.map((item, index) => (
            <tr key={index}>
              {keys.map((key) => (
                <td key={key} class={isNumber(item[key]) ? "right" : ""}>
                  {isNumber(item[key]) ? write.get(key)?.(item[key]) : item[key] === undefined ? "–" : plain(item[key])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
  return (
    <details class="slices" open={list.length <= 6}>
      <summary>
        {kindWords(name)} ({list.length})
      </summary>
      {body}
    </details>
  );
}

function Approvals({ release }: { release: Release | undefined }) {
  if (!release?.approvals?.length)
    return (
      <Empty
        title={release?.state === "waiting" ? "Nobody has answered yet" : "No approval is on record"}
        command={`mainstay approve ${release?.id ?? "RELEASE"} -m "why"`}
      >
        A person who neither trained, registered nor asked for it looks at the gate's numbers and answers, with a reason, for
        exactly this digest.
      </Empty>
    );
  return (
    <ul class="approvals">
      {release.approvals.map((approval, index) => (
        <li key={index} class="panel">
          <p>
            <Sign tone={approval.decision === "approve" ? "ok" : "alert"} label={approval.decision ?? "unknown"} />{" "}
            <b>
              <Person name={approval.actor} />
            </b>{" "}
            {approval.decision === "approve" ? "approved" : "rejected"} <When at={approval.at} />
          </p>
          {approval.reason && <blockquote>{approval.reason}</blockquote>}
          <p class="quiet">
            for digest <Id id={approval.digest} label="approved digest" />{" "}
            {approval.valid === false ? (
              <b class="tone-alert">which is not this release's digest: it does not count</b>
            ) : approval.valid === true ? (
              "which is this release"
            ) : (
              ""
            )}
          </p>
        </li>
      ))}
    </ul>
  );
}

export function RolloutPart({ rollout, acts = true }: { rollout: Rollout | null | undefined; acts?: boolean }) {
  if (!rollout)
    return (
      <Empty title="No rollout yet">
        Once approved, the release takes over in steps; at each step a guard weighs errors, latency and quality before it goes on.
      </Empty>
    );
  const steps = rollout.steps ?? [];
  const evidence = rollout.evidence ?? [];
  const active = ["running", "paused", "held"].includes(rollout.state ?? "");
  const path = (verb: string) => at("/api/rollouts", rollout.id ?? "", verb);
  const reached = (index: number) =>
    rollout.state === "completed" || index < (rollout.step ?? 0) || (index === rollout.step && rollout.state !== "aborted");
  return (
    <div class="stack">
      <div class="rollout-head">
        <Word word={rollout.state} />
        <span>
          {rollout.kind} rollout of <Subject subject={`release:${rollout.release}`} />
        </span>
        <span class="quiet">
          begun <When at={rollout.started_at} />
          {rollout.share != null && ` · share now ${share(rollout.share)}`}
        </span>
        {acts && active && rollout.id && (
          <span class="push acts">
            {rollout.state === "paused" ? (
              <Act
                label="Resume"
                title="Go on with this rollout"
                path={path("resume")}
                cli={`mainstay rollout resume ${rollout.id}`}
              />
            ) : (
              <Act
                label="Pause"
                title="Hold the traffic where it is"
                path={path("pause")}
                cli={`mainstay rollout pause ${rollout.id}`}
                preview={
                  <Difference lines={[["traffic", "moves on when the guard agrees", `stays at ${share(rollout.share)}`]]} />
                }
              />
            )}
            <Act label="Ask the guard" title="Judge this step now" path={path("advance")} reason="none" />
            <Act
              label="Abort"
              title="Take this release out of traffic"
              tone="danger"
              path={path("abort")}
              cli={`mainstay rollout abort ${rollout.id} -m "…"`}
              preview={<Difference lines={[["share of this release", share(rollout.share) || "unknown", "0 %"]]} />}
            />
          </span>
        )}
      </div>
      <ol class="rollout-steps" aria-label="Steps">
        {steps.map((step, index) => (
          <li key={index} class={reached(index) ? "step-reached" : ""}>
            <b>{step} %</b>
            <span class="quiet">
              {index === rollout.step && active
                ? "now"
                : reached(index)
                  ? "reached"
                  : rollout.state === "aborted"
                    ? "never reached"
                    : "ahead"}
            </span>
          </li>
        ))}
      </ol>
      {evidence.length > 0 ? (
        <EvidenceTable evidence={evidence} steps={steps} />
      ) : (
        <p class="quiet">
          {rollout.state === "completed" && steps.length < 2
            ? "All traffic at once: there was nothing to compare with."
            : `No guard has spoken yet${isNumber(rollout.min_predictions) ? `; they are asked after ${count(rollout.min_predictions)} predictions` : ""}.`}
        </p>
      )}
    </div>
  );
}

/** What each guard weighed at each step. */
function EvidenceTable({ evidence, steps }: { evidence: Evidence[]; steps: number[] }) {
  const stepText = (one: Evidence) =>
    isNumber(one.share)
      ? share(one.share)
      : isNumber(one.step) && steps[one.step] !== undefined
        ? `${steps[one.step]} %`
        : plain(one.step);
  const counts = (side: Evidence["canary"]) => (side ? `${count(side.bad)} of ${count(side.n)}` : "–");
  const hasTimes = evidence.some((one) => one.at);
  return (
    <div class="table-frame">
      <table aria-label="Evidence of the guards">
        <thead>
          <tr>
            <th scope="col">Share</th>
            <th scope="col">Guard</th>
            <th scope="col">Decision</th>
            <th scope="col" class="right" title="Bad answers, of all that the new release gave">
              Canary
            </th>
            <th scope="col" class="right" title="Bad answers, of all that the champion gave in the same time">
              Champion
            </th>
            <th
              scope="col"
              class="right"
              title="Evidence that the canary is worse, readable at any time; in brackets what would be needed to act"
            >
              e-value
            </th>
            <th scope="col">In words</th>
            {hasTimes && <th scope="col">At</th>}
          </tr>
        </thead>
        <tbody>
          {evidence.map((one, index) => (
            <tr key={index}>
              <td>{stepText(one)}</td>
              <td>{one.guard ?? "–"}</td>
              <td>
                <Word word={one.decision} />
              </td>
              <td class="right">
                {one.canary ? counts(one.canary) : isNumber(one.k) ? `${count(one.k)} of ${count(one.n)}` : count(one.n)}
              </td>
              <td class="right">{counts(one.champion)}</td>
              <td class="right">
                {isNumber(one.e_value) ? decimal(one.e_value, 2) : "–"}
                {isNumber(one.needed) && <span class="range"> ({decimal(one.needed, 0)})</span>}
              </td>
              <td class="wide">{one.sentence ?? "–"}</td>
              {hasTimes && (
                <td>
                  <When at={one.at} />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Manifest({ release }: { release: Release | undefined }) {
  const manifest = release?.manifest;
  if (!manifest) return <Empty title="No manifest is on record" />;
  const snapshots = Array.isArray(manifest["snapshots"]) ? (manifest["snapshots"] as unknown[]) : [];
  const rest = Object.entries(manifest).filter(([name]) => name !== "snapshots");
  return (
    <FactList
      facts={[
        [
          "snapshots",
          snapshots.length ? (
            snapshots.map((one, index) => {
              const { id, role } =
                typeof one === "string"
                  ? { id: one, role: null }
                  : { id: String((one as Facts)["id"] ?? ""), role: (one as Facts)["role"] };
              return (
                <span key={index} class="gap-right">
                  <Subject subject={id.startsWith("snapshot:") ? id : `snapshot:${id}`} />
                  {role ? <span class="quiet"> {plain(role)}</span> : null}
                </span>
              );
            })
          ) : (
            <Unknown />
          ),
        ],
        ...rest.map(([name, value]): [string, preact.ComponentChildren] => [kindWords(name), <Value value={value} />]),
        ["release digest", <Id id={release?.digest} label="release digest" />],
      ]}
    />
  );
}
