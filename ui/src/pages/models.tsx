// SPDX-License-Identifier: Apache-2.0
import { useGet } from "../api.ts";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, Subject } from "../parts/words.tsx";
import type { Model, Page } from "../types.ts";

function aliasText(model: Model): string {
  return Object.entries(model.aliases ?? {})
    .map(([alias, number]) => `${alias} → ${number}`)
    .join(", ");
}

const COLUMNS: Column<Model>[] = [
  { key: "name", label: "Model", value: (model) => model.name },
  { key: "description", label: "What it answers", value: (model) => model.description, wide: true },
  { key: "owner", label: "Owner", value: (model) => model.owner, cell: (model) => <Person name={model.owner} /> },
  {
    key: "tier",
    roomy: true,
    label: "Tier",
    value: (model) => model.tier,
    hint: "How much depends on it: sets approvals and how often it is reviewed",
  },
  { key: "versions", label: "Versions", value: (model) => model.versions?.length, right: true },
  {
    key: "newest",
    roomy: true,
    label: "Newest",
    value: (model) => newest(model),
    cell: (model) => (newest(model) ? <Subject subject={`version:${model.name}/${newest(model)}`} /> : "–"),
  },
  { key: "aliases", label: "Aliases", value: (model) => aliasText(model) || null },
];

function newest(model: Model): number | null {
  const numbers = (model.versions ?? []).map((version) => version.number ?? 0);
  return numbers.length ? Math.max(...numbers) : null;
}

export function Models() {
  const { data, error } = useGet<Page<Model>>("/api/models?limit=1000");
  return (
    <ListPage
      title="Models"
      about="Names, each with its numbered versions. A version is an immutable result of a run."
      path="/api/models"
      cli="mainstay models list"
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No model yet" command="mainstay run flights.py:flights_late">
          A model is a name; a run registers its first version with <code>ms.register("name", model)</code>.
        </Empty>
      }
    >
      <Table name="" label="models" rows={data?.items ?? []} columns={COLUMNS} href={(model) => `/models/${model.name}`} />
    </ListPage>
  );
}
