// SPDX-License-Identifier: Apache-2.0
// A decision: why now, or why not, with every fact the condition read.
import { at, useGet } from "../api.ts";
import { kindWords, plain, releaseId, shortId, splitSubject } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Sign, Word } from "../parts/pill.tsx";
import { FactList, Id, Person, Subject, Unknown, Value, When } from "../parts/words.tsx";
import type { Decision } from "../types.ts";

const HEADS: Record<string, string> = { start: "Why now", suggest: "Why it was suggested", hold: "Why not" };

export function DecisionPage({ id }: { id: string }) {
  const { data, error } = useGet<Decision>(at("/api/decisions", id));
  const title = data ? `${data.trigger ?? "trigger"}: ${kindWords(data.outcome)}` : shortId(id);
  return (
    <ObjectPage
      subject={`decision:${id}`}
      kind="Decision"
      name={title}
      plainName={title}
      state={data?.outcome}
      made={data?.at}
      loading={!data}
      error={error}
      aside={
        <>
          {data?.as_of && (
            <span>
              about data until <b>{data.as_of.slice(0, 10)}</b>
            </span>
          )}
          <span>
            mode <b>{data?.mode ?? "unknown"}</b>
          </span>
          <Id id={id} label="decision id" />
        </>
      }
      acts={
        data?.outcome === "suggest" &&
        !data.run_id &&
        (data.result === "none" || data.result === "pending") && (
          <>
            <Act
              label="Decline"
              title="Leave it as it is"
              path={at("/api/decisions", id, "decline")}
              cli={`mainstay decisions decline ${id} -m "…"`}
              preview={<p>{data.sentence}</p>}
            />
            <Act
              label="Accept"
              title="Run the pipeline now"
              tone="primary"
              path={at("/api/decisions", id, "accept")}
              reason="optional"
              cli={`mainstay decisions accept ${id}`}
              preview={
                <p>{data.sentence} A yes runs the pipeline; what it makes goes through the gate like any other version.</p>
              }
            />
          </>
        )
      }
      above={data?.sentence && <p class="lead">{data.sentence}</p>}
      tabs={[
        { id: "why", label: HEADS[data?.outcome ?? ""] ?? "Why", body: () => data && <Why decision={data} /> },
        { id: "after", label: "What came of it", body: () => data && <After decision={data} /> },
      ]}
    />
  );
}

/** What the condition reads comes first; the rest that was known stands below it, folded. */
function Why({ decision }: { decision: Decision }) {
  const facts = Object.entries(decision.facts ?? {});
  const read = facts.filter(([name]) => isRead(name, decision.condition));
  const rest = facts.filter(([name]) => !isRead(name, decision.condition));
  return (
    <div class="stack">
      <section>
        <h2>Condition</h2>
        <pre class="condition" tabIndex={0}>
          {decision.condition ?? "unknown"}
        </pre>
      </section>
      <section>
        <h2>What it read</h2>
        {!facts.length && <Empty title="No fact is on record" />}
        <FactSigns facts={read.length ? read : rest} />
      </section>
      {read.length > 0 && rest.length > 0 && (
        <details>
          <summary>What else was known ({rest.length})</summary>
          <FactSigns facts={rest} />
        </details>
      )}
    </div>
  );
}

function isRead(name: string, condition: string | undefined): boolean {
  return new RegExp(`(^|[^\\w.])${name.replace(/[^\w]/g, "\\$&")}($|[^\\w])`).test(condition ?? "");
}

function FactSigns({ facts }: { facts: [string, unknown][] }) {
  return (
    <ul class="fact-signs">
      {facts.map(([name, value]) => (
        <li key={name}>
          {typeof value === "boolean" ? (
            <Sign tone={value ? "accent" : "plain"} label={value ? "true" : "false"} />
          ) : value === null ? (
            <Sign tone="unknown" label="unknown" />
          ) : (
            <span />
          )}
          <code>{name}</code>
          <b>{typeof value === "object" && value !== null ? <Value value={value} /> : plain(value)}</b>
        </li>
      ))}
    </ul>
  );
}

function subjectOf(kind: string, id: string): string {
  return splitSubject(id).kind ? id : `${kind}:${id}`;
}

function After({ decision }: { decision: Decision }) {
  if (!decision.run_id && !decision.release && !decision.version && decision.outcome === "hold") {
    return <Empty title="Nothing was started, as decided">The next time the trigger is asked it looks again.</Empty>;
  }
  return (
    <FactList
      facts={[
        [
          "result",
          decision.result ? (
            <>
              <Word word={decision.result} /> {decision.result_sentence}
            </>
          ) : (
            <Unknown />
          ),
        ],
        ["run", decision.run_id ? <Subject subject={subjectOf("run", decision.run_id)} /> : <span class="quiet">none yet</span>],
        [
          "version",
          decision.version ? <Subject subject={subjectOf("version", decision.version)} /> : <span class="quiet">none yet</span>,
        ],
        [
          "release",
          decision.release != null ? (
            <Subject subject={subjectOf("release", releaseId(decision.release, decision.deployment) ?? "")} />
          ) : (
            <span class="quiet">none yet</span>
          ),
        ],
        [
          "trigger",
          decision.trigger ? <Subject subject={`trigger:${decision.trigger}`}>{decision.trigger}</Subject> : <Unknown />,
        ],
        [
          "deployment",
          decision.deployment ? (
            <Subject subject={`deployment:${decision.deployment}`}>{decision.deployment}</Subject>
          ) : (
            <Unknown />
          ),
        ],
        [
          "asked by",
          <>
            <Person name={decision.actor} /> <When at={decision.at} />
          </>,
        ],
        [
          "because",
          decision.because != null ? <a href={`/ledger?seq=${decision.because}`}>event {decision.because}</a> : <Unknown />,
        ],
      ]}
    />
  );
}
