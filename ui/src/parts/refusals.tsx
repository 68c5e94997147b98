// SPDX-License-Identifier: Apache-2.0
// A batch that was refused: what was wrong with it, the first rows at fault, and the one act that lets a renamed column in.
import { at, useGet } from "../api.ts";
import { kindWords, percent, plain } from "../format.ts";
import type { Maybe, Problem, Refusal } from "../types.ts";
import { Act, Difference } from "./act.tsx";
import { Cells } from "./cells.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";
import { Person, Subject, When } from "./words.tsx";

export function RefusalCard({ dataset, refusal }: { dataset: string; refusal: Refusal }) {
  return (
    <section class="panel">
      <header class="panel-head">
        <h2 class="minor">{refusal.source ?? `Refusal ${refusal.id ?? ""}`}</h2>
        <span class="quiet">
          refused <When at={refusal.at} />
          {refusal.actor && (
            <>
              {" "}
              · brought by <Person name={refusal.actor} />
            </>
          )}
        </span>
      </header>
      {refusal.sentence && <p>{refusal.sentence}</p>}
      <div class="table-frame">
        <table aria-label="Problems">
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col">Problem</th>
              <th scope="col">Found</th>
              <th scope="col">Expected</th>
            </tr>
          </thead>
          <tbody>
            {refusal.problems?.map((problem, index) => (
              <tr key={index}>
                <td>
                  <code>{problem.column ?? "–"}</code>
                </td>
                <td>{kindWords(problem.problem)}</td>
                <td class="wide">{plain(problem.found)}</td>
                <td class="wide">{plain(problem.expected)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {refusal.rows_blob && (
        <details class="bad-rows">
          <summary>The first rows at fault</summary>
          <BadRows digest={refusal.rows_blob} />
        </details>
      )}
      {refusal.problems?.map((problem, index) => (
        <Renamed key={index} dataset={dataset} problem={problem} settledBy={refusal.resolved_by} />
      ))}
    </section>
  );
}

interface Kept {
  columns: string[];
  rows: { row: number; values: Record<string, string | null> }[];
}

/** As the refusal kept them. */
function BadRows({ digest }: { digest: string }) {
  const { data, error } = useGet<Kept>(at("/api/blobs", digest));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={3} />;
  const rows = data.rows.map(({ row, values }) => [row, ...data.columns.map((name) => values[name])]);
  return <Cells label="Rows at fault" columns={["row", ...data.columns]} rows={rows} />;
}

/** The likely cause of a missing column, and the one act that puts it right. */
function Renamed({ dataset, problem, settledBy }: { dataset: string; problem: Problem; settledBy: Maybe<string> }) {
  const alias = problem.likely_alias;
  if (!alias?.column || !problem.column) return null;
  return (
    <p class="renamed">
      <span>
        <code>{problem.column}</code> was likely renamed to <code>{alias.column}</code>: its values and
        those of {problem.column} are distributed the same to {percent(alias.overlap)}.
      </span>
      {settledBy ? (
        <span class="quiet">
          Taken in since then, as <Subject subject={`snapshot:${settledBy}`} />.
        </span>
      ) : (
        <Act
          label="Accept as alias"
          title={`Accept “${alias.column}” as another name of “${problem.column}”`}
          path={at("/api/datasets", dataset, "aliases")}
          body={{ column: problem.column, alias: alias.column }}
          cli={`mainstay datasets alias ${dataset} ${problem.column} ${alias.column}`}
          tone="primary"
          preview={
            <Difference lines={[[`contract of ${dataset}`, `${problem.column} only`, `${problem.column}, or ${alias.column}`]]} />
          }
        />
      )}
    </p>
  );
}
