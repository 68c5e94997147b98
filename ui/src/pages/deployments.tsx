// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { count, share } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { State } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject } from "../parts/words.tsx";
import type { Deployment, LiveItem, Page } from "../types.ts";

const COLUMNS: Column<Deployment>[] = [
  { key: "name", label: "Deployment", value: (one) => one.name },
  { key: "state", label: "Health", value: (one) => one.state, cell: (one) => <State state={one.state} small /> },
  { key: "environment", label: "Environment", value: (one) => one.environment },
  {
    key: "model",
    roomy: true,
    label: "Model",
    value: (one) => one.model,
    cell: (one) => (one.model ? <Subject subject={`model:${one.model}`}>{one.model}</Subject> : "–"),
  },
  {
    key: "live",
    label: "In traffic",
    value: (one) => one.variants?.map((variant) => variant.release).join(" "),
    cell: (one) =>
      one.variants?.length ? (
        one.variants.map((variant) => (
          <span key={variant.release} class="gap-right">
            <Subject subject={`release:${variant.release}`} />{" "}
            <span class="quiet">
              {variant.role} {share(variant.share)}
            </span>
          </span>
        ))
      ) : (
        <span class="quiet">nothing</span>
      ),
  },
  {
    key: "predictions",
    label: "Predictions",
    value: (one) => one.predictions,
    cell: (one) => count(one.predictions),
    right: true,
  },
  { key: "owner", label: "Owner", value: (one) => one.owner, cell: (one) => <Person name={one.owner} /> },
  {
    key: "policy",
    roomy: true,
    label: "Policy",
    value: (one) => (typeof one.policy === "string" ? one.policy : String(one.policy?.["name"] ?? "–")),
  },
];

function itemsOf(answer: LiveItem[] | Page<LiveItem> | undefined): LiveItem[] {
  return Array.isArray(answer) ? answer : (answer?.items ?? []);
}

export function Deployments() {
  const { data, error } = useGet<Page<Deployment>>("/api/deployments");
  const live = itemsOf(useGet<LiveItem[] | Page<LiveItem>>("/api/live").data);
  const rows = (data?.items ?? []).map((one): Deployment => {
    const lines = live.filter((line) => line.deployment === one.name);
    return { state: lines[0]?.state ?? "unknown", variants: lines, ...one };
  });
  return (
    <ListPage
      title="Deployments"
      about="Named endpoints, and which releases answer at each."
      path="/api/deployments"
      cli="mainstay deployments list"
      error={error}
      loading={!data}
      empty={!data?.items.length}
      places={[
        ["/deployments", "Deployments"],
        ["/predictions", "Predictions"],
      ]}
      nothing={
        <Empty title="No deployment yet" command="mainstay deployments put NAME --model MODEL --owner OWNER">
          A deployment is a named endpoint with an owner, a policy and a rollout.
        </Empty>
      }
    >
      <Table name="" label="deployments" rows={rows} columns={COLUMNS} href={(one) => `/deployments/${one.name}`} />
    </ListPage>
  );
}
