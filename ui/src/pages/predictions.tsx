// SPDX-License-Identifier: Apache-2.0
// The newest predictions of a deployment.
import { query, useGet } from "../api.ts";
import { decimal, releaseId, shortId, versionId } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Subject, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Deployment, Page, Prediction } from "../types.ts";

const COLUMNS: Column<Prediction>[] = [
  { key: "id", label: "Prediction", value: (one) => one.id, cell: (one) => <code title={one.id}>{shortId(one.id)}</code> },
  { key: "value", label: "Value", value: (one) => one.value, cell: (one) => decimal(one.value), right: true },
  {
    key: "about",
    label: "About",
    value: (one) => one.at,
    cell: (one) => <span class="nowrap">{one.at?.slice(0, 16).replace("T", " ") ?? "–"}</span>,
    hint: "The time the prediction is about, UTC",
  },
  {
    key: "release",
    label: "Release",
    value: (one) => releaseId(one.release, one.deployment),
    cell: (one) => <Subject subject={`release:${releaseId(one.release, one.deployment)}`} />,
  },
  {
    key: "version",
    roomy: true,
    label: "Version",
    value: (one) => one.version,
    cell: (one) =>
      String(one.version ?? "").includes("/") ? (
        <Subject subject={`version:${versionId(one.version, null)}`} />
      ) : (
        `${one.version ?? "–"}`
      ),
  },
  { key: "variant", label: "Variant", value: (one) => one.variant },
  { key: "source", roomy: true, label: "Source", value: (one) => one.source },
  { key: "status", roomy: true, label: "Status", value: (one) => one.status },
  {
    key: "latency",
    roomy: true,
    label: "ms",
    value: (one) => one.latency_ms,
    cell: (one) => decimal(one.latency_ms, 1),
    right: true,
  },
  { key: "logged", label: "Answered", value: (one) => one.logged_at, cell: (one) => <When at={one.logged_at} /> },
];

export function Predictions() {
  const names = useGet<Page<Deployment>>("/api/deployments").data?.items.map((one) => one.name) ?? [];
  const [deployment, setDeployment] = useParam("deployment");
  const chosen = deployment || names[0] || "";
  const path = query("/api/predictions", { deployment: chosen, limit: 200 });
  const { data, error } = useGet<Page<Prediction>>(chosen ? path : null);
  return (
    <ListPage
      title="Predictions"
      about="Each answer given, with its id: who answered, from what, and what became true later."
      path={path}
      cli="mainstay why PREDICTION"
      places={[
        ["/deployments", "Deployments"],
        ["/predictions", "Predictions"],
      ]}
      error={error}
      loading={!data && Boolean(chosen)}
      empty={!data?.items.length}
      nothing={
        <Empty title="No prediction yet" command="mainstay predict DEPLOYMENT --input rows.parquet">
          Every prediction is logged with its id before the answer leaves, so that it can be explained and its label can be joined
          later.
        </Empty>
      }
    >
      <Table
        name=""
        label="predictions"
        rows={data?.items ?? []}
        columns={COLUMNS}
        href={(one) => `/predictions/${one.id}`}
        tools={
          names.length > 1 && (
            <label class="field field-inline">
              <span>Deployment</span>
              <select value={chosen} onChange={(event) => setDeployment(event.currentTarget.value)}>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
          )
        }
        more={<p class="quiet">The newest 200. Any other opens by its id: search for it.</p>}
      />
    </ListPage>
  );
}
