// SPDX-License-Identifier: Apache-2.0
// Experiments: the named questions. Each opens the runs that answer it.
import { query, useGet } from "../api.ts";
import { LIST_LIMIT, ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Person, When } from "../parts/words.tsx";
import type { Experiment, Page } from "../types.ts";
import { TRACKING } from "./runs.tsx";

function columnsOf(experiments: Experiment[]): Column<Experiment>[] {
  const tags = [...new Set(experiments.flatMap((one) => Object.keys(one.tags ?? {})))].sort();
  const isAnyDeleted = experiments.some((one) => one.deleted_at);
  return [
    { key: "name", label: "Experiment", value: (one) => one.name },
    { key: "id", label: "Number", value: (one) => one.id, right: true },
    ...(isAnyDeleted
      ? [
          {
            key: "state",
            label: "State",
            value: (one: Experiment) => (one.deleted_at ? "deleted" : "active"),
            cell: (one: Experiment) => <Word word={one.deleted_at ? "deleted" : "active"} />,
          },
        ]
      : []),
    ...tags.map((key): Column<Experiment> => ({
      key: `tags.${key}`,
      label: key,
      value: (one) => one.tags?.[key],
      hidden: key.startsWith("mlflow."),
    })),
    { key: "by", label: "By", value: (one) => one.created_by, cell: (one) => <Person name={one.created_by} /> },
    { key: "made", label: "Made", value: (one) => one.created_at, cell: (one) => <When at={one.created_at} /> },
  ];
}

export function Experiments() {
  const { data, error } = useGet<Page<Experiment>>(query("/api/experiments", { limit: LIST_LIMIT }));
  const rows = data?.items ?? [];
  return (
    <ListPage
      title="Experiments"
      about="Named questions; each groups the runs that try to answer it."
      path="/api/experiments"
      cli="mainstay experiments list"
      places={TRACKING}
      error={error}
      loading={!data}
      empty={!rows.length}
      nothing={
        <Empty title="No experiment yet" command="mainstay run flights.py:flights_late">
          An experiment is a named question; the first run that names it makes it.
        </Empty>
      }
    >
      <Table
        name=""
        label="experiments"
        rows={rows}
        columns={columnsOf(rows)}
        href={(one) => query("/runs", { experiment: one.name })}
      />
    </ListPage>
  );
}
