// SPDX-License-Identifier: Apache-2.0
// Datasets: how much each holds, its newest snapshot, and whether the contract found that one odd.
import { useGet } from "../api.ts";
import { count, plural } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Sign } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import type { Dataset, Page, SnapshotBrief } from "../types.ts";

export const DATA_PLACES: [string, string][] = [
  ["/datasets", "Datasets"],
  ["/features", "Feature views"],
];

const COLUMNS: Column<Dataset>[] = [
  { key: "name", label: "Dataset", value: (set) => set.name },
  { key: "description", roomy: true, label: "What it is", value: (set) => set.description, wide: true },
  { key: "owner", label: "Owner", value: (set) => set.owner, cell: (set) => <Person name={set.owner} /> },
  {
    key: "rows",
    label: "Rows",
    hint: "of all snapshots; where they are made of files, how many there are in the newest",
    value: (set) => (isFiles(set) ? set.snapshots?.[0]?.rows : set.rows_total),
    cell: (set) => (isFiles(set) ? plural(set.snapshots?.[0]?.rows ?? 0, "file") : count(set.rows_total)),
    right: true,
  },
  {
    key: "snapshots",
    label: "Snapshots",
    value: (set) => set.snapshots?.length,
    cell: (set) => (set.snapshots ? count(set.snapshots.length) : "–"),
    right: true,
  },
  {
    key: "newest",
    label: "Newest",
    value: (set) => set.snapshots?.[0]?.number,
    cell: (set) => <Newest snap={set.snapshots?.[0]} />,
  },
  { key: "made", roomy: true, label: "Made", value: (set) => set.created_at, cell: (set) => <When at={set.created_at} /> },
];

function isFiles(set: Dataset): boolean {
  return set.snapshots?.[0]?.kind === "files";
}

function Newest({ snap }: { snap: SnapshotBrief | undefined }) {
  if (!snap?.id) return <>–</>;
  return (
    <span class="state-word">
      <Subject subject={`snapshot:${snap.id}`} />
      {snap.warnings ? <Sign tone="watch" label={plural(snap.warnings, "warning")} size={12} /> : null}
    </span>
  );
}

export function Datasets() {
  const { data, error } = useGet<Page<Dataset>>("/api/datasets?limit=1000");
  return (
    <ListPage
      title="Data"
      about="Named sources, and each immutable state that a model has ever learned from."
      path="/api/datasets"
      cli="mainstay datasets list"
      places={DATA_PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No dataset yet" command="mainstay datasets add NAME FILE.parquet">
          A dataset is a named source. Each file taken in becomes a snapshot: immutable, digested, profiled and held to the
          contract.
        </Empty>
      }
    >
      <Table name="" label="datasets" rows={data?.items ?? []} columns={COLUMNS} href={(set) => `/datasets/${set.name}`} />
    </ListPage>
  );
}
