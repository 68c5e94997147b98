// SPDX-License-Identifier: Apache-2.0
// An object's own ledger events, newest first: when, who, what, why, and what caused it.
import { count, kindWords } from "../format.ts";
import type { LedgerEvent } from "../types.ts";
import { Person, Subject, When } from "./words.tsx";

const MOST_ALIKE = 3; // neighbours of one kind that are told one by one

/** Many of one kind in a row, such as windows that are judged day by day, are told as one. */
function folded(events: LedgerEvent[]): { event: LedgerEvent; more: LedgerEvent[] }[] {
  const rows: LedgerEvent[][] = [];
  for (const event of events) {
    const last = rows.at(-1);
    if (last && last[0]?.kind === event.kind) last.push(event);
    else rows.push([event]);
  }
  return rows.flatMap((row) =>
    row.length > MOST_ALIKE
      ? row.slice(0, 1).map((event) => ({ event, more: row.slice(1) }))
      : row.map((event) => ({ event, more: [] })),
  );
}

export function Timeline({ events, own }: { events: LedgerEvent[] | undefined; own?: string }) {
  if (!events?.length) return <p class="quiet">No event about this is in the ledger yet.</p>;
  return (
    <ol class="timeline">
      {folded(events).map(({ event, more }) => (
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
          {more.length > 0 && (
            <p class="quiet">
              and {count(more.length)} more of the kind, since <When at={more.at(-1)?.at} />
            </p>
          )}
        </li>
      ))}
    </ol>
  );
}
