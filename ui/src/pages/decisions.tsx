// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { releaseId } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Subject, When } from "../parts/words.tsx";
import type { Decision, Page } from "../types.ts";

export const DECISION_COLUMNS: Column<Decision>[] = [
  {
    key: "asof",
    label: "As of",
    value: (one) => one.as_of ?? one.at,
    cell: (one) => <span class="nowrap">{(one.as_of ?? one.at)?.slice(0, 10) ?? "unknown"}</span>,
    hint: "The date of the data it was decided on",
  },
  { key: "outcome", label: "Outcome", value: (one) => one.outcome, cell: (one) => <Word word={one.outcome} /> },
  { key: "sentence", label: "Why", value: (one) => one.sentence, wide: true },
  {
    key: "result",
    label: "What came of it",
    value: (one) => one.result,
    cell: (one) => (one.result && one.result !== "none" ? <Word word={one.result} /> : <span class="quiet">–</span>),
  },
  {
    key: "release",
    label: "Release",
    value: (one) => releaseId(one.release, one.deployment),
    cell: (one) => (one.release != null ? <Subject subject={`release:${releaseId(one.release, one.deployment)}`} /> : "–"),
  },
  {
    key: "trigger",
    roomy: true,
    label: "Trigger",
    value: (one) => one.trigger,
    cell: (one) => (one.trigger ? <Subject subject={`trigger:${one.trigger}`}>{one.trigger}</Subject> : "–"),
  },
  { key: "mode", label: "Mode", value: (one) => one.mode, hidden: true },
  { key: "at", roomy: true, label: "Decided", value: (one) => one.at, cell: (one) => <When at={one.at} /> },
];

export const DECISION_PLACES: [string, string][] = [
  ["/decisions", "Decisions"],
  ["/triggers", "Triggers"],
];

export function Decisions() {
  const { data, error } = useGet<Page<Decision>>("/api/decisions?limit=1000");
  return (
    <ListPage
      title="Decisions"
      about="Each time a trigger was asked: what it saw, what it chose, why now and why not."
      path="/api/decisions"
      cli="mainstay decisions list"
      error={error}
      loading={!data}
      empty={!data?.items.length}
      places={DECISION_PLACES}
      nothing={
        <Empty title="No decision yet" command="mainstay triggers ask NAME">
          A trigger is a rule: when an event or the clock, if a condition holds, then an action. Each time it is asked, its answer
          is kept here, also the answer no.
        </Empty>
      }
    >
      <Table
        name=""
        label="decisions"
        rows={data?.items ?? []}
        columns={DECISION_COLUMNS}
        href={(one) => `/decisions/${one.id}`}
      />
    </ListPage>
  );
}
