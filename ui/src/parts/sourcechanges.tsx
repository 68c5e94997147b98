// SPDX-License-Identifier: Apache-2.0
// What a run's code had that its commit has not: the diff that was captured when it began.
import { useEffect, useState } from "preact/hooks";
import { at } from "../api.ts";
import { parseDiff, type DiffFile } from "../diff.ts";
import { MOST_TEXT_BYTES, textOf } from "../preview.ts";
import type { Run } from "../types.ts";
import { DiffView } from "./diffview.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";

export const PATCH = "code/diff.patch";

/** The digest of the diff: of the artifact that the SDK keeps, or the one that the code's own record names. */
export function diffOf(run: Run): string | null {
  return run.artifacts?.find((artifact) => artifact.path === PATCH)?.digest ?? run.code?.diff_digest ?? null;
}

interface Found {
  files: DiffFile[] | null;
  isCut: boolean;
  error: Error | null;
}

export function SourceChanges({ run }: { run: Run }) {
  const digest = diffOf(run);
  const [found, setFound] = useState<Found>({ files: null, isCut: false, error: null });
  useEffect(() => {
    if (!digest) return undefined;
    const stop = new AbortController();
    const range = { range: `bytes=0-${MOST_TEXT_BYTES - 1}` };
    fetch(at("/api/blobs", digest), { credentials: "same-origin", signal: stop.signal, headers: range })
      .then(async (answer) => {
        if (answer.status === 404) throw new Error("The bytes of the diff are not here; only their digest is on record.");
        if (!answer.ok) throw new Error(`The diff could not be read: the server answered ${answer.status}.`);
        const data = new Uint8Array(await answer.arrayBuffer());
        const isCut = answer.status === 206 && data.length >= MOST_TEXT_BYTES;
        setFound({ files: parseDiff(textOf(data) ?? ""), isCut, error: null });
      })
      .catch((reason: unknown) => {
        if (!stop.signal.aborted)
          setFound({ files: null, isCut: false, error: reason instanceof Error ? reason : new Error(String(reason)) });
      });
    return () => stop.abort();
  }, [digest]);
  if (!digest) return null;
  return (
    <section class="source-changes">
      <h2>Changes since the commit</h2>
      {found.error ? (
        <ErrorNote error={found.error} />
      ) : found.files ? (
        <DiffView files={found.files} isCut={found.isCut} />
      ) : (
        <Skeleton rows={4} />
      )}
    </section>
  );
}
