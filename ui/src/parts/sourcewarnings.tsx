// SPDX-License-Identifier: Apache-2.0
// What was read from a place that may change is a warning on everything that came of it, up to what answers now.
import { at, useGet } from "../api.ts";
import type { Maybe, Version } from "../types.ts";
import { State } from "./pill.tsx";
import { Subject } from "./words.tsx";

const NAMED = /^(\S+@\d+) (.*)$/;

export function SourceWarnings({ warnings }: { warnings: Maybe<string[]> }) {
  if (!warnings?.length) return null;
  return (
    <ul class="lead plain-list" aria-label="Warnings of its data">
      {warnings.map((warning) => {
        const [, snapshot, rest] = NAMED.exec(warning) ?? [];
        return (
          <li key={warning}>
            <State state="watch" small />{" "}
            {snapshot ? (
              <>
                <Subject subject={`snapshot:${snapshot}`} /> {rest}: what came of it may not be made again.
              </>
            ) : (
              warning
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** The same of a version, "flights-late/3", and so of whatever answers by it. */
export function VersionWarnings({ version }: { version: Maybe<string> }) {
  const slash = version?.lastIndexOf("/") ?? -1;
  const path = version && slash > 0 ? at("/api/models", version.slice(0, slash), "versions", version.slice(slash + 1)) : null;
  return <SourceWarnings warnings={useGet<Version>(path).data?.warnings} />;
}
