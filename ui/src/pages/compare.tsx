// SPDX-License-Identifier: Apache-2.0
// Runs beside each other: what differs, their curves on shared axes, all of them across parameters and metrics, their code and
// environment; and the act that ends most comparisons, making one of them the candidate. Which runs stands in the address.
import { useEffect, useMemo } from "preact/hooks";
import { at, query, useGets, type ApiError } from "../api.ts";
import { isSystem } from "../curves.ts";
import { differing } from "../diff.ts";
import { alike, duration, figure, isImportance, isNumber, plain, plural, reading, shortId } from "../format.ts";
import { CandidateOf, foldersOf, versionOf } from "../parts/candidate.tsx";
import { CopyAs, listForms } from "../parts/copyas.tsx";
import { Curves } from "../parts/curves.tsx";
import { Explained } from "../parts/explanation.tsx";
import { Icon } from "../parts/icons.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { Parallel } from "../parts/parallel.tsx";
import { Word } from "../parts/pill.tsx";
import { Scatter } from "../parts/scatter.tsx";
import { diffOf, SourceChanges } from "../parts/sourcechanges.tsx";
import { Tabs } from "../parts/tabs.tsx";
import { Id, Person, Unknown, When } from "../parts/words.tsx";
import { setParams, useParam } from "../router.ts";
import { fieldsOf, isSame, type Field } from "../scales.ts";
import { setTitle } from "../title.ts";
import type { About, Run } from "../types.ts";

const HUES = 8;
const LONGEST_VALUE = 80;

export function Compare() {
  const [words, setWords] = useParam("runs");
  const ids = useMemo(() => [...new Set(words.split(",").filter(Boolean))], [words]);
  const answers = useGets<Run>(ids.map((id) => at("/api/runs", id)));
  const abouts = useGets<About>(ids.length <= 12 ? ids.map((id) => query("/api/about", { subject: `run:${id}` })) : []);
  useEffect(() => setTitle("Compare runs"), []);
  const runs = answers.flatMap((answer) => (answer.data ? [answer.data] : []));
  const errors = answers.flatMap((answer) => (answer.error ? [answer.error] : []));
  const isLoading = answers.some((answer) => !answer.data && !answer.error);
  const versions = new Map(ids.map((id, index) => [id, versionOf(abouts[index]?.data)]));
  const [first, second] = runs;
  const isTwoOfPipelines = runs.length === 2 && runs.every((run) => run.kind === "pipeline" || run.kind === "step");
  const without = (id: string) => setWords(ids.filter((one) => one !== id).join(","));
  return (
    <section>
      <header class="list-head">
        <div>
          <h1>Compare</h1>
          <p class="quiet">{plural(ids.length, "run")} beside each other. The first one is what the others are compared to.</p>
        </div>
        <div class="acts">
          <CopyAs
            forms={{
              ...listForms("/api/runs"),
              cli: `mainstay ${isTwoOfPipelines ? "explain" : "runs compare"} ${ids.join(" ")}`,
            }}
          />
        </div>
      </header>
      {distinct(errors).map((error) => (
        <ErrorNote key={error.message} error={error} />
      ))}
      {ids.length < 2 ? (
        <Empty title="Choose runs to compare" command="mainstay runs compare RUN RUN">
          In the <a href="/runs">list of runs</a>, mark two or more and press c.
        </Empty>
      ) : isLoading ? (
        <Skeleton rows={10} tall />
      ) : runs.length < 2 ? null : (
        <Tabs
          tabs={[
            ...(isTwoOfPipelines && first && second
              ? [{ id: "why", label: "Why they differ", body: () => <Explained a={first.id} b={second.id} /> }]
              : []),
            {
              id: "differences",
              label: "Differences",
              body: () => <Differences runs={runs} versions={versions} without={without} />,
            },
            { id: "curves", label: "Curves", body: () => <SharedCurves runs={runs} /> },
            { id: "parallel", label: "Parallel coordinates", body: () => <AcrossAll runs={runs} /> },
            { id: "scatter", label: "Scatter", body: () => <Against runs={runs} /> },
            { id: "code", label: "Code and environment", body: () => <CodeBeside runs={runs} /> },
          ]}
        />
      )}
    </section>
  );
}

/** What several runs were refused for alike, such as that nobody is signed in, is said once. */
function distinct(errors: ApiError[]): ApiError[] {
  return [...new Map(errors.map((error) => [error.message, error])).values()];
}

function nameOf(run: Run): string {
  return run.name ?? shortId(run.id);
}

interface DifferencesProps {
  runs: Run[];
  versions: Map<string, string | null>;
  without: (id: string) => void;
}

function Differences({ runs, versions, without }: DifferencesProps) {
  const [all] = useParam("all");
  const [metrics, params] = [measured(runs), fieldsOf(runs, "params")];
  const tags = fieldsOf(
    runs.map((run) => ({ params: run.tags ?? {} })),
    "params",
  );
  const shown = (fields: Field[]) => (all ? fields : fields.filter((field) => !isSame(field)));
  const hidden = [...metrics, ...params, ...tags].filter(isSame).length;
  const hasVersion = runs.some((run) => versions.get(run.id) || foldersOf(run).length > 0);
  return (
    <>
      <label class="check">
        <input type="checkbox" checked={!all} onChange={(event) => setParams({ all: event.currentTarget.checked ? "" : "y" })} />
        Only what differs {hidden > 0 && <span class="quiet">({plural(hidden, "row")} are the same everywhere)</span>}
      </label>
      <div class="table-frame compare-frame" tabIndex={0}>
        <table class="compare" aria-label="Differences">
          <thead>
            <tr>
              <th scope="col">
                <span class="unseen">What</span>
              </th>
              {runs.map((run, index) => (
                <th key={run.id} scope="col">
                  <span class="compare-head">
                    <i class={`dot hue-${(index % HUES) + 1}`} aria-hidden="true" />
                    <a href={`/runs/${run.id}`} title={run.id}>
                      {nameOf(run)}
                    </a>
                    <button
                      type="button"
                      class="button button-quiet icon-only"
                      aria-label={`Leave out ${nameOf(run)}`}
                      onClick={() => without(run.id)}
                    >
                      <Icon name="close" size={12} />
                    </button>
                  </span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">state</th>
              {runs.map((run) => (
                <td key={run.id}>
                  <Word word={run.state} />
                </td>
              ))}
            </tr>
            <tr>
              <th scope="row">started</th>
              {runs.map((run) => (
                <td key={run.id}>
                  <When at={run.started_at} /> <span class="quiet">by {<Person name={run.actor} />}</span>
                </td>
              ))}
            </tr>
            <tr>
              <th scope="row">took</th>
              {runs.map((run) => (
                <td key={run.id}>{duration(run.seconds)}</td>
              ))}
            </tr>
            {hasVersion && (
              <tr>
                <th scope="row">version</th>
                {runs.map((run) => {
                  const version = versions.get(run.id);
                  return (
                    <td key={run.id}>
                      {version ? (
                        <span class="compare-version">
                          <a href={`/models/${version}`}>{version}</a>
                          <CandidateOf run={run} version={version} />
                        </span>
                      ) : foldersOf(run).length ? (
                        <CandidateOf run={run} version={null} />
                      ) : (
                        <span class="quiet">none</span>
                      )}
                    </td>
                  );
                })}
              </tr>
            )}
            <Group title="Metrics" fields={shown(metrics)} runs={runs} isMeasured />
            <Group title="Parameters" fields={shown(params)} runs={runs} />
            <Group title="Tags" fields={shown(tags)} runs={runs} />
          </tbody>
        </table>
      </div>
      {!hasVersion && (
        <p class="quiet">
          None of these runs registered a model version. <code>ms.register("name", model)</code> does so, and one of them can then
          be made the candidate here.
        </p>
      )}
    </>
  );
}

interface GroupProps {
  title: string;
  fields: Field[];
  runs: Run[];
  isMeasured?: boolean;
}

function Group({ title, fields, runs, isMeasured = false }: GroupProps) {
  if (!fields.length) return null;
  return (
    <>
      <tr class="compare-group">
        <th scope="rowgroup" colSpan={runs.length + 1}>
          {title}
        </th>
      </tr>
      {fields.map((field) => {
        const write = alike(field.values);
        const first = field.values[0];
        return (
          <tr key={field.key}>
            <th scope="row" title={field.label}>
              {field.label}
            </th>
            {field.values.map((value, index) => (
              <td key={runs[index]?.id} class={isSame(field) ? "quiet" : ""}>
                {value === undefined ? (
                  <span class="quiet">–</span>
                ) : isMeasured ? (
                  reading(value, write)
                ) : (
                  <Long text={plain(value)} />
                )}
                {isMeasured && index > 0 && isNumber(value) && isNumber(first) && <Delta by={value - first} />}
              </td>
            ))}
          </tr>
        );
      })}
    </>
  );
}

/** How much a number differs from the first run's. Whether that is good is not for this page to say. */
function Delta({ by }: { by: number }) {
  if (by === 0) return <span class="range"> same</span>;
  return <span class="range">{` ${by > 0 ? "+" : "−"}${figure(Number(Math.abs(by).toPrecision(3)))}`}</span>;
}

function Long({ text }: { text: string }) {
  return text.length > LONGEST_VALUE ? <span title={text}>{text.slice(0, LONGEST_VALUE)}…</span> : <>{text}</>;
}

function SharedCurves({ runs }: { runs: Run[] }) {
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics ?? {})))].filter((key) => !isImportance(key));
  const lines = runs.map((run, index) => ({
    run: run.id,
    label: nameOf(run),
    isRunning: run.state === "running",
    hue: index + 1,
  }));
  if (!metrics.length) return <Empty title="None of these runs logged a metric" />;
  return (
    <Curves lines={lines} metrics={[...metrics.filter((key) => !isSystem(key)).sort(), ...metrics.filter(isSystem).sort()]} />
  );
}

/** The metrics that somebody measured, then those that the machine told of itself. */
function measured(runs: Run[]): Field[] {
  const fields = fieldsOf(runs, "metrics").filter((field) => !isImportance(field.label));
  return [...fields.filter((field) => !isSystem(field.label)), ...fields.filter((field) => isSystem(field.label))];
}

function useFields(runs: Run[]): Field[] {
  return useMemo(() => [...fieldsOf(runs, "params"), ...measured(runs)], [runs.map((run) => run.id).join()]);
}

const AXES_AT_FIRST = 7;

function AcrossAll({ runs }: { runs: Run[] }) {
  const fields = useFields(runs);
  const [words] = useParam("axes");
  const differ = fields.filter((field) => !isSame(field));
  const atFirst = [
    ...differ.filter((field) => field.key.startsWith("params.")).slice(0, AXES_AT_FIRST - 2),
    ...differ.filter((field) => field.key.startsWith("metrics.") && !isSystem(field.label)).slice(-2),
  ];
  const chosen = words ? words.split(",") : atFirst.map((field) => field.key);
  const shown = useMemo(() => chosen.flatMap((key) => fields.find((field) => field.key === key) ?? []), [chosen.join(), fields]);
  const flip = (key: string) => {
    const next = chosen.includes(key) ? chosen.filter((one) => one !== key) : [...chosen, key];
    setParams({ axes: next.join(",") });
  };
  return (
    <>
      <fieldset class="axes">
        <legend class="unseen">Axes</legend>
        {(differ.length ? differ : fields).map((field) => (
          <button
            key={field.key}
            type="button"
            class="axis-word"
            aria-pressed={chosen.includes(field.key)}
            title={field.key}
            onClick={() => flip(field.key)}
          >
            {field.label}
          </button>
        ))}
      </fieldset>
      {shown.length < 2 ? (
        <p class="quiet">Choose two or more axes.</p>
      ) : (
        <Parallel key={chosen.join()} runs={runs.map((run) => ({ id: run.id, name: nameOf(run) }))} fields={shown} />
      )}
    </>
  );
}

function Against({ runs }: { runs: Run[] }) {
  const fields = useFields(runs);
  const differ = fields.filter((field) => !isSame(field));
  const firstOf = (start: string) => differ.find((field) => field.key.startsWith(start))?.key;
  const [across, setAcross] = useParam("across", firstOf("params.") ?? firstOf("metrics.") ?? "");
  const [up, setUp] = useParam("up", firstOf("metrics.") ?? firstOf("params.") ?? "");
  const [colour, setColour] = useParam("colour");
  const named = (key: string) => fields.find((field) => field.key === key);
  const [fieldAcross, fieldUp] = [named(across), named(up)];
  const picks: [string, string, (value: string) => void, boolean][] = [
    ["Across", across, setAcross, false],
    ["Up", up, setUp, false],
    ["Colour", colour, setColour, true],
  ];
  return (
    <>
      <div class="curve-tools">
        {picks.map(([label, value, set, isOptional]) => (
          <label key={label} class="field field-inline">
            <span>{label}</span>
            <select value={value} onChange={(event) => set(event.currentTarget.value)}>
              {isOptional && <option value="">none</option>}
              {fields.map((field) => (
                <option key={field.key} value={field.key}>
                  {field.key}
                </option>
              ))}
            </select>
          </label>
        ))}
      </div>
      {fieldAcross && fieldUp ? (
        <Scatter
          runs={runs.map((run) => ({ id: run.id, name: nameOf(run) }))}
          across={fieldAcross}
          up={fieldUp}
          colour={named(colour)}
        />
      ) : (
        <Empty title="Nothing differs between these runs" />
      )}
    </>
  );
}

function CodeBeside({ runs }: { runs: Run[] }) {
  const packages = differing(runs.map((run) => run.environment?.packages));
  const facts: [string, (run: Run) => preact.ComponentChildren][] = [
    ["entry", (run) => (run.code?.entry ? <code>{run.code.entry}</code> : <Unknown />)],
    ["commit", (run) => (run.code?.commit ? <Id id={run.code.commit} label="commit" /> : <span class="quiet">not in git</span>)],
    ["sources", (run) => <Id id={run.code?.sources_digest} label="sources digest" />],
    ["Python", (run) => run.environment?.python ?? <Unknown />],
    ["environment", (run) => <Id id={run.environment?.digest} label="environment digest" />],
    ["hardware", (run) => <span class="wrap">{plain(run.hardware)}</span>],
  ];
  return (
    <>
      <div class="table-frame compare-frame" tabIndex={0}>
        <table class="compare" aria-label="Code and environment">
          <thead>
            <tr>
              <th scope="col">
                <span class="unseen">What</span>
              </th>
              {runs.map((run) => (
                <th key={run.id} scope="col">
                  <a href={`/runs/${run.id}?tab=code`}>{nameOf(run)}</a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {facts.map(([name, cell]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {runs.map((run) => (
                  <td key={run.id}>{cell(run)}</td>
                ))}
              </tr>
            ))}
            {packages.length > 0 && (
              <tr class="compare-group">
                <th scope="rowgroup" colSpan={runs.length + 1}>
                  Packages that differ
                </th>
              </tr>
            )}
            {packages.map(({ name, values }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {values.map((value, index) => (
                  <td key={runs[index]?.id}>
                    {value === undefined ? <span class="quiet">not there</span> : <code>{String(value)}</code>}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!packages.length && <p class="quiet">The packages on record are the same everywhere.</p>}
      {runs.filter(diffOf).map((run) => (
        <section key={run.id}>
          <h2 class="compare-diff">{nameOf(run)}</h2>
          <SourceChanges run={run} />
        </section>
      ))}
    </>
  );
}
