// SPDX-License-Identifier: Apache-2.0
// A model: its versions, how their holdout metrics compare, where each alias points.
import { at, useGet } from "../api.ts";
import { alike, count, days, figure, isImportance, isNumber, kindWords, releaseHref } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Chart } from "../parts/chart.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Id, Person, PlainFacts, Subject, When } from "../parts/words.tsx";
import { useParam } from "../router.ts";
import type { Model, Version } from "../types.ts";

/** A metric may be a number, or a number with its interval. */
export function metricOf(version: Version, key: string): { value: number | null; lo: number | null; hi: number | null } {
  const raw = version.metrics?.[key];
  if (isNumber(raw)) return { value: raw, lo: bound(version.metrics?.[`${key}_lo`]), hi: bound(version.metrics?.[`${key}_hi`]) };
  const inner = raw as { value?: unknown; lo?: unknown; hi?: unknown } | null | undefined;
  return typeof inner === "object" && inner
    ? { value: bound(inner.value), lo: bound(inner.lo), hi: bound(inner.hi) }
    : { value: null, lo: null, hi: null };
}

function bound(value: unknown): number | null {
  return isNumber(value) ? value : null;
}

export function metricNames(versions: Version[]): string[] {
  const names = [...new Set(versions.flatMap((version) => Object.keys(version.metrics ?? {})))];
  return names.filter(
    (name) =>
      !/_(lo|hi)$/.test(name) && !isImportance(name) && versions.some((version) => metricOf(version, name).value !== null),
  );
}

export function ModelPage({ name }: { name: string }) {
  const { data, error } = useGet<Model>(at("/api/models", name));
  const versions = [...(data?.versions ?? [])].sort((a, b) => (b.number ?? 0) - (a.number ?? 0));
  const aliases = Object.entries(data?.aliases ?? {});
  return (
    <ObjectPage
      subject={`model:${name}`}
      kind="Model"
      name={name}
      plainName={name}
      owner={data?.owner}
      loading={!data}
      error={error}
      aside={
        <>
          {data?.tier && (
            <span>
              tier <b>{data.tier}</b>
            </span>
          )}
          {aliases.map(([alias, number]) => (
            <span key={alias}>
              {alias}{" "}
              <b>
                <a href={`/models/${name}/${number}`}>
                  {name}/{number}
                </a>
              </b>
            </span>
          ))}
        </>
      }
      above={data?.description && <p class="lead">{data.description}</p>}
      acts={versions.length > 0 && <MoveAlias name={name} aliases={data?.aliases ?? {}} newest={versions[0]?.number ?? 1} />}
      tabs={[
        {
          id: "versions",
          label: "Versions",
          count: versions.length,
          body: () =>
            versions.length ? (
              <>
                <MetricsOverTime versions={versions} />
                <Table
                  name=""
                  label="versions"
                  rows={versions}
                  columns={columns(name, versions)}
                  href={(version) => `/models/${name}/${version.number}`}
                />
              </>
            ) : (
              <Empty title="No version yet" command="mainstay run flights.py:flights_late">
                A run registers one with <code>ms.register("{name}", model)</code>.
              </Empty>
            ),
        },
        {
          id: "aliases",
          label: "Aliases",
          count: aliases.length,
          body: () =>
            aliases.length ? (
              <ul class="plain-list">
                {aliases.map(([alias, number]) => (
                  <li key={alias}>
                    <b>{alias}</b> points at <Subject subject={`version:${name}/${number}`} />
                  </li>
                ))}
              </ul>
            ) : (
              <Empty title="No alias yet">An alias is a movable name on a version, such as champion.</Empty>
            ),
        },
        {
          id: "about",
          label: "Tags and permissions",
          body: () => data && <AboutModel model={data} />,
        },
      ]}
    />
  );
}

function MoveAlias({ name, aliases, newest }: { name: string; aliases: Record<string, number>; newest: number }) {
  const before = (values: Record<string, string>) => aliases[values["alias"] ?? ""];
  return (
    <Act
      label="Move alias"
      title={`Move an alias of ${name}`}
      path={(values) => at("/api/models", name, "aliases", values["alias"] || "champion")}
      body={(values) => ({ expected: before(values) ?? 0 })}
      fields={[
        { name: "alias", label: "Alias", kind: "text", value: "champion", isApart: true },
        { name: "version", label: "points at version", kind: "number", value: String(newest) },
      ]}
      cli={(values) => `mainstay models alias ${name} ${values["alias"]} ${values["version"]}`}
      preview={(values) => {
        const now = before(values);
        return (
          <Difference
            lines={[[values["alias"] ?? "", now === undefined ? "nothing" : `${name}/${now}`, `${name}/${values["version"]}`]]}
          />
        );
      }}
    />
  );
}

function AboutModel({ model }: { model: Model }) {
  return (
    <div class="pair">
      <section>
        <h2>Tags</h2>
        <PlainFacts facts={model.tags} empty="No tags." />
      </section>
      <section>
        <h2>Permissions</h2>
        {model.permissions?.length ? (
          <ul class="plain-list">
            {model.permissions.map((one) => (
              <li key={`${one.what}${one.number}`}>
                <b>{kindWords(one.what)}</b> for {one.number ? `${model.name}/${one.number}` : "every version"}, by{" "}
                <Person name={one.actor} /> <When at={one.at} />: {one.reason}
              </li>
            ))}
          </ul>
        ) : (
          <p class="quiet">Nothing is allowed here beyond the usual.</p>
        )}
        <h2>Counts on its name</h2>
        {model.held_by?.length ? (
          <p>
            {model.held_by.map((subject) => (
              <span key={subject} class="gap-right">
                <Subject subject={subject} />
              </span>
            ))}
          </p>
        ) : (
          <p class="quiet">No release or deployment: it can be renamed or deleted.</p>
        )}
      </section>
    </div>
  );
}

function columns(model: string, versions: Version[]): Column<Version>[] {
  return [
    {
      key: "version",
      label: "Version",
      value: (version) => version.number,
      cell: (version) => version.id ?? `${model}/${version.number}`,
    },
    { key: "state", label: "State", value: (version) => version.state, cell: (version) => <Word word={version.state} /> },
    ...metricNames(versions).map((name, index): Column<Version> => {
      const write = alike(versions.map((version) => metricOf(version, name).value));
      return {
        key: name,
        label: name,
        value: (version) => metricOf(version, name).value,
        cell: (version) => write(metricOf(version, name).value),
        right: true,
        hidden: index > 2,
      };
    }),
    {
      key: "releases",
      label: "Releases",
      value: (version) => version.releases?.join(", "),
      cell: (version) =>
        version.releases?.length ? (
          version.releases.map((release) => (
            <a key={release} class="gap-right" href={releaseHref(release) ?? "#"}>
              {release}
            </a>
          ))
        ) : (
          <span class="quiet">never released</span>
        ),
    },
    {
      key: "run",
      roomy: true,
      label: "Run",
      value: (version) => version.run_id,
      cell: (version) => (version.run_id ? <Subject subject={`run:${version.run_id}`} /> : "–"),
    },
    {
      key: "age",
      roomy: true,
      label: "Age",
      value: (version) => version.age_days,
      cell: (version) => days(version.age_days),
      right: true,
    },
    {
      key: "digest",
      label: "Digest",
      value: (version) => version.digest,
      cell: (version) => <Id id={version.digest} label="digest" />,
      hidden: true,
    },
    {
      key: "by",
      hidden: true,
      label: "By",
      value: (version) => version.actor,
      cell: (version) => <Person name={version.actor} />,
    },
    {
      key: "made",
      label: "Registered",
      value: (version) => version.created_at,
      cell: (version) => <When at={version.created_at} />,
    },
  ];
}

function MetricsOverTime({ versions }: { versions: Version[] }) {
  const names = metricNames(versions);
  const [chosen, choose] = useParam("metric", names.includes("auc") ? "auc" : (names[0] ?? ""));
  if (!names.length || versions.length < 2) return null;
  const oldest = [...versions].sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
  const found = oldest.map((version) => metricOf(version, chosen));
  const hasBand = found.some((one) => one.lo !== null);
  return (
    <div class="stack">
      <Chart
        title={chosen}
        unit="on each version's own later-in-time holdout; the holdouts differ"
        numeric
        times={oldest.map((version) => version.number ?? 0)}
        height={200}
        names={oldest.map((version) => version.id ?? `version ${version.number}`)}
        write={(value) => figure(value)}
        series={[
          {
            label: chosen,
            values: found.map((one) => one.value),
            ...(hasBand ? { lo: found.map((one) => one.lo), hi: found.map((one) => one.hi) } : {}),
          },
        ]}
        notes={oldest.map(
          (version) =>
            `${version.state ?? "state unknown"}${version.releases?.length ? ` · ${version.releases.join(", ")}` : ""}`,
        )}
      />
      {names.length > 1 && (
        <div class="segments" role="group" aria-label="Metric">
          {names.map((name) => (
            <button key={name} type="button" aria-pressed={name === chosen} onClick={() => choose(name)}>
              {name}
            </button>
          ))}
        </div>
      )}
      <p class="quiet">{count(versions.length)} versions, oldest at the left.</p>
    </div>
  );
}
