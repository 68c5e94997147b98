// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { When } from "../parts/words.tsx";
import type { Page, Person } from "../types.ts";
import { GOVERNANCE } from "./ledger.tsx";

const COLUMNS: Column<Person>[] = [
  { key: "name", label: "Name", value: (one) => one.name },
  { key: "kind", label: "Kind", value: (one) => one.kind },
  { key: "roles", label: "Roles", value: (one) => one.roles?.join(", "), wide: true },
  {
    key: "acts",
    label: "What they did",
    value: () => null,
    cell: (one) => <a href={`/ledger?actor=${encodeURIComponent(one.name)}`}>in the ledger</a>,
  },
  {
    key: "made",
    label: "Since",
    value: (one) => one.created_at,
    cell: (one) => (one.created_at ? <When at={one.created_at} /> : "–"),
  },
];

export function People() {
  const { data, error } = useGet<Page<Person>>("/api/people");
  return (
    <ListPage
      title="People"
      about="People and services, and what each may do. Who trains does not approve."
      path="/api/people"
      cli="mainstay people list"
      places={GOVERNANCE}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="Nobody is named yet" command="mainstay people add NAME --role approver">
          Roles say who may look, contribute, approve and administer.
        </Empty>
      }
    >
      <Table name="" label="people" rows={data?.items ?? []} columns={COLUMNS} />
    </ListPage>
  );
}
