// SPDX-License-Identifier: Apache-2.0
// The because line: one sentence from the ledger, each noun a link.
import type { Phrase } from "../types.ts";

export function Because({ phrases }: { phrases: Phrase[] | undefined }) {
  if (!phrases?.length) return <p class="because quiet">The ledger holds no reason for this yet.</p>;
  return (
    <p class="because">
      {phrases.map((phrase, index) =>
        phrase.href ? (
          <a key={index} href={phrase.href}>
            {phrase.text}
          </a>
        ) : (
          <span key={index}>{phrase.text}</span>
        ),
      )}
    </p>
  );
}
