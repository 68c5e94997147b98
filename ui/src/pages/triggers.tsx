// SPDX-License-Identifier: Apache-2.0
// Triggers: the rules that close the loop, and what each has decided.
import { at, useGet } from "../api.ts";
import { plain } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Person, Subject, Unknown } from "../parts/words.tsx";
import { go } from "../router.ts";
import type { Decision, Page, Trigger } from "../types.ts";
import { DECISION_COLUMNS, DECISION_PLACES } from "./decisions.tsx";

const COLUMNS: Column<Trigger>[] = [
  { key: "name", label: "Trigger", value: (one) => one.name },
  {
    key: "when",
    label: "When",
    value: (one) => one.when ?? one.condition,
    cell: (one) => <code class="wrap">{one.when ?? one.condition ?? "unknown"}</code>,
    wide: true,
  },
  { key: "then", label: "Then", value: (one) => one.pipeline, cell: (one) => <code>{one.pipeline ?? "unknown"}</code> },
  { key: "mode", label: "Mode", value: (one) => one.mode },
  { key: "cooldown", roomy: true, label: "Cooldown", value: (one) => one.cooldown },
  {
    key: "deployment",
    roomy: true,
    label: "Deployment",
    value: (one) => one.deployment,
    cell: (one) => <Subject subject={`deployment:${one.deployment}`}>{one.deployment}</Subject>,
  },
  { key: "owner", label: "Owner", value: (one) => one.owner, cell: (one) => <Person name={one.owner} /> },
];

export function Triggers() {
  const { data, error } = useGet<Page<Trigger>>("/api/triggers");
  return (
    <ListPage
      title="Triggers"
      about="Rules: when an event or the clock, if a condition holds, then an action."
      path="/api/triggers"
      cli="mainstay triggers list"
      places={DECISION_PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No trigger yet" command="mainstay triggers put NAME --deployment DEPLOYMENT --when CONDITION">
          A trigger decides when a model should learn again, in mode manual, suggest or auto.
        </Empty>
      }
    >
      <Table name="" label="triggers" rows={data?.items ?? []} columns={COLUMNS} href={(one) => `/triggers/${one.name}`} />
    </ListPage>
  );
}

export function TriggerPage({ name }: { name: string }) {
  const { data, error } = useGet<Page<Trigger>>("/api/triggers");
  const decisions = (useGet<Page<Decision>>("/api/decisions?limit=1000").data?.items ?? []).filter((one) => one.trigger === name);
  const trigger = data?.items.find((one) => one.name === name);
  const ask = (answer: unknown) => {
    const decision = answer as { id?: string } | null;
    if (decision?.id) go(`/decisions/${decision.id}`);
  };
  return (
    <ObjectPage
      subject={`trigger:${name}`}
      kind="Trigger"
      name={name}
      plainName={name}
      owner={trigger?.owner}
      state={decisions[0]?.outcome}
      loading={!data}
      error={error}
      aside={
        <span>
          mode <b>{trigger?.mode ?? "unknown"}</b>
        </span>
      }
      acts={
        <Act
          label="Ask now"
          title={`Ask ${name}`}
          tone="primary"
          path={at("/api/triggers", name, "ask")}
          reason="optional"
          cli={`mainstay triggers ask ${name}`}
          done={ask}
          preview={
            <p>
              It reads its facts as they are now and decides; the decision is kept, also if the answer is no.
              {trigger?.mode === "auto" ? " In mode auto, a yes starts the pipeline." : ""}
            </p>
          }
        />
      }
      tabs={[
        {
          id: "decisions",
          label: "Decisions",
          count: decisions.length,
          body: () =>
            decisions.length ? (
              <Table
                name=""
                label="decisions"
                rows={decisions}
                columns={DECISION_COLUMNS.filter((column) => column.key !== "trigger")}
                href={(one) => `/decisions/${one.id}`}
              />
            ) : (
              <Empty title="It has not been asked yet" command={`mainstay triggers ask ${name}`} />
            ),
        },
        {
          id: "rule",
          label: "Rule",
          body: () => (
            <FactList
              facts={[
                ["when", <code>{trigger?.when ?? trigger?.condition ?? "unknown"}</code>],
                ["then run", <code>{trigger?.pipeline ?? "unknown"}</code>],
                ["with", plain(trigger?.params ?? {})],
                ["cooldown", trigger?.cooldown ?? <Unknown />],
                [
                  "deployment",
                  trigger?.deployment ? (
                    <Subject subject={`deployment:${trigger.deployment}`}>{trigger.deployment}</Subject>
                  ) : (
                    <Unknown />
                  ),
                ],
              ]}
            />
          ),
        },
      ]}
    />
  );
}
