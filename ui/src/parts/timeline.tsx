// SPDX-License-Identifier: Apache-2.0
// An object's own ledger events, newest first: when, who, what, why, and what caused it.
import { kindWords } from "../format.ts";
import type { LedgerEvent } from "../types.ts";
import { Person, Subject, When } from "./words.tsx";

export function Timeline({ events, own }: { events: LedgerEvent[] | undefined; own?: string }) {
  if (!events?.length) return <p class="quiet">No event about this is in the ledger yet.</p>;
  return (
    <ol class="timeline">
      {events.map((event) => (
        <li key={event.seq}>
          <p class="timeline-head">
            <a href={`/ledger?seq=${event.seq}`} title={`event ${event.seq}`}>
              {kindWords(event.kind)}
            </a>
          </p>
          <p class="quiet">
            <When at={event.at} /> · <Person name={event.actor} />
            {event.subject && event.subject !== own && (
              <>
                {" "}
                · <Subject subject={event.subject} />
              </>
            )}
          </p>
          {event.reason && <p class="timeline-reason">{event.reason}</p>}
          {event.because != null && (
            <p class="quiet">
              because <a href={`/ledger?seq=${event.because}`}>event {event.because}</a>
            </p>
          )}
        </li>
      ))}
    </ol>
  );
}
