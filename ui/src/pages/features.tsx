// SPDX-License-Identifier: Apache-2.0
// Feature views: one definition that is joined to labels in training and looked up in serving. And one of them: its versions,
// what can be answered from, which models are bound to it, and whether serving agreed with training when it was replayed.
import { at, query, useGet, useGets } from "../api.ts";
import { bytes, count, isNumber, plural } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Jobs } from "../parts/jobs.tsx";
import { ListPage } from "../parts/listpage.tsx";
import { Command, Empty, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { State } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Id, Person, Subject, Unknown, When } from "../parts/words.tsx";
import type { FeatureView, Model, OnlineTable, Page, Run, Version, ViewVersion } from "../types.ts";
import { DATA_PLACES } from "./datasets.tsx";

function newestOf(view: FeatureView | undefined): ViewVersion | undefined {
  return view?.versions[0];
}

const COLUMNS: Column<FeatureView>[] = [
  { key: "name", label: "View", value: (view) => view.name },
  { key: "version", label: "Version", value: (view) => newestOf(view)?.number, right: true },
  {
    key: "entity",
    label: "Entity",
    value: (view) =>
      newestOf(view)
        ?.entity.map((one) => one.name)
        .join(", "),
  },
  { key: "features", label: "Features", value: (view) => newestOf(view)?.columns.length, right: true },
  { key: "ttl", label: "Time to live", value: (view) => newestOf(view)?.definition.ttl ?? "for ever" },
  {
    key: "known",
    label: "Known up to",
    value: (view) => newestOf(view)?.online?.watermark,
    cell: (view) => <Known table={newestOf(view)?.online} />,
  },
  {
    key: "rows",
    label: "Entities",
    value: (view) => newestOf(view)?.online?.rows,
    cell: (view) => (isNumber(newestOf(view)?.online?.rows) ? count(newestOf(view)?.online?.rows) : "–"),
    right: true,
  },
  {
    key: "entry",
    roomy: true,
    label: "Code",
    value: (view) => newestOf(view)?.entry,
    cell: (view) => <code>{newestOf(view)?.entry ?? "unknown"}</code>,
    wide: true,
  },
];

/** How far the rows go that requests are answered from. */
function Known({ table }: { table: OnlineTable | null | undefined }) {
  if (!table) return <Unknown why="Nothing of it is materialised: no request can be answered from it" />;
  return <When at={table.watermark} />;
}

export function Features() {
  const { data, error } = useGet<{ items: FeatureView[] }>("/api/features");
  return (
    <ListPage
      title="Feature views"
      about="One function whose rows are joined to labels in training and looked up in serving, so that both see the same."
      path="/api/features"
      cli="mainstay features list"
      places={DATA_PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty title="No feature view yet" command="mainstay features materialise FILE.py:VIEW">
          A function marked <code>@ms.feature_view</code> becomes known here when a pipeline uses it or when it is materialised.
        </Empty>
      }
    >
      <Table name="" label="feature views" rows={data?.items ?? []} columns={COLUMNS} href={(view) => `/features/${view.name}`} />
    </ListPage>
  );
}

const VERSIONS: Column<ViewVersion>[] = [
  { key: "version", label: "Version", value: (one) => one.id },
  { key: "known", label: "Known up to", value: (one) => one.online?.watermark, cell: (one) => <Known table={one.online} /> },
  {
    key: "rows",
    label: "Entities",
    value: (one) => one.online?.rows,
    cell: (one) => (isNumber(one.online?.rows) ? count(one.online?.rows) : "–"),
    right: true,
  },
  { key: "entry", label: "Code", value: (one) => one.entry, cell: (one) => <code>{one.entry}</code>, wide: true },
  { key: "digest", label: "Digest", value: (one) => one.digest, cell: (one) => <Id id={one.digest} label="digest" /> },
  { key: "by", roomy: true, label: "By", value: (one) => one.created_by, cell: (one) => <Person name={one.created_by} /> },
  { key: "seen", label: "Seen", value: (one) => one.created_at, cell: (one) => <When at={one.created_at} /> },
];

const TABLES: Column<OnlineTable>[] = [
  { key: "number", label: "Number", value: (one) => one.sequence },
  { key: "version", label: "Of version", value: (one) => one.version, right: true },
  { key: "known", label: "Known up to", value: (one) => one.watermark, cell: (one) => <When at={one.watermark} /> },
  { key: "rows", label: "Entities", value: (one) => one.rows, cell: (one) => count(one.rows), right: true },
  {
    key: "changed",
    label: "Changed",
    hint: "rows that were others in the table before",
    value: (one) => one.changed,
    cell: (one) => (isNumber(one.changed) ? count(one.changed) : "–"),
    right: true,
  },
  { key: "size", label: "Size", value: (one) => one.size, cell: (one) => bytes(one.size), right: true },
  {
    key: "run",
    label: "Made by",
    value: (one) => one.run_id,
    cell: (one) => (one.run_id ? <Subject subject={`run:${one.run_id}`} /> : "–"),
  },
  { key: "made", label: "Made", value: (one) => one.made_at, cell: (one) => <When at={one.made_at} /> },
];

export function FeaturePage({ name }: { name: string }) {
  const path = at("/api/features", name);
  const { data, error } = useGet<FeatureView>(path);
  const newest = newestOf(data);
  const entry = newest?.entry ?? `FILE.py:${name}`;
  return (
    <ObjectPage
      subject={`view:${name}`}
      kind="Feature view"
      name={name}
      plainName={name}
      state={data ? (newest?.online ? "ok" : "unknown") : undefined}
      made={newest?.created_at}
      loading={!data}
      error={error}
      wide
      acts={
        newest && (
          <Act
            label="Materialise"
            title={`Materialise ${name}`}
            path={`${path}/materialise`}
            reason="optional"
            cli={`mainstay features materialise ${name}`}
            preview={
              <p>
                A worker runs <code>{newest.entry}</code> on the newest snapshots of its sources; of each entity the row that
                counts now is what requests are answered from.
              </p>
            }
          />
        )
      }
      aside={
        newest && (
          <>
            <span>
              version <b>{newest.number}</b>
            </span>
            <span>
              known up to <Known table={newest.online} />
            </span>
            <code>{newest.entry}</code>
          </>
        )
      }
      above={
        <>
          <Jobs subject={`pipeline:${entry.split(":").at(-1) ?? name}`} />
          {newest && !newest.online && (
            <div class="next-steps">
              <span>Nothing of it is materialised: no model that needs it can be released.</span>
              <Command text={`mainstay features materialise ${entry}`} />
            </div>
          )}
        </>
      }
      tabs={[
        { id: "definition", label: "Definition", body: () => newest && <Definition version={newest} /> },
        {
          id: "versions",
          label: "Versions",
          count: data?.versions.length,
          body: () => <Table name="" label="versions" rows={data?.versions ?? []} columns={VERSIONS} />,
        },
        { id: "online", label: "Answered from", body: () => <Online name={name} entry={entry} /> },
        { id: "pinned", label: "Pinned by", body: () => <PinnedBy view={name} /> },
        { id: "replays", label: "Replays", body: () => <Replays view={name} entry={entry} /> },
      ]}
    />
  );
}

function Definition({ version }: { version: ViewVersion }) {
  const { definition } = version;
  return (
    <div class="pair">
      <section>
        <h2>What it is about</h2>
        <FactList
          facts={[
            ["entity", version.entity.map((one) => `${one.name} (${one.type})`).join(", ")],
            ["time", <code key="time">{definition.time ?? "unknown"}</code>],
            ["available after", definition.available_after ?? "at once"],
            ["time to live", definition.ttl ?? "for ever"],
            ["digest", <Id key="digest" id={version.digest} label="digest" />],
            ["code digest", <Id key="closure" id={version.closure} label="code digest" />],
          ]}
        />
      </section>
      <section>
        <h2>Features</h2>
        <FactList facts={version.columns.map((one) => [one.name, <code key={one.name}>{one.type}</code>])} />
      </section>
    </div>
  );
}

function Online({ name, entry }: { name: string; entry: string }) {
  const { data } = useGet<{ items: OnlineTable[] }>(at("/api/features", name, "online"));
  if (!data) return <Skeleton rows={4} />;
  if (!data.items.length)
    return (
      <Empty title="Nothing can be answered from it yet" command={`mainstay features materialise ${entry}`}>
        Materialising runs the view and publishes its newest row for each entity; gateways load them.
      </Empty>
    );
  return <Table name="o" label="tables" rows={data.items} columns={TABLES} />;
}

/** The versions of models that are bound to a version of the view. */
function PinnedBy({ view }: { view: string }) {
  const models = useGet<Page<Model>>("/api/models?limit=100").data?.items;
  const answers = useGets<Model>((models ?? []).map((model) => at("/api/models", model.name)));
  if (!models || answers.some((answer) => !answer.data && !answer.error)) return <Skeleton rows={4} />;
  const pins = answers.flatMap((answer) =>
    (answer.data?.versions ?? []).flatMap((version) =>
      (version.views ?? []).filter((pin) => pin.startsWith(`${view}/`)).map((pin) => ({ version, pin })),
    ),
  );
  if (!pins.length)
    return (
      <Empty title="No model is bound to it yet">
        A model that was trained on this view pins the version; a gateway refuses to serve it from another one.
      </Empty>
    );
  const columns: Column<{ version: Version; pin: string }>[] = [
    { key: "version", label: "Model version", value: ({ version }) => version.id ?? `${version.model}/${version.number}` },
    { key: "pin", label: "Pins", value: ({ pin }) => pin },
    { key: "releases", label: "Releases", value: ({ version }) => version.releases?.join(", ") || null, wide: true },
    {
      key: "made",
      label: "Made",
      value: ({ version }) => version.created_at,
      cell: ({ version }) => <When at={version.created_at} />,
    },
  ];
  return (
    <Table
      name="p"
      label="model versions"
      rows={pins}
      columns={columns}
      href={({ version }) => `/models/${version.id ?? `${version.model}/${version.number}`}`}
    />
  );
}

/** Logged predictions that were asked again by the training path: how many cells came out otherwise. */
function Replays({ view, entry }: { view: string; entry: string }) {
  const { data } = useGet<Page<Run>>(query("/api/runs", { kind: "pipeline", filter: `name = 'replay_${view}'`, limit: 100 }));
  if (!data) return <Skeleton rows={4} />;
  if (!data.items.length)
    return (
      <Empty title="It was not replayed yet" command={`mainstay features replay ${entry} --deployment NAME`}>
        A replay asks logged predictions again by the training path, and compares each cell with what was served.
      </Empty>
    );
  const figure = (run: Run, name: string) => {
    const value = run.metrics?.[`replay.${name}`];
    return isNumber(value) ? value : null;
  };
  const columns: Column<Run>[] = [
    {
      key: "verdict",
      label: "Serving and training",
      value: (run) => figure(run, "different"),
      cell: (run) => {
        const different = figure(run, "different");
        return (
          <span class="state-word">
            <State state={different === null ? "unknown" : different ? "alert" : "ok"} small />
            {different === null ? "not compared" : different ? `${plural(different, "cell")} differ` : "agree in every cell"}
          </span>
        );
      },
    },
    {
      key: "cells",
      label: "Cells",
      value: (run) => figure(run, "cells"),
      cell: (run) => count(figure(run, "cells")),
      right: true,
    },
    {
      key: "behind",
      label: "Behind",
      hint: "cells that would be another had the table been made later",
      value: (run) => figure(run, "behind"),
      cell: (run) => count(figure(run, "behind")),
      right: true,
    },
    { key: "run", label: "Run", value: (run) => run.id, cell: (run) => <Subject subject={`run:${run.id}`} /> },
    { key: "when", label: "Asked", value: (run) => run.started_at, cell: (run) => <When at={run.started_at} /> },
  ];
  return <Table name="r" label="replays" rows={data.items} columns={columns} href={(run) => `/runs/${run.id}`} />;
}
