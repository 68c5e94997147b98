// SPDX-License-Identifier: Apache-2.0
// "Make this the candidate": the alias `candidate` of the model moves to the version that the run made. If somebody else moved
// it meanwhile the act is refused, and the sheet says to whom.
import { at, get, post, useGet } from "../api.ts";
import type { About, Maybe, Model, Run, Version } from "../types.ts";
import { Act, Difference } from "./act.tsx";

export const ALIAS = "candidate";

/** The version that stands behind a run in the ribbon: "flights-late/5". */
export function versionOf(about: Maybe<About>): string | null {
  const subject = about?.ribbon?.find((station) => station.station === "version")?.subject;
  return subject?.startsWith("version:") ? subject.slice("version:".length) : null;
}

const MODEL_FILE = /(^|\/)MLmodel$/;

/** The folders of models among a run's artifacts. */
export function foldersOf(run: Run): string[] {
  return (run.artifacts ?? []).flatMap((file) =>
    MODEL_FILE.test(file.path ?? "") ? [(file.path ?? "").replace(MODEL_FILE, "")] : [],
  );
}

/** A run that registered nothing but kept a model: both at once. Registering again gives another number, never another name. */
function RegisterAsCandidate({ run, folder }: { run: Run; folder: string }) {
  const path = (values: Record<string, string>) => at("/api/models", values["model"] || "MODEL", "folders");
  const point = async (answer: unknown, reason: string) => {
    const made = answer as Version;
    const known = await get<Model>(at("/api/models", made.model ?? ""));
    return post(at("/api/models", made.model ?? "", "aliases", ALIAS), {
      version: made.number,
      expected: known.aliases?.[ALIAS] ?? 0,
      reason,
    });
  };
  return (
    <Act
      label="Make this the candidate"
      title={`Register ${folder || "the model"} of ${run.name} and make it the candidate`}
      path={path}
      body={{ run_id: run.id, path: folder }}
      fields={[{ name: "model", label: "Model", kind: "text", isApart: true }]}
      cli={(values) => `mainstay runs candidate ${run.id} --model ${values["model"] || "MODEL"}`}
      then={point}
      preview={(values) => (
        <p>
          The files of <code>{folder || "the run"}</code> become the next version of <b>{values["model"] || "the model"}</b>,
          pinned as they are now, and its alias <code>{ALIAS}</code> moves there.
        </p>
      )}
    />
  );
}

export function CandidateOf({ run, version }: { run: Run; version: string | null }) {
  const folder = foldersOf(run)[0];
  if (version || folder === undefined) return <Candidate version={version} />;
  return <RegisterAsCandidate run={run} folder={folder} />;
}

export function Candidate({ version, label = "Make this the candidate" }: { version: string | null; label?: string }) {
  const slash = version?.lastIndexOf("/") ?? -1;
  const model = version && slash > 0 ? version.slice(0, slash) : null;
  const number = version ? Number(version.slice(slash + 1)) : Number.NaN;
  const known = useGet<Model>(model ? at("/api/models", model) : null).data;
  if (!model || !Number.isInteger(number)) return null;
  const now = known?.aliases?.[ALIAS];
  return (
    <Act
      label={now === number ? "Is the candidate" : label}
      title={`Make ${version} the candidate of ${model}`}
      disabled={now === number ? `${model}@${ALIAS} is this version already` : undefined}
      path={at("/api/models", model, "aliases", ALIAS)}
      body={{ version: number, expected: now ?? 0 }}
      cli={`mainstay models alias ${model} ${ALIAS} ${number}`}
      preview={<Difference lines={[[`${model}@${ALIAS}`, now === undefined ? "nothing yet" : `${model}/${now}`, version]]} />}
    />
  );
}
