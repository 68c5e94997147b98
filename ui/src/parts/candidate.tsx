// SPDX-License-Identifier: Apache-2.0
// "Make this the candidate": the alias `candidate` of the model moves to the version that the run made. If somebody else moved
// it meanwhile the act is refused, and the sheet says to whom.
import { at, useGet } from "../api.ts";
import type { About, Maybe, Model } from "../types.ts";
import { Act, Difference } from "./act.tsx";

export const ALIAS = "candidate";

/** The version that stands behind a run in the ribbon: "flights-late/5". */
export function versionOf(about: Maybe<About>): string | null {
  const subject = about?.ribbon?.find((station) => station.station === "version")?.subject;
  return subject?.startsWith("version:") ? subject.slice("version:".length) : null;
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
