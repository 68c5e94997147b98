// SPDX-License-Identifier: Apache-2.0
// Back to an earlier snapshot of a dataset: what `current` would name, which snapshots it would pass over, and who uses those.
import { useState } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { plural } from "../format.ts";
import type { Dataset, RollbackPreview, SnapshotBrief } from "../types.ts";
import { Act, Difference } from "./act.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";
import { snapshotId } from "./snapshots.tsx";
import { Subject } from "./words.tsx";

export function DatasetRollback({ dataset }: { dataset: Dataset }) {
  const current = dataset.refs?.["current"] ?? 0;
  const earlier = (dataset.snapshots ?? []).filter((snap): snap is SnapshotBrief & { number: number } =>
    Boolean(snap.number && snap.number < current),
  );
  const [chosen, choose] = useState<number | null>(null);
  const to = chosen ?? earlier[0]?.number;
  if (to === undefined) return null;
  return (
    <Act
      label="Roll back"
      title={`Roll ${dataset.name} back`}
      tone="danger"
      path={at("/api/datasets", dataset.name, "rollback")}
      body={{ to }}
      cli={`mainstay datasets rollback ${dataset.name} --to ${to} -m "…"`}
      preview={
        <>
          <label class="field">
            <span>To snapshot</span>
            <select value={String(to)} onChange={(event) => choose(Number(event.currentTarget.value))}>
              {earlier.map((snap) => (
                <option key={snap.number} value={String(snap.number)}>
                  {snapshotId(snap, dataset.name)}
                </option>
              ))}
            </select>
          </label>
          <Follows dataset={dataset.name} to={to} />
        </>
      }
    />
  );
}

function Follows({ dataset, to }: { dataset: string; to: number }) {
  const { data, error } = useGet<RollbackPreview>(query(at("/api/datasets", dataset, "rollback"), { to }));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={3} />;
  const users = new Set(data.users.map((user) => user.subject)).size;
  return (
    <>
      <Difference lines={[[`${dataset}@current`, data.before, data.after]]} />
      <p>
        {plural(data.passed.length, "snapshot")} passed over, of which nothing is deleted; {plural(users, "thing")} came of{" "}
        {data.passed.length === 1 ? "it" : "them"}.
        {data.deployments.length > 0 && " These answer on, from a model that learned from what is passed over: "}
        {data.deployments.map((name, index) => (
          <span key={name}>
            {index > 0 && ", "}
            <Subject subject={`deployment:${name}`}>{name}</Subject>
          </span>
        ))}
      </p>
      <p class="quiet">The next snapshot that is taken in moves current forward again.</p>
    </>
  );
}
