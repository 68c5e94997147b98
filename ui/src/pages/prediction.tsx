// SPDX-License-Identifier: Apache-2.0
// A prediction: what was asked, what was answered, what became true, and the whole chain behind it as a picture, from stored
// records only. A link that the record does not hold is drawn hatched and says unknown.
import { at, useGet } from "../api.ts";
import { absolute, decimal, isNumber, plain, releaseHref, releaseId, shortId, versionId } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { WhyPicture } from "../parts/whypicture.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, When } from "../parts/words.tsx";
import type { Maybe, Output, Phrase, Prediction, Version, VersionSignature } from "../types.ts";

export function PredictionPage({ id }: { id: string }) {
  const { data, error } = useGet<Prediction>(at("/api/predictions", id));
  const release = releaseId(data?.release, data?.deployment);
  const output = useOutput(data?.version);
  const labels = data?.feedback ?? [];
  const last = labels.at(-1);
  return (
    <ObjectPage
      subject={`prediction:${id}`}
      kind="Prediction"
      name={<>{data && answerOf(data)}</>}
      plainName={`Prediction ${shortId(id)}`}
      made={data?.logged_at}
      loading={!data}
      error={error}
      wide
      because={data && sentenceOf(data)}
      state={data?.status}
      aside={
        <>
          <Id id={id} label="prediction id" />
          {release && (
            <span>
              by{" "}
              <b>
                <Subject subject={`release:${release}`} />
              </b>
            </span>
          )}
          {isNumber(data?.latency_ms) && (
            <span>
              in <b>{decimal(data.latency_ms, 1)} ms</b>
            </span>
          )}
          <span>
            truth <b>{last ? truthOf(last.label, output) : "not yet known"}</b>
          </span>
        </>
      }
      acts={data && <SendTruth id={id} output={output} />}
      tabs={[
        { id: "why", label: "Why", body: () => <WhyPicture id={id} /> },
        {
          id: "row",
          label: "What was asked",
          count: Object.keys(data?.row ?? {}).length || undefined,
          body: () => <PlainFacts facts={data?.row} empty="The row is not on record." />,
        },
        { id: "feedback", label: "What became true", count: labels.length, body: () => <Feedback prediction={data} output={output} /> },
        { id: "answer", label: "Answer", body: () => data && <Answer prediction={data} /> },
      ]}
    />
  );
}

/** What the version answers, and in which classes; undefined while, or where, nobody knows. */
function useOutput(version: Maybe<string | number>): Output | undefined {
  const [model, number] = String(version ?? "").split("/");
  const found = useGet<Version>(model && number ? at("/api/models", model, "versions", number) : null).data;
  return (found?.signature as VersionSignature | null | undefined)?.output;
}

function answerOf(prediction: Prediction): string {
  return prediction.label === null || prediction.label === undefined ? decimal(prediction.value) : plain(prediction.label);
}

/** What was told became true: classes are kept by their place, of two as 1 for the positive one. */
function truthOf(label: unknown, output: Output | undefined): string {
  const classes = output?.classes;
  if (!classes || !isNumber(label)) return plain(label);
  if (output.type === "multiclass") return plain(classes[label] ?? label);
  return plain(classes.find((name) => Number(name === output.positive) === label) ?? label);
}

/** A class is chosen by its name; where there are none, a number is typed. */
function SendTruth({ id, output }: { id: string; output: Output | undefined }) {
  const classes = output?.classes;
  const isByPlace = output?.type === "binary" && !classes?.every((name) => typeof name === "string");
  const label = (chosen: string | undefined) => {
    const name = classes?.find((one) => plain(one) === chosen);
    if (name === undefined) return chosen;
    return isByPlace ? Number(name === output?.positive) : name;
  };
  const shared = {
    label: "Send the truth",
    title: "What became true",
    path: "/api/feedback",
    reason: "none" as const,
    preview: (
      <p>
        The label is joined to this prediction by its id. A different label later is kept as a revision; the last one counts.
      </p>
    ),
  };
  if (!classes?.length)
    return (
      <Act
        {...shared}
        body={{ id }}
        fields={[{ name: "label", label: "The value that became true", kind: "number" }]}
        cli={(values) => `mainstay feedback ${id} ${values["label"] || "VALUE"}`}
      />
    );
  return (
    <Act
      {...shared}
      body={(values) => ({ id, label: label(values["truth"]) })}
      fields={[{ name: "truth", label: "What it was", kind: "choice", choices: ["", ...classes.map(plain)], isApart: true }]}
      cli={(values) => `mainstay feedback ${id} ${plain(label(values["truth"]))}`}
    />
  );
}

/** Predictions are telemetry and not in the ledger, so their sentence is written from their own record. */
function sentenceOf(prediction: Prediction): Phrase[] {
  const release = releaseId(prediction.release, prediction.deployment);
  const how = prediction.source === "http" ? "over HTTP" : prediction.source ? `from a ${prediction.source}` : "";
  return [
    { text: "Answered by " },
    { text: release ?? "an unknown release", href: release ? releaseHref(release) : null },
    { text: ` of ` },
    {
      text: prediction.deployment ?? "an unknown deployment",
      href: prediction.deployment ? `/deployments/${prediction.deployment}` : null,
    },
    {
      text: ` as ${prediction.variant ?? "an unknown variant"}${how ? `, ${how}` : ""}; it is about ${absolute(prediction.at)}.`,
    },
  ];
}

function Answer({ prediction }: { prediction: Prediction }) {
  const release = releaseId(prediction.release, prediction.deployment);
  return (
    <FactList
      facts={[
        ["answer", prediction.kind === "multiclass" ? answerOf(prediction) : decimal(prediction.value, 4)],
        ["kind", prediction.kind ?? <Unknown />],
        ["status", prediction.status ?? <Unknown />],
        ["about", plain(prediction.at)],
        ["answered", <When at={prediction.logged_at} />],
        [
          "deployment",
          prediction.deployment ? (
            <Subject subject={`deployment:${prediction.deployment}`}>{prediction.deployment}</Subject>
          ) : (
            <Unknown />
          ),
        ],
        ["release", release ? <Subject subject={`release:${release}`} /> : <Unknown />],
        ["version", plain(versionId(prediction.version, null))],
        ["variant", prediction.variant ?? <Unknown />],
        ["latency", isNumber(prediction.latency_ms) ? `${decimal(prediction.latency_ms, 2)} ms` : <Unknown />],
        ["source", prediction.source ?? <Unknown />],
      ]}
    />
  );
}

function Feedback({ prediction, output }: { prediction: Prediction | undefined; output: Output | undefined }) {
  const labels = prediction?.feedback ?? [];
  if (!labels.length)
    return (
      <Empty title="The label has not arrived yet" command={`mainstay feedback ${prediction?.id ?? "ID"} 1`}>
        Labels come late; they are joined by the prediction's id whenever they come.
      </Empty>
    );
  return (
    <div class="table-frame">
      <table aria-label="Labels">
        <thead>
          <tr>
            <th scope="col">Revision</th>
            <th scope="col">Label</th>
            <th scope="col">At</th>
            <th scope="col">From</th>
          </tr>
        </thead>
        <tbody>
          {labels.map((one, index) => (
            <tr key={index}>
              <td>{one.revision ?? index + 1}</td>
              <td>
                <b>{truthOf(one.label, output)}</b>
                {index === labels.length - 1 && labels.length > 1 && <span class="quiet"> counts</span>}
              </td>
              <td>
                <When at={one.at} />
              </td>
              <td>
                <Person name={one.actor} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
