// SPDX-License-Identifier: Apache-2.0
// A trace: the waterfall of its spans, what was asked and answered, and what people and judges said of it. Traces are telemetry:
// they have no events in the ledger, and so neither because line nor timeline.
import { useEffect } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { count, duration, plural, shortId } from "../format.ts";
import { CopyAs, listForms } from "../parts/copyas.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Tabs } from "../parts/tabs.tsx";
import { Waterfall } from "../parts/waterfall.tsx";
import { Id, PlainFacts, Subject, Value, When } from "../parts/words.tsx";
import { setTitle } from "../title.ts";
import type { Assessment, Trace } from "../types.ts";
import { seconds, tokens, TraceState } from "./traces.tsx";

export function TracePage({ id }: { id: string }) {
  const path = at("/api/traces", id);
  const { data, error } = useGet<Trace>(path);
  const name = data?.name ?? shortId(id);
  useEffect(() => setTitle(name), [name]);
  return (
    <article>
      <header class="object-head">
        <div class="object-title">
          <p class="object-kind">
            <a href="/traces">Trace</a>
          </p>
          <div class="title-row">
            <h1>{name}</h1>
            {data && <TraceState state={data.state} />}
          </div>
          {data && (
            <p class="object-meta">
              <span>
                began{" "}
                <b>
                  <When at={data.requested_at} />
                </b>
              </span>
              <span>
                took <b>{duration(seconds(data.duration_ms))}</b>
              </span>
              {tokens(data.usage) !== null && (
                <span>
                  tokens <b>{count(tokens(data.usage))}</b>
                </span>
              )}
              <span>
                experiment <a href={query("/traces", { experiment: data.experiment })}>{data.experiment}</a>
              </span>
              {data.run && (
                <span>
                  in <Subject subject={`run:${data.run}`} />
                </span>
              )}
              <Id id={id} label="trace id" />
            </p>
          )}
        </div>
        <div class="acts">
          <CopyAs forms={listForms(path, `mainstay traces show ${id}`)} />
        </div>
      </header>
      {error ? <ErrorNote error={error} /> : data ? <Tabs tabs={tabsOf(data)} /> : <Skeleton rows={10} tall />}
    </article>
  );
}

function tabsOf(trace: Trace) {
  const spans = trace.spans ?? [];
  const said = trace.assessments ?? [];
  return [
    {
      id: "spans",
      label: "Spans",
      count: spans.length,
      body: () =>
        spans.length ? (
          <Waterfall spans={spans} />
        ) : (
          <Empty title="No span has arrived">Spans may come late; they appear here as they do.</Empty>
        ),
    },
    { id: "said", label: "Assessments", count: said.length || undefined, body: () => <Said said={said} /> },
    { id: "facts", label: "Tags and metadata", body: () => <About trace={trace} /> },
  ];
}

const COLUMNS: Column<Assessment>[] = [
  { key: "name", label: "Assessment", value: (one) => one.name },
  { key: "kind", label: "Kind", value: (one) => one.kind },
  { key: "value", label: "Value", value: (one) => JSON.stringify(one.value), cell: (one) => <Value value={one.value} /> },
  { key: "by", label: "By", value: (one) => `${one.source_kind ?? ""} ${one.source ?? ""}`.trim() },
  { key: "rationale", label: "Rationale", value: (one) => one.rationale, wide: true },
  { key: "valid", label: "In force", value: (one) => (one.is_valid === false ? "replaced" : "yes") },
  { key: "at", label: "Said", value: (one) => one.created_at, cell: (one) => <When at={one.created_at} /> },
];

function Said({ said }: { said: Assessment[] }) {
  if (!said.length)
    return (
      <Empty title="Nobody has judged this trace">
        Feedback says how it was, an expectation what would have been right. MLflow's <code>log_feedback</code> writes one, as
        does a POST to <code>/api/traces/ID/assessments</code>.
      </Empty>
    );
  return (
    <>
      <Table name="a" label="assessments" rows={said} columns={COLUMNS} filter={false} />
      <p class="quiet">{plural(said.length, "assessment")}; one that was replaced stays on record.</p>
    </>
  );
}

function About({ trace }: { trace: Trace }) {
  return (
    <div class="pair">
      <section>
        <h2>Tags</h2>
        <PlainFacts facts={trace.tags} empty="No tags." />
      </section>
      <section>
        <h2>Metadata</h2>
        <PlainFacts facts={trace.metadata} empty="No metadata." />
      </section>
    </div>
  );
}
