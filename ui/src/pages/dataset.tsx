// SPDX-License-Identifier: Apache-2.0
// A dataset: its snapshots, the contract that each must satisfy, and what was refused and why.
import { at, useGet } from "../api.ts";
import { bytes, count, kindWords, percent, period, plain } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Id, Person, Subject, When } from "../parts/words.tsx";
import type { ContractColumn, Dataset, Problem, Refusal, SnapshotBrief } from "../types.ts";

export const SNAPSHOT_COLUMNS: Column<SnapshotBrief>[] = [
  { key: "snapshot", label: "Snapshot", value: (snap) => snap.id ?? `${snap.dataset}@${snap.number}` },
  {
    key: "period",
    label: "Period",
    value: (snap) => snap.period?.since,
    cell: (snap) => (snap.period ? period(snap.period.since, snap.period.until) : "–"),
  },
  { key: "rows", label: "Rows", value: (snap) => snap.rows, cell: (snap) => count(snap.rows), right: true },
  { key: "size", roomy: true, label: "Size", value: (snap) => snap.size, cell: (snap) => bytes(snap.size), right: true },
  { key: "source", label: "Source", value: (snap) => snap.source, wide: true },
  { key: "digest", label: "Digest", value: (snap) => snap.digest, cell: (snap) => <Id id={snap.digest} label="digest" /> },
  { key: "actor", roomy: true, label: "By", value: (snap) => snap.actor, cell: (snap) => <Person name={snap.actor} /> },
  { key: "made", label: "Taken in", value: (snap) => snap.created_at, cell: (snap) => <When at={snap.created_at} /> },
];

export function snapshotHref(snap: SnapshotBrief, dataset?: string): string {
  return `/snapshots/${snap.id ?? `${snap.dataset ?? dataset}@${snap.number}`}`;
}

export function rangeText(column: ContractColumn): string {
  if (column.categories?.length) {
    const some = column.categories.slice(0, 8).map(plain).join(", ");
    return column.categories.length > 8 ? `${some} … (${column.categories.length} values)` : some;
  }
  const low = column.minimum ?? null;
  const high = column.maximum ?? null;
  if (low === null && high === null) return "any";
  return `${low === null ? "…" : plain(low)} to ${high === null ? "…" : plain(high)}`;
}

const CONTRACT_COLUMNS: Column<ContractColumn>[] = [
  { key: "column", label: "Column", value: (column) => column.name, cell: (column) => <code>{column.name}</code> },
  { key: "type", label: "Type", value: (column) => column.type, cell: (column) => <code>{column.type ?? "unknown"}</code> },
  { key: "nullable", label: "May be missing", value: (column) => (column.nullable ? "yes" : "no") },
  { key: "range", label: "Values", value: rangeText, wide: true },
  {
    key: "aliases",
    label: "Also accepted as",
    value: (column) => column.aliases?.join(", ") || null,
    cell: (column) => (column.aliases?.length ? column.aliases.map((alias) => <code key={alias}>{alias} </code>) : "–"),
  },
];

export function DatasetPage({ name }: { name: string }) {
  const { data, error } = useGet<Dataset>(at("/api/datasets", name));
  const refusals = data?.refusals ?? [];
  return (
    <ObjectPage
      subject={`dataset:${name}`}
      kind="Dataset"
      name={name}
      plainName={name}
      owner={data?.owner}
      made={data?.created_at}
      loading={!data}
      error={error}
      state={data ? "ok" : undefined}
      aside={
        <>
          <span>
            rows <b>{count(data?.rows_total)}</b>
          </span>
          {data?.contract?.version !== undefined && (
            <span>
              contract <b>version {data.contract.version}</b>
            </span>
          )}
        </>
      }
      above={data?.description && <p class="lead">{data.description}</p>}
      tabs={[
        {
          id: "snapshots",
          label: "Snapshots",
          count: data?.snapshots?.length,
          body: () =>
            data?.snapshots?.length ? (
              <Table
                name=""
                label="snapshots"
                rows={data.snapshots}
                columns={SNAPSHOT_COLUMNS}
                href={(snap) => snapshotHref(snap, name)}
              />
            ) : (
              <Empty title="No snapshot yet" command={`mainstay datasets add ${name} FILE.parquet`}>
                A snapshot is one immutable state of this dataset, with digest, schema and profile.
              </Empty>
            ),
        },
        {
          id: "contract",
          label: "Contract",
          count: data?.contract?.columns?.length,
          body: () =>
            data?.contract?.columns?.length ? (
              <>
                <p class="quiet">
                  Inferred from the first snapshot and held on each later one, and on requests to what learned from it. Digest{" "}
                  <Id id={data.contract.digest} label="contract digest" />
                </p>
                <Table name="c" label="contract columns" rows={data.contract.columns} columns={CONTRACT_COLUMNS} />
              </>
            ) : (
              <Empty title="No contract yet">It is inferred from the first snapshot and enforced on each later one.</Empty>
            ),
        },
        {
          id: "refusals",
          label: "Refusals",
          count: refusals.length,
          body: () =>
            refusals.length ? (
              <div class="stack">
                {refusals.map((refusal, index) => (
                  <RefusalCard key={refusal.id ?? index} dataset={name} refusal={refusal} />
                ))}
              </div>
            ) : (
              <Empty title="Nothing was refused">
                A file that breaks the contract is refused here, with each column's problem and the likely cause.
              </Empty>
            ),
        },
        {
          id: "used",
          label: "Used by",
          count: data?.used_by?.length,
          body: () =>
            data?.used_by?.length ? (
              <ul class="plain-list">
                {data.used_by.map((subject) => (
                  <li key={subject}>
                    <Subject subject={subject} />
                  </li>
                ))}
              </ul>
            ) : (
              <Empty title="Nothing uses this dataset yet" />
            ),
        },
      ]}
    />
  );
}

function RefusalCard({ dataset, refusal }: { dataset: string; refusal: Refusal }) {
  return (
    <section class="panel">
      <header class="panel-head">
        <h2 class="minor">{refusal.source ?? `Refusal ${refusal.id ?? ""}`}</h2>
        <span class="quiet">
          refused <When at={refusal.at} />
          {refusal.actor && (
            <>
              {" "}
              · brought by <Person name={refusal.actor} />
            </>
          )}
        </span>
      </header>
      {(refusal.sentence ?? refusal.message) && <p>{refusal.sentence ?? refusal.message}</p>}
      <div class="table-frame">
        <table aria-label="Problems">
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col">Problem</th>
              <th scope="col">Found</th>
              <th scope="col">Expected</th>
            </tr>
          </thead>
          <tbody>
            {refusal.problems?.map((problem, index) => (
              <tr key={index}>
                <td>
                  <code>{problem.column ?? "–"}</code>
                </td>
                <td>{kindWords(problem.problem)}</td>
                <td class="wide">{plain(problem.found)}</td>
                <td class="wide">{plain(problem.expected)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {refusal.problems?.map((problem, index) => (
        <Renamed key={index} dataset={dataset} problem={problem} settled={Boolean(refusal.accepted ?? refusal.resolved_by)} />
      ))}
    </section>
  );
}

/** The likely cause of a missing column, and the one act that puts it right. */
function Renamed({ dataset, problem, settled }: { dataset: string; problem: Problem; settled: boolean }) {
  const alias = problem.likely_alias;
  if (!alias?.column || !problem.column) return null;
  return (
    <p class="renamed">
      <span>
        <code>{problem.column}</code> was likely renamed to <code>{alias.column}</code>: {percent(alias.overlap)} of its values
        lie where {problem.column}'s did.
      </span>
      {settled ? (
        <span class="quiet">Accepted as an alias.</span>
      ) : (
        <Act
          label="Accept as alias"
          title={`Accept “${alias.column}” as another name of “${problem.column}”`}
          path={at("/api/datasets", dataset, "aliases")}
          body={{ column: problem.column, alias: alias.column }}
          cli={`mainstay datasets alias ${dataset} ${problem.column} ${alias.column}`}
          tone="primary"
          preview={
            <Difference lines={[[`contract of ${dataset}`, `${problem.column} only`, `${problem.column}, or ${alias.column}`]]} />
          }
        />
      )}
    </p>
  );
}
