// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { moment } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { State } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import type { Monitor, Page } from "../types.ts";

const COLUMNS: Column<Monitor>[] = [
  { key: "name", label: "Monitor", value: (one) => one.name },
  { key: "state", label: "State", value: (one) => one.state, cell: (one) => <State state={one.state} small /> },
  {
    key: "deployment",
    label: "Watches",
    value: (one) => one.deployment,
    cell: (one) => <Subject subject={`deployment:${one.deployment}`}>{one.deployment}</Subject>,
  },
  { key: "owner", label: "Owner", value: (one) => one.owner, cell: (one) => <Person name={one.owner} /> },
  { key: "window", label: "Window", value: (one) => one.window },
  { key: "slices", roomy: true, label: "Slices", value: (one) => one.slices?.join(", ") },
  {
    key: "reviewed",
    roomy: true,
    label: "Last review",
    value: (one) => one.last_reviewed_at,
    cell: (one) => (one.last_reviewed_at ? <When at={one.last_reviewed_at} /> : <span class="quiet">never</span>),
  },
  { key: "due", label: "Next due", value: (one) => one.review_due_at, cell: (one) => <Due at={one.review_due_at} /> },
];

export function Due({ at }: { at: string | null | undefined }) {
  if (!at) return <span class="quiet">not set</span>;
  const late = moment(at) < Date.now();
  return (
    <span class={late ? "tone-alert" : ""}>
      {late ? "overdue, was " : ""}
      <When at={at} />
    </span>
  );
}

export function Monitors() {
  const { data, error } = useGet<Page<Monitor>>("/api/monitors");
  return (
    <ListPage
      title="Monitoring"
      about="What is watched, by whom, and when its owner last looked."
      path="/api/monitors"
      cli="mainstay monitors list"
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No monitor yet" command="mainstay deployments put NAME --model MODEL --owner OWNER">
          A monitor compares each window of traffic with what the model learned from, names an owner, and asks for a review at a
          cadence. One is made with every deployment.
        </Empty>
      }
    >
      <Table name="" label="monitors" rows={data?.items ?? []} columns={COLUMNS} href={(one) => `/monitors/${one.name}`} />
    </ListPage>
  );
}
