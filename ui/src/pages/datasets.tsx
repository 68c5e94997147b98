// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { count } from "../format.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject, When } from "../parts/words.tsx";
import type { Dataset, Page } from "../types.ts";

export const DATA_PLACES: [string, string][] = [
  ["/datasets", "Datasets"],
  ["/features", "Feature views"],
];

const COLUMNS: Column<Dataset>[] = [
  { key: "name", label: "Dataset", value: (set) => set.name },
  { key: "description", label: "What it is", value: (set) => set.description, wide: true },
  { key: "owner", label: "Owner", value: (set) => set.owner, cell: (set) => <Person name={set.owner} /> },
  { key: "rows", label: "Rows", value: (set) => set.rows_total, cell: (set) => count(set.rows_total), right: true },
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
    cell: (set) => (set.snapshots?.[0]?.id ? <Subject subject={`snapshot:${set.snapshots[0].id}`} /> : "–"),
  },
  { key: "made", roomy: true, label: "Made", value: (set) => set.created_at, cell: (set) => <When at={set.created_at} /> },
];

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
