// SPDX-License-Identifier: Apache-2.0
// Traces: what applications did with each request. The server filters and sorts; each row opens its waterfall.
import { query } from "../api.ts";
import { count, duration, isNumber, shortId } from "../format.ts";
import { useLongList } from "../longlist.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { AnyState, Word } from "../parts/pill.tsx";
import { ServerFilter } from "../parts/serverfilter.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Trace } from "../types.ts";
import { TRACKING } from "./runs.tsx";

const EXAMPLES: [string, string][] = [
  ["state = 'error' and span.kind = 'LLM'", "traces with a failed call of a language model"],
  ["duration_ms > 2000", "those that took long"],
  ["tags.team = 'growth'", "texts stand in quotes"],
];

export function tokens(usage: Trace["usage"]): number | null {
  if (!usage) return null;
  const total = usage["total_tokens"] ?? usage["total"];
  return isNumber(total) ? total : Object.values(usage).reduce((sum, one) => sum + one, 0);
}

export function seconds(milliseconds: Trace["duration_ms"]): number | null {
  return isNumber(milliseconds) ? milliseconds / 1000 : null;
}

export function TraceState({ state }: { state: string | undefined }) {
  // "ok" is a health word elsewhere; of a trace it only says that no error was reported
  return state === "ok" ? <Word word="succeeded" /> : state === "error" ? <Word word="failed" /> : <AnyState state={state} />;
}

const COLUMNS: Column<Trace>[] = [
  { key: "name", label: "Trace", value: (trace) => trace.name ?? shortId(trace.id) },
  { key: "state", label: "State", value: (trace) => trace.state, cell: (trace) => <TraceState state={trace.state} /> },
  {
    key: "asked",
    label: "Asked",
    value: (trace) => trace.request_preview,
    wide: true,
    cell: (trace) => oneLine(trace.request_preview),
  },
  {
    key: "answered",
    roomy: true,
    label: "Answered",
    value: (trace) => trace.response_preview,
    wide: true,
    cell: (trace) => oneLine(trace.response_preview),
  },
  {
    key: "took",
    label: "Took",
    value: (trace) => trace.duration_ms,
    cell: (trace) => duration(seconds(trace.duration_ms)),
    right: true,
  },
  {
    key: "tokens",
    label: "Tokens",
    value: (trace) => tokens(trace.usage),
    cell: (trace) => (tokens(trace.usage) === null ? "–" : count(tokens(trace.usage))),
    right: true,
  },
  { key: "said", roomy: true, label: "Judged", value: (trace) => trace.assessments?.length || null, right: true },
  { key: "session", label: "Session", value: (trace) => trace.session, hidden: true },
  { key: "experiment", label: "Experiment", value: (trace) => trace.experiment, hidden: true },
  { key: "began", label: "Began", value: (trace) => trace.requested_at, cell: (trace) => <When at={trace.requested_at} /> },
];

const LONGEST = 120;

function oneLine(text: string | null | undefined): string {
  const line = (text ?? "–").replace(/\s+/g, " ");
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

export function Traces() {
  const [filter, setFilter] = useParam("filter");
  const [experiment] = useParam("experiment");
  const path = query("/api/traces", { filter, experiment });
  const list = useLongList<Trace>(path);
  const unread = list.error?.kind === "invalid" ? list.error : undefined;
  return (
    <ListPage
      title="Traces"
      about="One request through an application each, span by span: what was asked, what was done, what it took."
      path={path}
      cli={filter ? `mainstay traces list --filter "${filter.replaceAll('"', '\\"')}"` : "mainstay traces list"}
      places={TRACKING}
      error={unread ? undefined : list.error}
      loading={list.isLoading && !unread}
      empty={!list.rows.length && !filter && !experiment && !list.error}
      nothing={
        <Empty title="No trace yet" command="mainstay up">
          A trace is one request through an application. OpenTelemetry sends its spans to <code>/v1/traces</code>; an MLflow
          client that points here sends its own.
        </Empty>
      }
    >
      <ServerFilter label="Filter traces" examples={EXAMPLES} value={filter} set={setFilter} error={unread} />
      <Table
        name=""
        label="traces"
        rows={list.rows}
        columns={COLUMNS}
        filter={false}
        href={(trace) => `/traces/${trace.id}`}
        more={
          !list.isWhole &&
          !list.error && (
            <button type="button" class="button" onClick={list.more}>
              Older traces
            </button>
          )
        }
      />
    </ListPage>
  );
}
