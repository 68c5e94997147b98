// SPDX-License-Identifier: Apache-2.0
// A dataset: its snapshots, the contract that each must satisfy, and what was refused and why.
import { useState } from "preact/hooks";
import { at, useGet } from "../api.ts";
import { count, percent, plain, plural } from "../format.ts";
import { DatasetRollback } from "../parts/datasetrollback.tsx";
import { Icon } from "../parts/icons.tsx";
import { Command, Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { RefusalCard } from "../parts/refusals.tsx";
import { snapshotId, Snapshots } from "../parts/snapshots.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { UsersOf } from "../parts/users.tsx";
import { copyText, FactList, Id, Person, Subject, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Contract, ContractColumn, Dataset, Page, ProfileColumn, Snapshot } from "../types.ts";

function rangeText(column: ContractColumn): string {
  if (column.categories?.length) {
    const some = column.categories.slice(0, 8).map(plain).join(", ");
    return column.categories.length > 8 ? `${some} … (${column.categories.length} values)` : some;
  }
  const low = column.minimum ?? null;
  const high = column.maximum ?? null;
  if (low === null && high === null) return "any";
  return `${low === null ? "…" : plain(low)} to ${high === null ? "…" : plain(high)}`;
}

/** What a column is held to besides its type and its values. */
function rulesOf(column: ContractColumn): string {
  return [
    column.unique ? "no value twice" : "",
    column.pattern ? `matches ${column.pattern}` : "",
    column.freshness ? `newest value at most ${column.freshness} old` : "",
    column.on_violation ? `otherwise ${column.on_violation === "refuse" ? "refused" : "a warning"}` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

interface Described {
  name: string;
  type: string | undefined;
  rule: ContractColumn | undefined;
  profile: ProfileColumn | undefined;
}

/** What the newest snapshot holds, beside what the contract asks of it. */
const COLUMNS: Column<Described>[] = [
  { key: "column", label: "Column", value: (one) => one.name, cell: (one) => <code>{one.name}</code> },
  {
    key: "type",
    label: "Type",
    value: (one) => one.type,
    cell: (one) => (
      <>
        <code>{one.type ?? "unknown"}</code>
        {one.rule?.type && one.type && one.rule.type !== one.type && <span class="cell-sub">contract: {one.rule.type}</span>}
      </>
    ),
  },
  {
    key: "values",
    label: "In the newest snapshot",
    value: (one) => one.profile?.mean,
    cell: (one) => <Sparkline column={one.profile} label={one.name} />,
  },
  {
    key: "missing",
    label: "Missing",
    value: (one) => one.profile?.null_share,
    cell: (one) => percent(one.profile?.null_share),
    right: true,
  },
  {
    key: "nullable",
    label: "May be missing",
    value: (one) => (!one.rule ? "no rule" : one.rule.nullable ? "yes" : "no"),
  },
  {
    key: "range",
    label: "Allowed values",
    value: (one) => (one.rule ? rangeText(one.rule) : null),
    cell: (one) => (one.rule ? rangeText(one.rule) : "no rule"),
    wide: true,
  },
  {
    key: "rules",
    roomy: true,
    label: "Further rules",
    value: (one) => (one.rule && rulesOf(one.rule)) || null,
    cell: (one) => (one.rule && rulesOf(one.rule)) || "–",
    wide: true,
  },
  {
    key: "aliases",
    roomy: true,
    label: "Also accepted as",
    value: (one) => one.rule?.aliases?.join(", ") || null,
    cell: (one) => (one.rule?.aliases?.length ? one.rule.aliases.map((alias) => <code key={alias}>{alias} </code>) : "–"),
  },
];

function Columns({ newest, contract }: { newest: string; contract: Contract | null | undefined }) {
  const { data, error } = useGet<Snapshot>(at("/api/snapshots", newest));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={8} />;
  const rules = new Map((contract?.columns ?? []).map((column) => [column.name, column]));
  const profiles = new Map((data.profile?.columns ?? []).map((column) => [column.name, column]));
  const names = [...new Set([...(data.schema ?? []).map((field) => field.name), ...rules.keys()])];
  const types = new Map((data.schema ?? []).map((field) => [field.name, field.type]));
  const rows = names.map((name) => ({ name, type: types.get(name), rule: rules.get(name), profile: profiles.get(name) }));
  if (!rows.length) return <Empty title={`${newest} has no columns`}>It is made of files, whose content is not read.</Empty>;
  return (
    <>
      <p class="quiet">
        What <Subject subject={`snapshot:${newest}`} /> holds, beside what the contract asks.
        {data.profile_unknown && ` ${data.profile_unknown}`}
      </p>
      <Table name="k" label="columns" rows={rows} columns={COLUMNS} />
    </>
  );
}

/** The contract as people edit it, ready to be copied. */
function ContractText({ name, contract }: { name: string; contract: Contract }) {
  const { data, error } = useGet<{ toml: string }>(at("/api/datasets", name, "contract", "toml"));
  const versions = useGet<Page<Contract>>(at("/api/datasets", name, "contracts")).data?.items ?? [];
  const [done, setDone] = useState(false);
  const copy = async () => {
    setDone(await copyText(data?.toml ?? ""));
    window.setTimeout(() => setDone(false), 1500);
  };
  return (
    <div class="pair">
      <section>
        <header class="panel-head">
          <h2 class="minor">Version {contract.version} as TOML</h2>
          <button type="button" class="button button-small push" onClick={copy} disabled={!data}>
            <Icon name={done ? "check" : "copy"} size={14} />
            {done ? "copied" : "Copy"}
          </button>
        </header>
        {error ? (
          <ErrorNote error={error} />
        ) : data ? (
          <pre class="file-text" tabIndex={0} aria-label="Contract as TOML">
            {data.toml}
          </pre>
        ) : (
          <Skeleton rows={8} />
        )}
      </section>
      <section>
        <h2>What is asked</h2>
        <FactList
          facts={[
            [
              "rows",
              `${count(contract.rows_low)} to ${count(contract.rows_high)}, otherwise ${contract.on_rows === "refuse" ? "refused" : "a warning"}`,
            ],
            ["a row is named by", contract.keys?.length ? contract.keys.map((key) => key.join(" and ")).join("; ") : "nothing"],
            ["digest", <Id id={contract.digest} label="contract digest" />],
            [
              "written",
              <>
                <When at={contract.created_at} /> by <Person name={contract.actor} />
              </>,
            ],
            ["versions", versions.length ? plural(versions.length, "version") : "1 version"],
          ]}
        />
        <p class="quiet">Edit the text and put it in force, from the next batch on:</p>
        <Command text={`mainstay contracts set ${name} contract.toml -m "REASON"`} />
      </section>
    </div>
  );
}

export function DatasetPage({ name }: { name: string }) {
  const { data, error } = useGet<Dataset>(at("/api/datasets", name));
  const refusals = data?.refusals ?? [];
  const first = data?.snapshots?.[0];
  const newest = first && snapshotId(first, name);
  const isFiles = first?.kind === "files"; // whose content nobody reads, and no contract speaks of
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
      wide
      acts={data && <DatasetRollback dataset={data} />}
      aside={
        <>
          {data && (
            <span>
              {isFiles ? "files" : "rows"} <b>{count(isFiles ? first?.rows : data.rows_total)}</b>
            </span>
          )}
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
              <Snapshots dataset={name} snapshots={data.snapshots} refs={data.refs ?? {}} />
            ) : (
              <Empty title="No snapshot yet" command={`mainstay datasets add ${name} FILE.parquet`}>
                A snapshot is one immutable state of this dataset, with digest, schema and profile.
              </Empty>
            ),
        },
        ...(isFiles
          ? []
          : [
              {
                id: "columns",
                label: "Columns",
                count: data?.contract?.columns?.length,
                body: () =>
                  newest ? (
                    <Columns newest={newest} contract={data?.contract} />
                  ) : (
                    <Empty title="No columns yet">They are known with the first snapshot.</Empty>
                  ),
              },
              {
                id: "contract",
                label: "Contract",
                body: () =>
                  data?.contract ? (
                    <ContractText name={name} contract={data.contract} />
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
            ]),
        {
          id: "used",
          label: "Used by",
          body: () =>
            newest ? <UsedBy dataset={name} newest={newest} data={data} /> : <Empty title="Nothing uses this dataset yet" />,
        },
      ]}
    />
  );
}

/** The users of one snapshot, of the newest unless another is chosen. */
function UsedBy({ dataset, newest, data }: { dataset: string; newest: string; data: Dataset | undefined }) {
  const [chosen, choose] = useParam("of", newest);
  return (
    <>
      <label class="field field-inline used-choice">
        <span>Of snapshot</span>
        <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
          {data?.snapshots?.map((snap) => (
            <option key={snap.number}>{snapshotId(snap, dataset)}</option>
          ))}
        </select>
      </label>
      <UsersOf snapshot={chosen} />
    </>
  );
}
