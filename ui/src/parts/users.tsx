// SPDX-License-Identifier: Apache-2.0
// Who works with a snapshot downstream: runs that read it, what was made from it, versions, releases, and where these are live.
import { at, useGet } from "../api.ts";
import { plural, shortId, splitSubject } from "../format.ts";
import type { User, Users } from "../types.ts";
import { Empty, ErrorNote, Skeleton } from "./notice.tsx";
import { Word } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { Subject } from "./words.tsx";

const ORDER = ["release", "version", "snapshot", "run"];

/** One user, with all that it used and as what. */
interface Gathered extends User {
  role: string;
  snapshots: string[];
}

function gathered(users: User[]): Gathered[] {
  const found = new Map<string, Gathered>();
  for (const user of users) {
    const known = found.get(user.subject) ?? { ...user, role: "", snapshots: [] };
    const roles = new Set([...known.role.split(", "), user.role ?? ""].filter(Boolean));
    const snapshots = [...new Set([...known.snapshots, user.snapshot])];
    found.set(user.subject, { ...known, role: [...roles].join(", "), snapshots });
  }
  return [...found.values()];
}

const COLUMNS: Column<Gathered>[] = [
  { key: "kind", label: "Kind", value: (user) => user.kind },
  {
    key: "name",
    label: "Who",
    value: (user) => splitSubject(user.subject).name,
    cell: (user) => <Subject subject={user.subject}>{shortId(splitSubject(user.subject).name)}</Subject>,
  },
  { key: "role", label: "As", value: (user) => user.role },
  {
    key: "of",
    label: "Of",
    value: (user) => user.snapshots.join(", "),
    cell: (user) =>
      user.snapshots.map((name, index) => (
        <span key={name}>
          {index > 0 && ", "}
          <Subject subject={`snapshot:${name}`} />
        </span>
      )),
  },
  {
    key: "live",
    label: "Answers now",
    value: (user) => (user.is_live === null || user.is_live === undefined ? null : user.is_live ? "live" : "no"),
    cell: (user) => (user.is_live ? <Word word="live" /> : user.is_live === false ? "no" : "–"),
  },
];

export function UsersOf({ snapshot }: { snapshot: string }) {
  const { data, error } = useGet<Users>(at("/api/snapshots", snapshot, "users"));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={6} />;
  if (!data.items.length)
    return (
      <Empty title={`Nothing uses ${snapshot} yet`} command={`mainstay datasets users ${snapshot}`}>
        Runs that read it, models that learned from it and deployments that answer from those are listed here.
      </Empty>
    );
  const rank = (user: User) => (ORDER.indexOf(user.kind) + ORDER.length + 1) % (ORDER.length + 1);
  const rows = gathered(data.items).sort((a, b) => rank(a) - rank(b));
  return (
    <>
      <p class="lead">
        {data.deployments.length ? (
          <>
            What was made from {snapshot} answers now on{" "}
            {data.deployments.map((name, index) => (
              <span key={name}>
                {index > 0 && ", "}
                <Subject subject={`deployment:${name}`}>{name}</Subject>
              </span>
            ))}
            .
          </>
        ) : (
          `${plural(rows.length, "use")} of ${snapshot} and of what was made from it; none of it is live.`
        )}
      </p>
      <Table name="u" label="users" rows={rows} columns={COLUMNS} href={(user) => user.href ?? null} />
    </>
  );
}
