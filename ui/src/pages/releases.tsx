// SPDX-License-Identifier: Apache-2.0
// All releases, newest first.
import { useGet } from "../api.ts";
import { releaseHref, releaseId, versionId } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import type { Page, Release } from "../types.ts";

export function releaseColumns(releases: Release[], deployment?: string): Column<Release>[] {
  const hasGates = releases.some((release) => release.gates?.length);
  const hasApprovals = releases.some((release) => release.approvals?.length);
  return [
    {
      key: "release",
      label: "Release",
      value: (release) => release.number,
      cell: (release) => release.id ?? releaseId(release.number, release.deployment ?? deployment),
    },
    { key: "state", label: "State", value: (release) => release.state, cell: (release) => <Word word={release.state} /> },
    {
      key: "version",
      label: "Version",
      value: (release) => versionId(release.version, release.model),
      cell: (release) => {
        const id = versionId(release.version, release.model);
        return id ? <Subject subject={`version:${id}`} /> : "–";
      },
    },
    ...(hasGates ? [{ key: "gate", label: "Gate", value: gateText, hint: "Checks passed, of those asked" }] : []),
    ...(hasApprovals
      ? [
          {
            key: "approved",
            label: "Approved by",
            value: (release: Release) =>
              release.approvals
                ?.filter((one) => one.decision === "approve")
                .map((one) => one.actor)
                .join(", ") || null,
          },
        ]
      : []),
    {
      key: "by",
      roomy: true,
      label: "Asked by",
      value: (release) => release.requested_by,
      cell: (release) => <Person name={release.requested_by} />,
    },
    { key: "reason", label: "Reason", value: (release) => release.reason, wide: true },
    {
      key: "at",
      label: "Asked",
      value: (release) => release.requested_at,
      cell: (release) => <When at={release.requested_at} />,
    },
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
  const { data, error } = useGet<Page<Release>>("/api/releases?limit=1000");
  return (
    <ListPage
      title="Releases"
      about="What went live, what was refused and what waits: model version, data, configuration and policy as one numbered whole."
      path="/api/releases"
      cli="mainstay releases list"
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No release yet" command="mainstay release MODEL@VERSION --to DEPLOYMENT">
          A release puts a model version behind a deployment: the gate judges it, a second person approves, the traffic moves in
          steps.
        </Empty>
      }
    >
      <Table
        name=""
        label="releases"
        rows={data?.items ?? []}
        columns={releaseColumns(data?.items ?? [])}
        href={(release) => hrefOfRelease(release)}
      />
    </ListPage>
  );
}
