// SPDX-License-Identifier: Apache-2.0
// A deployment: what answers now and whether that is what was released; quality, drift and traffic over time; its releases.
import { at, query, useGet } from "../api.ts";
import { count, isNumber, plain, releaseHref, releaseId, share, shortId, versionId } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Icon } from "../parts/icons.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { VersionWarnings } from "../parts/sourcewarnings.tsx";
import { Table } from "../parts/table.tsx";
import { DriftHeat } from "../parts/drift.tsx";
import { MainChart, QualityCharts, TrafficCharts } from "../parts/windowcharts.tsx";
import { Id, Subject, Unknown, When } from "../parts/words.tsx";
import { useState } from "preact/hooks";
import type { Alert, Deployment, Facts, Monitor, Page, Release, WindowAnswer } from "../types.ts";
import { RolloutPart } from "./release.tsx";
import { hrefOfRelease, releaseColumns } from "./releases.tsx";

export function DeploymentPage({ name }: { name: string }) {
  const { data, error } = useGet<Deployment>(at("/api/deployments", name));
  const monitor = data ? (data.monitor ?? name) : null;
  const windows = useGet<Page<WindowAnswer>>(monitor ? at("/api/monitors", monitor, "windows") : null);
  const about = useGet<Monitor>(monitor ? at("/api/monitors", monitor) : null).data;
  const alerts = (useGet<Page<Alert>>("/api/alerts?limit=1000").data?.items ?? []).filter((alert) => alert.deployment === name);
  const items = windows.data?.items ?? [];
  const judged = (draw: () => preact.ComponentChildren) =>
    windows.error ? <ErrorNote error={windows.error} /> : windows.data ? draw() : <Skeleton rows={8} tall />;
  const policy = typeof data?.policy === "string" ? data.policy : String(data?.policy?.["name"] ?? "");
  return (
    <ObjectPage
      subject={`deployment:${name}`}
      kind="Deployment"
      name={name}
      plainName={name}
      state={data?.state}
      owner={data?.owner}
      loading={!data}
      error={error}
      aside={
        <>
          {isNumber(data?.predictions) && (
            <span>
              predictions <b>{count(data.predictions)}</b>
            </span>
          )}
          <span>
            environment <b>{data?.environment ?? "unknown"}</b>
          </span>
          {data?.model && (
            <span>
              model{" "}
              <b>
                <a href={`/models/${data.model}`}>{data.model}</a>
              </b>
            </span>
          )}
          {policy && (
            <span>
              policy{" "}
              <b>
                <a href={`/policies/${policy}`}>{policy}</a>
              </b>
            </span>
          )}
        </>
      }
      above={<VersionWarnings version={data?.version} />}
      acts={data && <RollBack deployment={data} />}
      tabs={[
        {
          id: "now",
          label: "Now",
          body: () =>
            data && (
              <Now deployment={data}>
                {items.length > 0 ? <MainChart windows={items} alerts={alerts} sync="now" height={220} /> : judged(() => null)}
              </Now>
            ),
        },
        { id: "quality", label: "Quality", body: () => judged(() => <QualityCharts windows={items} alerts={alerts} />) },
        {
          id: "drift",
          label: "Drift",
          body: () =>
            judged(() => <DriftHeat monitor={monitor ?? name} windows={items} importance={about?.importance ?? null} />),
        },
        { id: "traffic", label: "Traffic", body: () => judged(() => <TrafficCharts windows={items} />) },
      ]}
    />
  );
}

function Now({ deployment, children }: { deployment: Deployment; children: preact.ComponentChildren }) {
  const variants = deployment.variants ?? [];
  const releases = deployment.releases ?? [];
  return (
    <div class="stack">
      {variants.length ? (
        <Variants deployment={deployment} />
      ) : (
        <Empty
          title="Nothing answers here yet"
          command={`mainstay release ${deployment.model ?? "MODEL"}@candidate --to ${deployment.name}`}
        >
          A release puts a version into this deployment.
        </Empty>
      )}
      {deployment.rollout_now && (
        <section class="panel">
          <h2>Rollout under way</h2>
          <RolloutPart rollout={deployment.rollout_now} />
        </section>
      )}
      {children}
      <section>
        <h2>Releases</h2>
        {releases.length ? (
          <Table
            name="r"
            label="releases"
            rows={releases}
            columns={releaseColumns(releases, deployment.name)}
            href={(release) => hrefOfRelease(release, deployment.name)}
            filter={releases.length > 10}
          />
        ) : (
          <p class="quiet">None yet.</p>
        )}
      </section>
    </div>
  );
}

/** What the table wishes beside what each gateway says that it has loaded: the digests must be the same. */
function Variants({ deployment }: { deployment: Deployment }) {
  const gateways = deployment.loaded ?? [];
  return (
    <section>
      <h2>
        Answering now
        <span class={`agree tone-${deployment.agrees === true ? "ok" : deployment.agrees === false ? "alert" : "unknown"}`}>
          <Icon name={deployment.agrees === true ? "ok" : deployment.agrees === false ? "alert" : "unknown"} size={14} />
          {deployment.agrees === true
            ? "every gateway has loaded exactly this"
            : deployment.agrees === false
              ? "a gateway has loaded something else"
              : "no gateway has said what it loaded"}
        </span>
      </h2>
      <div class="table-frame">
        <table aria-label="Variants">
          <thead>
            <tr>
              <th scope="col">Release</th>
              <th scope="col">Version</th>
              <th scope="col">Role</th>
              <th scope="col" class="right">
                Share
              </th>
              <th scope="col" class="roomy">
                Digest released
              </th>
              {gateways.map((gateway) => (
                <th key={gateway.gateway} scope="col" title={gateway.gateway}>
                  Loaded by {shortId(gateway.gateway)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(deployment.variants ?? []).map((variant, index) => (
              <tr key={index}>
                <td>
                  <a class="row-name" href={releaseHref(variant.release) ?? "#"}>
                    {variant.release ?? "unknown"}
                  </a>
                </td>
                <td>
                  {variant.version ? (
                    <Subject subject={`version:${versionId(variant.version, deployment.model)}`} />
                  ) : (
                    <Unknown />
                  )}
                </td>
                <td>{variant.role ?? "–"}</td>
                <td class="right">
                  <span class="share-cell">
                    <i class="share-bar">
                      <b style={{ width: share(variant.share).replace(" ", "") || "0%" }} />
                    </i>
                    {share(variant.share) || <Unknown />}
                  </span>
                </td>
                <td class="roomy">
                  <Id id={variant.digest} label="digest" />
                </td>
                {gateways.map((gateway) => {
                  const loaded = gateway.variants?.find(
                    (one) => releaseId(one.release, deployment.name) === releaseId(variant.release, deployment.name),
                  );
                  if (!loaded)
                    return (
                      <td key={gateway.gateway}>
                        <span class="tone-alert nowrap">
                          <Icon name="alert" size={12} /> not loaded
                        </span>
                      </td>
                    );
                  return (
                    <td key={gateway.gateway}>
                      <span class={`nowrap tone-${loaded.matches ? "ok" : "alert"}`}>
                        <Icon name={loaded.matches ? "ok" : "alert"} size={12} /> <code>{shortId(loaded.digest)}</code>
                      </span>{" "}
                      <span class="quiet">
                        <When at={gateway.reported_at} />
                      </span>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function RollBack({ deployment }: { deployment: Deployment }) {
  const live = deployment.variants?.find((variant) => variant.role === "champion")?.release;
  const earlier = (deployment.releases ?? []).filter(
    (release) => release.state === "superseded" || release.state === "rolled_back",
  );
  const [to, setTo] = useState<number | null>(null);
  const chosen = to ?? earlier[0]?.number ?? null;
  if (!live || !earlier.length || chosen === null) return null;
  return (
    <Act
      label="Roll back"
      title={`Roll ${deployment.name} back`}
      tone="danger"
      path={at("/api/deployments", deployment.name, "rollback")}
      body={{ to: chosen }}
      cli={`mainstay rollback ${deployment.name} --to ${chosen} -m "…"`}
      preview={
        <>
          <label class="field">
            <span>To release</span>
            <select value={String(chosen)} onChange={(event) => setTo(Number(event.currentTarget.value))}>
              {earlier.map((release) => (
                <option key={release.number} value={String(release.number)}>
                  {optionText(release, deployment)}
                </option>
              ))}
            </select>
          </label>
          <RollbackPreview deployment={deployment.name} to={chosen} />
        </>
      }
    />
  );
}

function optionText(release: Release, deployment: Deployment): string {
  return `${release.id ?? `${deployment.name}#${release.number}`} (${versionId(release.version, release.model) ?? "version unknown"}, ${(release.state ?? "").replace("_", " ")})`;
}

function RollbackPreview({ deployment, to }: { deployment: string; to: number }) {
  const { data, error } = useGet<Facts>(query(at("/api/deployments", deployment, "rollback"), { to }));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={3} />;
  const lines = Object.entries(data).flatMap(([name, value]): [string, string, string][] => {
    const pair = value as { from?: unknown; to?: unknown } | null;
    if (typeof pair !== "object" || !pair || !("from" in pair) || !("to" in pair)) return [];
    return JSON.stringify(pair.from) === JSON.stringify(pair.to) ? [] : [[name, plain(pair.from), plain(pair.to)]];
  });
  const affects = Array.isArray(data["affects"]) ? (data["affects"] as unknown[]) : [];
  return (
    <>
      {lines.length ? <Difference lines={lines} /> : <p>Nothing differs between the two releases.</p>}
      {affects.length > 0 && (
        <p>
          Affects {affects.map((one) => (typeof one === "object" ? plain((one as Facts)["name"] ?? one) : plain(one))).join(", ")}{" "}
          ({count(affects.length)}).
        </p>
      )}
    </>
  );
}
