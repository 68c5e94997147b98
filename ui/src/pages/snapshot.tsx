// SPDX-License-Identifier: Apache-2.0
// A snapshot: one immutable state of a dataset, column by column as it was profiled.
import { at, query, useGet } from "../api.ts";
import { bytes, count, figure, isNumber, kindWords, percent, period, plain } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Histogram } from "../parts/distribution.tsx";
import { FileTree } from "../parts/filetree.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { State } from "../parts/pill.tsx";
import { sizeOf } from "../parts/snapshots.tsx";
import { UsersOf } from "../parts/users.tsx";
import { FactList, Id, Person, Subject, Unknown, When } from "../parts/words.tsx";
import type { Artifact, Page, ProfileColumn, Reference, Snapshot } from "../types.ts";

export function SnapshotPage({ id }: { id: string }) {
  const { data, error } = useGet<Snapshot>(at("/api/snapshots", id));
  const columns = data?.profile?.columns ?? [];
  const warnings = data?.warnings ?? [];
  const isFiles = data?.kind === "files";
  return (
    <ObjectPage
      subject={`snapshot:${id}`}
      kind="Snapshot"
      name={id}
      plainName={id}
      made={data?.created_at}
      loading={!data}
      error={error}
      state={data ? (data.dropped_at ? "dropped" : warnings.length ? "watch" : "ok") : undefined}
      wide
      aside={
        <>
          <span>
            {isFiles ? "files" : "rows"} <b>{count(data?.rows)}</b>
          </span>
          <span>
            size <b>{data ? sizeOf(data) : bytes(undefined)}</b>
          </span>
          {data?.period && (
            <span>
              period <b>{period(data.period.since, data.period.until)}</b>
            </span>
          )}
        </>
      }
      above={
        <>
          {data?.dropped_at && <Dropped at={data.dropped_at} />}
          {data?.reference && <ReferenceNote reference={data.reference} />}
        </>
      }
      acts={data && <Keeping id={data.id ?? id} snapshot={data} />}
      tabs={[
        ...(isFiles ? [{ id: "files", label: "Files", count: data?.rows, body: () => <Files snapshot={id} /> }] : []),
        ...(isFiles || (data?.kind === "reference" && !columns.length)
          ? []
          : [
              {
                id: "profile",
                label: "Profile",
                count: columns.length || undefined,
                body: () =>
                  columns.length ? (
                    <div class="profile">
                      {columns.map((column) => (
                        <ProfileCard key={column.name} column={column} />
                      ))}
                    </div>
                  ) : (
                    <Empty title="There is no profile to show">{data?.profile_unknown}</Empty>
                  ),
              },
            ]),
        ...(isFiles
          ? []
          : [
              {
                id: "schema",
                label: "Schema",
                count: data?.schema?.length,
                body: () => (
                  <FactList
                    facts={(data?.schema ?? []).map((column) => [
                      column.name,
                      <code key={column.name}>{column.type ?? "unknown"}</code>,
                    ])}
                  />
                ),
              },
            ]),
        ...(warnings.length
          ? [
              {
                id: "warnings",
                label: "Warnings",
                count: warnings.length,
                body: () => (
                  <ul class="verdicts">
                    {warnings.map((one, index) => (
                      <li key={index}>
                        <State state="watch" small />
                        <div>
                          <b>
                            <code>{one.column}</code> {kindWords(one.problem)}
                          </b>
                          <p class="quiet">{one.sentence ?? `found ${plain(one.found)}, expected ${plain(one.expected)}`}</p>
                        </div>
                      </li>
                    ))}
                  </ul>
                ),
              },
            ]
          : []),
        { id: "used", label: "Used by", body: () => <UsersOf snapshot={id} /> },
        { id: "origin", label: "Origin", body: () => data && <Origin snapshot={data} /> },
      ]}
    />
  );
}

/** A snapshot that is not wanted any more is dropped, and until its bytes are collected it can be brought back. */
function Keeping({ id, snapshot }: { id: string; snapshot: Snapshot }) {
  const [word, label] = snapshot.dropped_at ? (["restore", "Restore"] as const) : (["drop", "Drop"] as const);
  return (
    <Act
      label={label}
      title={`${label} ${id}`}
      path={at("/api/snapshots", id, word)}
      cli={`mainstay datasets ${word} ${id} -m "…"`}
      tone={snapshot.dropped_at ? "plain" : "danger"}
      disabled={snapshot.dropped_at ? undefined : (snapshot.why_kept ?? undefined)}
      preview={
        <p>
          {snapshot.dropped_at
            ? "It is wanted again, and stays as it was."
            : "Nothing is forgotten: its record stays. A collection (mainstay gc) later takes its bytes, unless a run, a version or another snapshot needs them; until then it can be restored."}
        </p>
      }
    />
  );
}

function Dropped({ at }: { at: string }) {
  return (
    <p class="lead">
      Dropped <When at={at} />: unless something needs them, a collection takes its bytes.
    </p>
  );
}

const SYSTEMS: Record<string, string> = { delta: "Delta Lake", iceberg: "Iceberg" };

/** Where the rows are, if they are not here, and whether they can be relied on. */
function ReferenceNote({ reference }: { reference: Reference }) {
  return (
    <p class="lead">
      <State state={reference.is_pinned ? "ok" : "watch"} small />{" "}
      {reference.is_pinned ? (
        <>
          Its rows stay at <code>{reference.uri}</code>, where {SYSTEMS[reference.system ?? ""] ?? reference.system} keeps version{" "}
          {reference.version} as it was.
        </>
      ) : (
        <>
          Its rows are read from <code>{reference.uri}</code>, where nothing keeps them as they were: they may change or go, and
          whatever is made from them carries this warning.
        </>
      )}
    </p>
  );
}

const MOST_FILES = 1000;

function Files({ snapshot }: { snapshot: string }) {
  const { data, error } = useGet<Page<Artifact>>(query(at("/api/snapshots", snapshot, "files"), { limit: MOST_FILES }));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={6} />;
  return (
    <>
      <FileTree files={data.items} />
      {data.next && (
        <p class="quiet">
          The first {count(MOST_FILES)} files. <code>mainstay datasets checkout {snapshot} FOLDER</code> brings all of them.
        </p>
      )}
    </>
  );
}

function Origin({ snapshot }: { snapshot: Snapshot }) {
  return (
    <FactList
      facts={[
        ["source", snapshot.source ?? <Unknown />],
        [
          "taken in",
          <>
            <When at={snapshot.created_at} /> by <Person name={snapshot.actor} />
          </>,
        ],
        [
          "run",
          snapshot.run_id ? (
            <Subject subject={`run:${snapshot.run_id}`} />
          ) : (
            <span class="quiet">taken in directly, by no run</span>
          ),
        ],
        ["contract version", plain(snapshot.contract_version)],
        ["digest", <Id id={snapshot.digest} label="digest" />],
        ["bytes", <Id id={snapshot.blob} label="blob digest" />],
        [
          "made from",
          snapshot.parents?.length ? (
            snapshot.parents.map((parent) => (
              <span key={parent} class="gap-right">
                <Subject subject={parent.includes(":") ? parent : `snapshot:${parent}`} />
              </span>
            ))
          ) : (
            <span class="quiet">nothing earlier</span>
          ),
        ],
      ]}
    />
  );
}

/** Bins are those of the dataset's first snapshot, so that all can be compared: what lies beyond is in the outermost. */
function endOf(edge: number | null | undefined, extreme: unknown, side: -1 | 1): string {
  const isBeyond = isNumber(extreme) && isNumber(edge) && (extreme - edge) * side > 0;
  return `${figure(edge)}${isBeyond ? (side > 0 ? " and above" : " and below") : ""}`;
}

function ProfileCard({ column }: { column: ProfileColumn }) {
  const top = column.top ?? [];
  const most = Math.max(1, ...top.map((one) => one.count));
  const edges = column.histogram?.edges;
  const isOne = column.minimum != null && column.minimum === column.maximum;
  return (
    <section class="profile-card" aria-label={column.name}>
      <header>
        <h2 class="minor">
          <code>{column.name}</code>
        </h2>
        <span class="quiet">{column.kind}</span>
      </header>
      {edges?.length ? (
        <>
          <Histogram edges={edges} counts={column.histogram?.counts} label={column.name} />
          <p class={`ends${isOne ? " ends-one" : ""}`}>
            {isOne ? (
              <span>{plain(column.minimum)} only</span>
            ) : (
              <>
                <span>{endOf(edges[0], column.minimum, -1)}</span>
                <span>{endOf(edges.at(-1), column.maximum, 1)}</span>
              </>
            )}
          </p>
        </>
      ) : top.length ? (
        <ul class="tops">
          {top.slice(0, 4).map((one) => (
            <li key={plain(one.value)} title={`${count(one.count)} rows`}>
              <span>{plain(one.value)}</span>
              <i style={{ width: `${(one.count / most) * 100}%` }} />
              <b>{column.n ? percent(one.count / column.n) : count(one.count)}</b>
            </li>
          ))}
        </ul>
      ) : (
        <p class="quiet">No histogram is kept for this column.</p>
      )}
      <p class="profile-numbers">
        <span>
          n <b>{count(column.n)}</b>
        </span>
        <span class={isNumber(column.null_share) && column.null_share > 0.2 ? "tone-watch" : ""}>
          missing <b>{percent(column.null_share)}</b>
        </span>
        {isNumber(column.mean) && (
          <span>
            mean <b>{figure(column.mean)}</b>
          </span>
        )}
        {isNumber(column.sd) && (
          <span>
            sd <b>{figure(column.sd)}</b>
          </span>
        )}
        {column.minimum != null && (
          <span>
            min <b>{plain(column.minimum)}</b>
          </span>
        )}
        {column.maximum != null && (
          <span>
            max <b>{plain(column.maximum)}</b>
          </span>
        )}
      </p>
    </section>
  );
}
