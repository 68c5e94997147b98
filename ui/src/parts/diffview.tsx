// SPDX-License-Identifier: Apache-2.0
// A diff, file by file, with line numbers on both sides; signs as well as colours tell what went and what came.
import { plural } from "../format.ts";
import type { DiffFile } from "../diff.ts";

const SIGNS = { same: " ", added: "+", removed: "−", place: "" };

export function DiffView({ files, isCut = false }: { files: DiffFile[]; isCut?: boolean }) {
  if (!files.length) return <p class="quiet">Nothing differs.</p>;
  return (
    <div class="diffs">
      <p class="quiet">
        {plural(files.length, "file")}, {plural(sum(files, "added"), "line")} added, {plural(sum(files, "removed"), "line")}{" "}
        removed
        {isCut && " in the part that was read; the file goes on"}
      </p>
      {files.map((file, index) => (
        <details key={index} class="diff" open={files.length < 20}>
          <summary>
            <code>{file.name}</code> <span class="tone-ok">+{file.added}</span> <span class="tone-alert">−{file.removed}</span>
          </summary>
          <div class="diff-frame" tabIndex={0}>
            <table aria-label={`Changes of ${file.name}`}>
              <tbody>
                {file.lines.map((line, place) => (
                  <tr key={place} class={`diff-${line.kind}`}>
                    <td class="diff-number">{line.before ?? ""}</td>
                    <td class="diff-number">{line.after ?? ""}</td>
                    <td class="diff-sign">{SIGNS[line.kind]}</td>
                    <td class="diff-text">{line.kind === "place" ? `… ${line.text}` : line.text}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      ))}
    </div>
  );
}

function sum(files: DiffFile[], side: "added" | "removed"): number {
  return files.reduce((total, file) => total + file[side], 0);
}
