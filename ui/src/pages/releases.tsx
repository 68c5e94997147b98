// SPDX-License-Identifier: Apache-2.0
// All releases, newest first, gathered from the deployments that hold them.
import { useEffect, useState } from "preact/hooks";
import { ApiError, at, get, useGet, useStream } from "../api.ts";
import { releaseHref, releaseId, versionId } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import type { Deployment, Page, Release } from "../types.ts";

export function releaseColumns(deployment?: string): Column<Release>[] {
  return [
    { key: "release", label: "Release", value: (release) => release.number, cell: (release) => release.id ?? releaseId(release.number, release.deployment ?? deployment) },
    { key: "state", label: "State", value: (release) => release.state, cell: (release) => <Word word={release.state} /> },
    { key: "version", label: "Version", value: (release) => versionId(release.version, release.model), cell: (release) => { const id = versionId(release.version, release.model); return id ? <Subject subject={`version:${id}`} /> : "–"; } },
    { key: "gate", label: "Gate", value: gateText, hint: "Checks passed, of those asked" },
    { key: "approved", label: "Approved by", value: (release) => release.approvals?.filter((one) => one.decision === "approve").map((one) => one.actor).join(", ") || null },
    { key: "by", label: "Asked by", value: (release) => release.requested_by, cell: (release) => <Person name={release.requested_by} /> },
    { key: "reason", label: "Reason", value: (release) => release.reason, wide: true },
    { key: "at", label: "Asked", value: (release) => release.requested_at, cell: (release) => <When at={release.requested_at} /> },
  ];
}

function gateText(release: Release): string | null {
  if (!release.gates?.length) return null;
  return `${release.gates.filter((gate) => gate.verdict === "pass").length} of ${release.gates.length}`;
}

export function hrefOfRelease(release: Release, deployment?: string): string | null {
  return releaseHref(release.id ?? releaseId(release.number, release.deployment ?? deployment));
}

export function Releases() {
  const list = useGet<Page<Deployment>>("/api/deployments?limit=1000");
  const names = (list.data?.items ?? []).map((deployment) => deployment.name).join("\n");
  const [releases, setReleases] = useState<Release[] | null>(null);
  const [error, setError] = useState<ApiError | undefined>();
  const { last } = useStream();
  const seen = last?.kind?.startsWith("release") ? last.seq : undefined;
  useEffect(() => {
    if (!list.data) return;
    Promise.all(names.split("\n").filter(Boolean).map((name) => get<Deployment>(at("/api/deployments", name)))).then(
      (all) => setReleases(all.flatMap((deployment) => (deployment.releases ?? []).map((release) => ({ deployment: deployment.name, ...release })))),
      (reason: unknown) => setError(reason instanceof ApiError ? reason : new ApiError(0, "error", String(reason))),
    );
  }, [names, list.data, seen]);
  const sorted = [...(releases ?? [])].sort((a, b) => (b.requested_at ?? "").localeCompare(a.requested_at ?? "") || (b.number ?? 0) - (a.number ?? 0));
  return (
    <ListPage
      title="Releases" about="What went live, what was refused and what waits: model version, data, configuration and policy as one numbered whole." path="/api/deployments" cli="mainstay releases list"
      error={list.error ?? error} loading={!releases} empty={!sorted.length}
      nothing={<Empty title="No release yet" command="mainstay release MODEL@candidate --to DEPLOYMENT">A release puts a model version behind a deployment: the gate judges it, a second person approves, the traffic moves in steps.</Empty>}
    >
      <Table name="" label="releases" rows={sorted} columns={releaseColumns()} href={(release) => hrefOfRelease(release)} />
    </ListPage>
  );
}
