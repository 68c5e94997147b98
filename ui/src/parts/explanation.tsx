// SPDX-License-Identifier: Apache-2.0
// Why the results of two runs of a pipeline differ, or why they do not: one sentence, each cause with its lines, and beside it
// what became of the columns. Then the steps of both side by side, and what else is not the same.
import { at, useGet } from "../api.ts";
import { parseDiff } from "../diff.ts";
import { count, day, duration, figure, isNumber, plain, plural, shortId } from "../format.ts";
import { stepOf } from "../stepgraph.ts";
import type { Cause, ColumnEffect, Explanation, Moved, OutputPair, StepPair } from "../types.ts";
import { DiffView } from "./diffview.tsx";
import { Empty, ErrorNote, Skeleton } from "./notice.tsx";
import { Sign } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { Id, Unknown } from "./words.tsx";

export function Explained({ a, b }: { a: string; b: string }) {
  const { data, error } = useGet<Explanation>(at("/api/runs", a, "explain", b));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={8} tall />;
  const moved = data.steps.filter((pair) => pair.state === "differs");
  return (
    <div class="stack explained">
      <p class="lead verdict">
        <Sign tone={data.is_same ? "ok" : "accent"} label={data.is_same ? "the same" : "different"} />
        <span>{capital(data.sentence)}.</span>
      </p>
      {data.causes.length > 0 && <Causes title="What made the difference" causes={data.causes} steps={data.steps} />}
      {moved.length > 0 && <Effects pairs={moved} />}
      {data.without_effect.length > 0 && (
        <details>
          <summary>
            {plural(data.without_effect.length, "difference")} without effect: results are the same in spite of{" "}
            {data.without_effect.length === 1 ? "it" : "them"}
          </summary>
          <Causes causes={data.without_effect} steps={data.steps} />
        </details>
      )}
      <section>
        <h2>Step by step</h2>
        {data.steps.length ? (
          <Table name="x" label="steps of both" rows={gathered(data.steps)} columns={STEP_COLUMNS} />
        ) : (
          <Empty title="Neither run has steps on record" />
        )}
      </section>
      <Others data={data} />
    </div>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "");
}

const KINDS: Record<string, string> = {
  code: "code",
  file: "file",
  param: "parameter",
  data: "data",
  environment: "environment",
  seed: "seed",
  source: "source",
  step: "step",
};

function Causes({ title, causes, steps }: { title?: string; causes: Cause[]; steps: StepPair[] }) {
  return (
    <section class="causes">
      {title && <h2>{title}</h2>}
      {causes.map((cause, index) => (
        <section key={index} class="panel" aria-label={cause.sentence}>
          <header class="panel-head">
            <span class="cause-kind">{KINDS[cause.kind] ?? cause.kind}</span>
            <h3 class="minor">
              <code>{cause.what}</code>
            </h3>
            {isNumber(cause.lines) && <span class="quiet">{plural(cause.lines, "line")}</span>}
            {(cause.before !== null || cause.after !== null) && (
              <span>
                <Written value={cause.before} /> <span aria-hidden="true">→</span> <Written value={cause.after} />
              </span>
            )}
            {cause.is_idle && <span class="quiet">no name leads to it from the step</span>}
          </header>
          <p class="quiet">
            {cause.also.length ? "First seen in step" : "In step"} <Step name={cause.step} steps={steps} />
            {cause.also.length > 0 && `, and in ${listed(cause.also)}`}.
          </p>
          {cause.diff && <Lines text={cause.diff} />}
          <SnapshotLink before={cause.before} after={cause.after} />
          {cause.columns.length > 0 && <EffectTable columns={cause.columns} label={`Columns of ${cause.what}`} />}
        </section>
      ))}
    </section>
  );
}

/** "a, b, 12 calls of c". */
function listed(names: string[]): string {
  const calls = new Map<string, number>();
  for (const name of names) calls.set(stepOf(name), (calls.get(stepOf(name)) ?? 0) + 1);
  const said = [...calls].map(([name, n]) => (n > 1 ? `${count(n)} calls of ${name}` : name));
  return said.length > 6
    ? `${said.slice(0, 6).join(", ")} and ${plural(said.length - 6, "more step", "more steps")}`
    : said.join(", ");
}

function Step({ name, steps }: { name: string; steps: StepPair[] }) {
  const run = steps.find((pair) => pair.name === name)?.run_ids?.[1];
  return run ? <a href={`/runs/${run}`}>{name}</a> : <>{name}</>;
}

export function Lines({ text }: { text: string }) {
  const files = parseDiff(text).map((file) => ({
    ...file,
    name: file.name.replace(/ (before|after)$/, ""),
    // They are counted from where the statement begins, and nobody could look that up.
    lines: file.lines.filter((line) => line.kind !== "place").map((line) => ({ ...line, before: null, after: null })),
  }));
  return files.length ? <DiffView files={files} /> : <pre class="file-text">{text}</pre>;
}

const SNAPSHOT = /^[^\s@]+@\d+$/;

/** Two snapshots have a page of their own on which they are beside each other. */
function SnapshotLink({ before, after }: { before: string | null | undefined; after: string | null | undefined }) {
  if (!before || !after || before === after || !SNAPSHOT.test(before) || !SNAPSHOT.test(after)) return null;
  return (
    <p>
      <a href={`/snapshots/${before}/diff/${after}`}>
        What is different between {before} and {after}
      </a>
    </p>
  );
}

function Written({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span class="quiet">not there</span>;
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return <Id id={value} label="digest" />;
  return <b>{plain(value)}</b>;
}

/** What became of the columns of each step whose result differs. */
function Effects({ pairs }: { pairs: StepPair[] }) {
  const told = pairs.flatMap((pair) =>
    pair.outputs.filter((output) => !output.is_same && output.columns.length).map((output) => ({ pair, output })),
  );
  if (!told.length) return null;
  const [shown, more] = [told.slice(0, MOST_EFFECTS), told.slice(MOST_EFFECTS)];
  return (
    <section class="causes">
      <h2>Its effect on the columns</h2>
      <EffectPanels told={shown} />
      {more.length > 0 && (
        <details>
          <summary>{plural(more.length, "further result")}</summary>
          <div class="causes">
            <EffectPanels told={more} />
          </div>
        </details>
      )}
    </section>
  );
}

const MOST_EFFECTS = 4;

function EffectPanels({ told }: { told: { pair: StepPair; output: OutputPair }[] }) {
  return (
    <>
      {told.map(({ pair, output }) => (
        <section key={`${pair.name} ${output.name}`} class="panel">
          <header class="panel-head">
            <h3 class="minor">
              {pair.name}
              {output.name !== "value" && `, ${output.name}`}
            </h3>
            <span class="quiet">{rowsOf(output)}</span>
          </header>
          <EffectTable columns={output.columns} label={`Columns of ${pair.name}`} />
        </section>
      ))}
    </>
  );
}

function rowsOf(output: OutputPair): string {
  const [was, now] = [output.rows_before, output.rows_after];
  if (!isNumber(was) || !isNumber(now)) return "";
  return was === now ? plural(now, "row") : `${count(was)} → ${count(now)} rows`;
}

const FIGURES = ["mean", "sd", "min", "max", "null_share"] as const;

const MOST_COLUMNS = 6;

/** The columns that moved most, and the others on demand. */
function EffectTable({ columns, label }: { columns: ColumnEffect[]; label: string }) {
  const ranked = [...columns].sort((a, b) => moveOf(b) - moveOf(a));
  const more = ranked.slice(MOST_COLUMNS);
  return (
    <>
      <EffectRows columns={ranked.slice(0, MOST_COLUMNS)} label={label} />
      {more.length > 0 && (
        <details class="effect-more">
          <summary>{plural(more.length, "further column")}</summary>
          <EffectRows columns={more} label={`Further ${label.charAt(0).toLowerCase()}${label.slice(1)}`} />
        </details>
      )}
    </>
  );
}

/** How far the mean moved, in standard deviations; a column that came or went moved most. */
function moveOf(one: ColumnEffect): number {
  if (!one.before || !one.after) return Number.MAX_VALUE;
  const [was, now, sd] = [one.before.mean, one.after.mean, one.before.sd];
  if (!isNumber(was) || !isNumber(now)) return 0;
  return Math.abs(now - was) / (isNumber(sd) && sd > 0 ? sd : Math.abs(was) || 1);
}

function EffectRows({ columns, label }: { columns: ColumnEffect[]; label: string }) {
  const shown = FIGURES.filter((key) => columns.some((one) => one.before?.[key] !== one.after?.[key]));
  return (
    <div class="table-frame" tabIndex={0}>
      <table aria-label={label}>
        <thead>
          <tr>
            <th scope="col">Column</th>
            {shown.map((key) => (
              <th key={key} scope="col" class="right">
                {key === "null_share" ? "missing" : key}
              </th>
            ))}
            {!shown.length && <th scope="col">What moved</th>}
          </tr>
        </thead>
        <tbody>
          {columns.map((one) => (
            <tr key={one.name} title={one.sentence}>
              <td>
                <code>{one.name}</code>
                {(!one.before || !one.after) && <span class="cell-sub">{one.sentence}</span>}
              </td>
              {shown.map((key) => (
                <td key={key} class="right">
                  <Change was={one.before?.[key]} now={one.after?.[key]} />
                </td>
              ))}
              {!shown.length && <td class="wide">{one.sentence}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Change({ was, now }: { was: unknown; now: unknown }) {
  if (was === undefined && now === undefined) return <span class="quiet">–</span>;
  if (was === now) return <span class="quiet">{told(now)}</span>;
  return (
    <>
      <span class="quiet">{was === undefined ? "–" : told(was)} →</span> <b>{now === undefined ? "–" : told(now)}</b>
    </>
  );
}

function told(value: unknown): string {
  if (isNumber(value)) return figure(value);
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? day(value) : plain(value);
}

const STATES: Record<string, [string, "ok" | "watch" | "alert" | "accent" | "plain"]> = {
  same: ["the same", "ok"],
  caught: ["same result", "ok"],
  differs: ["differs", "watch"],
  only_a: ["gone", "alert"],
  only_b: ["new", "accent"],
};

interface Gathered extends StepPair {
  calls: number;
}

/** Calls of one step that came out alike are one row. */
function gathered(pairs: StepPair[]): Gathered[] {
  const rows = new Map<string, Gathered>();
  for (const pair of pairs) {
    const isCall = stepOf(pair.name) !== pair.name;
    const key =
      isCall && !pair.outputs.some((output) => output.columns.length)
        ? `${stepOf(pair.name)} ${pair.state} ${pair.sentence}`
        : pair.name;
    const row = rows.get(key);
    if (row) row.calls += 1;
    else rows.set(key, { ...pair, calls: 1 });
  }
  return [...rows.values()];
}

const STEP_COLUMNS: Column<Gathered>[] = [
  {
    key: "name",
    label: "Step",
    value: (pair) => pair.name,
    cell: (pair) => (pair.calls > 1 ? `${stepOf(pair.name)} × ${count(pair.calls)}` : pair.name),
  },
  {
    key: "state",
    label: "Beside each other",
    value: (pair) => STATES[pair.state]?.[0] ?? pair.state,
    cell: (pair) => {
      const [word, tone] = STATES[pair.state] ?? [pair.state, "plain" as const];
      return (
        <span class="state-word">
          <Sign tone={tone} label="" size={12} />
          {word}
        </span>
      );
    },
  },
  {
    key: "sentence",
    label: "What came out",
    value: (pair) => pair.sentence,
    cell: (pair) => <CameOut sentence={pair.sentence} />,
    wide: true,
  },
  {
    key: "runs",
    label: "Runs",
    value: (pair) => pair.run_ids?.join(" "),
    cell: (pair) =>
      pair.calls > 1 ? (
        "–"
      ) : (
        <>
          {pair.run_ids?.map((run, index) =>
            run ? (
              <span key={run}>
                {index > 0 && " → "}
                <a href={`/runs/${run}`}>{shortId(run)}</a>
              </span>
            ) : (
              <span key={index}>{index > 0 && " → "}–</span>
            ),
          )}
        </>
      ),
  },
  {
    key: "took",
    roomy: true,
    label: "Took",
    value: (pair) => pair.seconds?.[1],
    cell: (pair) =>
      pair.calls > 1
        ? "–"
        : pair.seconds
            ?.map((seconds, index) => (pair.hit_of?.[index] ? "hit" : isNumber(seconds) ? duration(seconds) : "–"))
            .join(" → "),
    right: true,
  },
];

/** Two snapshots in a sentence are a link to what is different between them. */
function CameOut({ sentence }: { sentence: string }) {
  const found = /^([^\s@]+@\d+)→([^\s@]+@\d+)(.*)$/.exec(sentence);
  if (!found) return <>{sentence}</>;
  return (
    <>
      <a href={`/snapshots/${found[1]}/diff/${found[2]}`}>
        {found[1]} → {found[2]}
      </a>
      {found[3]}
    </>
  );
}

function Others({ data }: { data: Explanation }) {
  const groups: [string, Moved[]][] = [
    ["Parameters", data.params],
    ["Packages", data.packages],
    ["Metrics", data.metrics],
  ];
  const shown = groups.filter(([, moved]) => moved.length);
  if (!shown.length) return <p class="quiet">Parameters, packages and metrics are the same.</p>;
  return (
    <>
      {shown.map(([title, moved]) => (
        <section key={title}>
          <h2>{title}</h2>
          <div class="table-frame">
            <table aria-label={title}>
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">First</th>
                  <th scope="col">Second</th>
                </tr>
              </thead>
              <tbody>
                {moved.map((one) => (
                  <tr key={one.name}>
                    <td>{one.name}</td>
                    <td>{one.before === null ? <Unknown why="it is not there" /> : plain(one.before)}</td>
                    <td>{one.after === null ? <Unknown why="it is not there" /> : plain(one.after)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      ))}
    </>
  );
}
