// SPDX-License-Identifier: Apache-2.0
// Policies: what must hold before a release may go live.
import { at, useGet } from "../api.ts";
import { plain } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Id, Unknown } from "../parts/words.tsx";
import type { Page, Policy } from "../types.ts";
import { GOVERNANCE } from "./ledger.tsx";

function gateWords(gate: unknown): string {
  return typeof gate === "string" ? gate : plain(gate);
}

function approvalWords(policy: Policy | undefined): string {
  const asked = policy?.approvals;
  if (!asked) return "unknown";
  return `${asked.count ?? 0}${asked.not_author ? ", not by an author" : ""}`;
}

const COLUMNS: Column<Policy>[] = [
  { key: "name", label: "Policy", value: (one) => one.name },
  { key: "version", label: "Version", value: (one) => one.version, right: true },
  {
    key: "gates",
    label: "Gates",
    value: (one) => one.gates?.map(gateWords).join(" and "),
    cell: (one) => <code class="wrap">{one.gates?.map(gateWords).join("\n")}</code>,
    wide: true,
  },
  { key: "approvals", label: "Approvals", value: approvalWords },
  {
    key: "digest",
    roomy: true,
    label: "Digest",
    value: (one) => one.digest,
    cell: (one) => <Id id={one.digest} label="digest" />,
  },
];

export function Policies() {
  const { data, error } = useGet<Page<Policy>>("/api/policies");
  return (
    <ListPage
      title="Policies"
      about="What must hold before a release may go live. Versioned; a missing number is a failure, never a pass."
      path="/api/policies"
      cli="mainstay policy list"
      places={GOVERNANCE}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No policy yet" command="mainstay policy put NAME --gate EXPRESSION">
          A policy names the gates a release must pass and how many people must approve it.
        </Empty>
      }
    >
      <Table name="" label="policies" rows={data?.items ?? []} columns={COLUMNS} href={(one) => `/policies/${one.name}`} />
    </ListPage>
  );
}

export function PolicyPage({ name }: { name: string }) {
  const { data, error } = useGet<Policy>(at("/api/policies", name));
  return (
    <ObjectPage
      subject={`policy:${name}`}
      kind="Policy"
      name={name}
      plainName={`${name} policy`}
      made={data?.created_at}
      loading={!data}
      error={error}
      state={data ? "ok" : undefined}
      aside={
        <>
          {data?.version !== undefined && (
            <span>
              version <b>{data.version}</b>
            </span>
          )}
          <Id id={data?.digest} label="policy digest" />
        </>
      }
      tabs={[
        {
          id: "gates",
          label: "Gates",
          count: data?.gates?.length,
          body: () =>
            data?.gates?.length ? (
              <ol class="gate-list">
                {data.gates.map((gate, index) => (
                  <li key={index}>
                    <code>{gateWords(gate)}</code>
                  </li>
                ))}
              </ol>
            ) : (
              <Empty title="This policy asks for nothing" />
            ),
        },
        {
          id: "approvals",
          label: "Approvals",
          body: () => (
            <FactList
              facts={[
                ["people who must approve", data?.approvals?.count ?? <Unknown />],
                ["may an author approve", data?.approvals?.not_author ? "no" : "yes"],
                ["reason for this version", data?.reason ?? <Unknown />],
              ]}
            />
          ),
        },
      ]}
    />
  );
}
