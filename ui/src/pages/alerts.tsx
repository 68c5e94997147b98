// SPDX-License-Identifier: Apache-2.0
import { query, useGet } from "../api.ts";
import { count, releaseId } from "../format.ts";
import { LIST_LIMIT, ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { State, Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Alert, Page } from "../types.ts";

/** A warning is something to watch; an alert asks for somebody. */
export function severityState(severity: string | undefined): string {
  return severity === "warning" ? "watch" : severity ? "alert" : "unknown";
}

const COLUMNS: Column<Alert>[] = [
  { key: "title", label: "Alert", value: (alert) => alert.title ?? alert.key ?? alert.id, wide: true },
  {
    key: "severity",
    label: "Severity",
    value: (alert) => alert.severity,
    cell: (alert) => <State state={severityState(alert.severity)} small />,
  },
  { key: "state", label: "State", value: (alert) => alert.state, cell: (alert) => <Word word={alert.state} /> },
  {
    key: "deployment",
    roomy: true,
    label: "Deployment",
    value: (alert) => alert.deployment,
    cell: (alert) => <Subject subject={`deployment:${alert.deployment}`}>{alert.deployment}</Subject>,
  },
  {
    key: "release",
    label: "Release",
    value: (alert) => releaseId(alert.release, alert.deployment),
    cell: (alert) =>
      alert.release != null ? <Subject subject={`release:${releaseId(alert.release, alert.deployment)}`} /> : "–",
  },
  { key: "owner", roomy: true, label: "Owner", value: (alert) => alert.owner, cell: (alert) => <Person name={alert.owner} /> },
  {
    key: "count",
    roomy: true,
    label: "Times",
    value: (alert) => alert.count,
    cell: (alert) => count(alert.count),
    right: true,
    hint: "How often the same thing was seen; one alert counts, it does not repeat",
  },
  {
    key: "asof",
    label: "About",
    value: (alert) => alert.as_of,
    cell: (alert) => <span class="nowrap">{alert.as_of?.slice(0, 10) ?? "–"}</span>,
    hint: "The end of the window that raised it",
  },
  {
    key: "opened",
    roomy: true,
    label: "Opened",
    value: (alert) => alert.opened_at,
    cell: (alert) => <When at={alert.opened_at} />,
  },
];

const STATES = ["all", "open", "acknowledged", "resolved", "muted"];

export function Alerts() {
  const [state, setState] = useParam("state", "all");
  const path = query("/api/alerts", { state: state === "all" ? "" : state, limit: LIST_LIMIT });
  const { data, error } = useGet<Page<Alert>>(path);
  return (
    <ListPage
      title="Alerts"
      about="Verdicts that ask for somebody, each with an owner. A repeat counts up; it does not ring again."
      path={path}
      cli="mainstay alerts list"
      error={error}
      loading={!data}
      empty={!data?.items.length && state === "all"}
      nothing={
        <Empty title="No alert so far">
          An alert is opened when a window is judged to have moved, for long enough to matter, or a file breaks its contract. It
          names an owner and what to do.
        </Empty>
      }
    >
      <Table
        name=""
        label="alerts"
        rows={data?.items ?? []}
        columns={COLUMNS}
        href={(alert) => `/alerts/${alert.id}`}
        tools={
          <div class="segments" role="group" aria-label="State">
            {STATES.map((one) => (
              <button key={one} type="button" aria-pressed={state === one} onClick={() => setState(one)}>
                {one}
              </button>
            ))}
          </div>
        }
      />
    </ListPage>
  );
}
