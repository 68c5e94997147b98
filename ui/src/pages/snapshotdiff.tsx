// SPDX-License-Identifier: Apache-2.0
// Two snapshots: what is different in the later one. Columns first, those that moved most on top; with a key, which rows.
import { useEffect } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { absolute, count, figure, isNumber, percent, plain, plural } from "../format.ts";
import { Cells } from "../parts/cells.tsx";
import { CopyAs, listForms } from "../parts/copyas.tsx";
import { ErrorNote, Skeleton } from "../parts/notice.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Subject } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import { setTitle } from "../title.ts";
import type { ColumnChange, ColumnSide, FileChanges, ProfileColumn, RowChanges, Snapshot, SnapshotDiff } from "../types.ts";

export function SnapshotDiffPage({ before, after }: { before: string; after: string }) {
  const [key] = useParam("key");
  const path = query(at("/api/snapshots", before, "diff", after), { key });
  const { data, error } = useGet<SnapshotDiff>(path);
  const sides = [useGet<Snapshot>(at("/api/snapshots", before)).data, useGet<Snapshot>(at("/api/snapshots", after)).data];
  useEffect(() => setTitle(`${before} and ${after}`), [before, after]);
  return (
    <section>
      <header class="list-head">
        <div>
          <p class="object-kind">What is different</p>
          <h1>
            <Subject subject={`snapshot:${before}`} /> <span aria-hidden="true">→</span>
            <span class="unseen">and</span> <Subject subject={`snapshot:${after}`} />
          </h1>
        </div>
        <div class="acts">
          <a class="button" href={query(`/snapshots/${after}/diff/${before}`, { key })}>
            The other way round
          </a>
          <CopyAs forms={{ ...listForms(path), cli: `mainstay datasets diff ${before} ${after}${key ? ` --key ${key}` : ""}` }} />
        </div>
      </header>
      {data && <p class="because">{sentence(data)}</p>}
      {error && <ErrorNote error={error} />}
      {!error && !data && <Skeleton rows={8} tall />}
      {data && !data.is_same && (
        <div class="stack">
          <SchemaChanges diff={data} />
          {data.columns.length > 0 && <ColumnChanges diff={data} sides={sides} />}
          {data.files && <Files files={data.files} />}
        </div>
      )}
      {data?.files === null && !data.is_same && <Rows diff={data} sides={sides} />}
      {error && key && <KeyChoice sides={sides} named={[]} />}
    </section>
  );
}

/** The whole difference in one sentence, the largest thing first. */
export function sentence(diff: SnapshotDiff): string {
  if (diff.is_same) return "Nothing: both are the same, byte for byte.";
  if (diff.files) return filesSentence(diff.files);
  const by = diff.rows_after - diff.rows_before;
  const rows = by
    ? `${plural(Math.abs(by), "row")} ${by > 0 ? "more" : "fewer"}, ${count(diff.rows_after)} instead of ${count(diff.rows_before)}`
    : `${plural(diff.rows_after, "row")} as before`;
  const named = (fields: { name: string }[], what: string) =>
    fields.length ? `; ${what} ${fields.map((field) => field.name).join(", ")}` : "";
  const schema = named(diff.added, "new:") + named(diff.removed, "gone:") + named(diff.retyped, "of another type:");
  const most = diff.columns[0];
  const moved = diff.columns.filter((column) => column.effect > 0).length;
  const values = most && moved ? `; ${most.column} moved most (effect ${most.effect.toFixed(2)} of 1)` : "";
  return `${rows}${schema || "; the columns are the same"}${values}.`;
}

function filesSentence(files: FileChanges): string {
  const parts = (["added", "removed", "changed"] as const).filter((word) => files[word]).map((word) => `${count(files[word])} ${word}`);
  return `${parts.join(", ") || "No file differs"}; ${plural(files.same, "file")} ${files.same === 1 ? "is" : "are"} the same.`;
}

function SchemaChanges({ diff }: { diff: SnapshotDiff }) {
  const changes: [string, string][] = [
    ...diff.added.map((field): [string, string] => [field.name, `new, ${field.type ?? "of unknown type"}`]),
    ...diff.removed.map((field): [string, string] => [field.name, `gone, was ${field.type ?? "of unknown type"}`]),
    ...diff.retyped.map((field): [string, string] => [field.name, `${field.before} became ${field.after}`]),
  ];
  if (!changes.length) return null;
  return (
    <section class="panel">
      <h2>Columns that came, went or changed type</h2>
      <FactList facts={changes} />
    </section>
  );
}

const WAYS: [keyof ColumnSide, string][] = [
  ["null_share", "missing"],
  ["mean", "mean"],
  ["sd", "sd"],
  ["minimum", "min"],
  ["maximum", "max"],
];

/** What moved in a column, figure by figure; what did not is left out. */
function movedOf(change: ColumnChange): string[] {
  const write = (name: keyof ColumnSide, value: number) =>
    name === "null_share"
      ? percent(value)
      : change.kind === "datetime"
        ? absolute(new Date(value * 1000).toISOString())
        : figure(value);
  const figures = WAYS.flatMap(([name, word]) => {
    const [was, now] = [change.before[name], change.after[name]];
    return isNumber(was) && isNumber(now) && was !== now ? [`${word} ${write(name, was)} → ${write(name, now)}`] : [];
  });
  const names = (found: string[] | undefined, word: string) => (found?.length ? [`${word} ${found.join(", ")}`] : []);
  return [...figures, ...names(change.new, "new:"), ...names(change.lost, "gone:")];
}

function ColumnChanges({ diff, sides }: { diff: SnapshotDiff; sides: (Snapshot | undefined)[] }) {
  const profiles = sides.map(
    (side) => new Map<string, ProfileColumn>((side?.profile?.columns ?? []).map((column) => [column.name, column])),
  );
  const columns: Column<ColumnChange>[] = [
    { key: "column", label: "Column", value: (one) => one.column, cell: (one) => <code>{one.column}</code> },
    {
      key: "effect",
      label: "Effect",
      hint: "0 to 1: the largest of the Jensen-Shannon and Kolmogorov-Smirnov distances and the change of what is missing",
      value: (one) => one.effect,
      cell: (one) => (
        <span class="share-cell">
          <span class="share-bar">
            <b style={{ width: `${Math.min(1, one.effect) * 100}%` }} />
          </span>
          {one.effect.toFixed(3)}
        </span>
      ),
    },
    {
      key: "before",
      label: diff.before,
      value: (one) => one.before.mean,
      cell: (one) => <Sparkline column={profiles[0]?.get(one.column)} label={`${one.column} in ${diff.before}`} />,
    },
    {
      key: "after",
      label: diff.after,
      value: (one) => one.after.mean,
      cell: (one) => <Sparkline column={profiles[1]?.get(one.column)} label={`${one.column} in ${diff.after}`} />,
    },
    {
      key: "moved",
      label: "What moved",
      value: (one) => movedOf(one).join("; "),
      cell: (one) =>
        movedOf(one).length ? (
          movedOf(one).map((text) => <div key={text}>{text}</div>)
        ) : (
          <span class="quiet">no figure differs</span>
        ),
      wide: true,
    },
    { key: "psi", label: "PSI", value: (one) => one.psi, cell: (one) => one.psi?.toFixed(3) ?? "–", right: true, hidden: true },
    { key: "js", label: "JS", value: (one) => one.js, cell: (one) => one.js?.toFixed(3) ?? "–", right: true, hidden: true },
    { key: "ks", label: "KS", value: (one) => one.ks, cell: (one) => one.ks?.toFixed(3) ?? "–", right: true, hidden: true },
  ];
  return (
    <section class="diff-part">
      <h2>Columns, those that moved most first</h2>
      <Table name="" label="columns" rows={diff.columns} columns={columns} />
      <p class="quiet">A description of two tables, not a test: a monitor says whether a change is more than chance.</p>
    </section>
  );
}

function Rows({ diff, sides }: { diff: SnapshotDiff; sides: (Snapshot | undefined)[] }) {
  const named = diff.rows?.key ?? [];
  return (
    <section class="diff-rows">
      <h2>Rows</h2>
      <KeyChoice sides={sides} named={named} />
      {diff.rows ? (
        <RowList rows={diff.rows} />
      ) : (
        <p class="quiet">
          Choose the columns that name a row, and each row is found in both. A key in the contract is taken by itself.
        </p>
      )}
    </section>
  );
}

/** Which columns name a row. It stands in the address. */
function KeyChoice({ sides, named }: { sides: (Snapshot | undefined)[]; named: string[] }) {
  const [key, choose] = useParam("key");
  const chosen = key ? key.split(",") : named;
  const fields = (sides[1]?.schema ?? []).filter((field) => sides[0]?.schema?.some((one) => one.name === field.name));
  const turn = (name: string) =>
    choose((chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]).join(","));
  return (
    <fieldset class="axes">
      <legend class="quiet">A row is named by</legend>
      {fields.map(({ name }) => (
        <button key={name} type="button" class="axis-word" aria-pressed={chosen.includes(name)} onClick={() => turn(name)}>
          {name}
        </button>
      ))}
    </fieldset>
  );
}

function RowList({ rows }: { rows: RowChanges }) {
  const moved = Object.entries(rows.columns);
  const twice = rows.repeated_before.rows + rows.repeated_after.rows;
  return (
    <div class="stack">
      <div class="tiles">
        {(["added", "removed", "changed", "same"] as const).map((word) => (
          <div key={word} class="tile">
            <span>{word}</span>
            <b>{count(rows[word])}</b>
          </div>
        ))}
      </div>
      {twice > 0 && (
        <p class="lead">
          {plural(twice, "row")} could not be paired: their key stands more than once, such as{" "}
          {plain([...rows.repeated_before.keys, ...rows.repeated_after.keys][0])}.
        </p>
      )}
      {moved.length > 0 && (
        <p>
          Of the changed rows{" "}
          {moved.map(([name, n], index) => (
            <span key={name}>
              {index > 0 && ", "}
              <code>{name}</code> in {count(n)}
            </span>
          ))}
          .
        </p>
      )}
      <Changed rows={rows} />
      <Some title="Added" total={rows.added} rows={rows.shown_added} />
      <Some title="Removed" total={rows.removed} rows={rows.shown_removed} />
    </div>
  );
}

function Changed({ rows }: { rows: RowChanges }) {
  if (!rows.shown_changed.length) return null;
  const cells = rows.shown_changed.flatMap((change) =>
    Object.entries(change.columns).map(([name, [was, now]], index) => [
      ...(index ? change.key.map(() => "") : change.key),
      name,
      was,
      now,
    ]),
  );
  return (
    <section>
      <h3>
        Changed{rows.changed > rows.shown_changed.length && <span class="quiet"> (the first {rows.shown_changed.length})</span>}
      </h3>
      <Cells label="Rows that changed" columns={[...rows.key, "column", "before", "after"]} rows={cells} />
    </section>
  );
}

function Some({ title, total, rows }: { title: string; total: number; rows: Record<string, unknown>[] }) {
  if (!rows.length) return null;
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return (
    <section>
      <h3>
        {title}
        {total > rows.length && <span class="quiet"> (the first {count(rows.length)})</span>}
      </h3>
      <Cells label={`Rows ${title.toLowerCase()}`} columns={columns} rows={rows.map((row) => columns.map((name) => row[name]))} />
    </section>
  );
}

function Files({ files }: { files: FileChanges }) {
  const lists: [string, number, string[]][] = [
    ["Added", files.added, files.shown_added],
    ["Removed", files.removed, files.shown_removed],
    ["Changed", files.changed, files.shown_changed],
  ];
  return (
    <section class="diff-part">
      <h2>Files</h2>
      {lists
        .filter(([, n]) => n > 0)
        .map(([title, n, shown]) => (
          <section key={title}>
            <h3>
              {title} ({count(n)}
              {n > shown.length && `, the first ${count(shown.length)} are shown`})
            </h3>
            <ul class="plain-list">
              {shown.map((path) => (
                <li key={path}>
                  <code>{path}</code>
                </li>
              ))}
            </ul>
          </section>
        ))}
    </section>
  );
}
