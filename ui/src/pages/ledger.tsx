// SPDX-License-Identifier: Apache-2.0
// The ledger: every change of state, chained; filtered by kind, actor and subject. The chain can be verified from here.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, at, get, query, useGet, useStream } from "../api.ts";
import { count, plural, shortId } from "../format.ts";
import { Icon } from "../parts/icons.tsx";
import { ListPage } from "../parts/listpage.tsx";
import { Empty, ErrorNote } from "../parts/notice.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Id, Person, Subject, Unknown, Value, When } from "../parts/words.tsx";
import { setParams, useParam } from "../router.ts";
import type { LedgerEvent, Page, Verified } from "../types.ts";

export const GOVERNANCE: [string, string][] = [
  ["/ledger", "Ledger"],
  ["/people", "People"],
  ["/policies", "Policies"],
];

const COLUMNS: Column<LedgerEvent>[] = [
  { key: "seq", label: "Event", value: (event) => event.seq },
  { key: "kind", label: "Kind", value: (event) => event.kind, cell: (event) => <code>{event.kind}</code> },
  { key: "subject", label: "Subject", value: (event) => event.subject, cell: (event) => <Subject subject={event.subject} /> },
  { key: "actor", roomy: true, label: "Actor", value: (event) => event.actor, cell: (event) => <Person name={event.actor} /> },
  { key: "reason", label: "Reason", value: (event) => event.reason, wide: true },
  {
    key: "because",
    roomy: true,
    label: "Because",
    value: (event) => event.because,
    cell: (event) =>
      event.because != null ? <a href={`/ledger?seq=${event.because}`}>event {event.because}</a> : <span class="quiet">–</span>,
  },
  {
    key: "hash",
    label: "Hash",
    value: (event) => event.hash,
    cell: (event) => <code class="quiet">{shortId(event.hash)}</code>,
    hidden: true,
  },
  { key: "at", label: "At", value: (event) => event.at, cell: (event) => <When at={event.at} /> },
];

const PAGE = 200;

export function Ledger() {
  const [kind, setKind] = useParam("kind");
  const [actor, setActor] = useParam("actor");
  const [subject, setSubject] = useParam("subject");
  const [seq] = useParam("seq");
  const base = { kind, actor, subject, limit: PAGE };
  const path = query("/api/events", base);
  const { data, error } = useGet<Page<LedgerEvent>>(path);
  const [older, setOlder] = useState<LedgerEvent[]>([]);
  const [done, setDone] = useState(false);
  const [trouble, setTrouble] = useState<ApiError | null>(null);
  useEffect(() => {
    setOlder([]);
    setDone(false);
  }, [path]);
  const events = merge(data?.items ?? [], older);
  const filtered = Boolean(kind || actor || subject);
  const more = async () => {
    const oldest = events.at(-1)?.seq;
    if (oldest === undefined) return;
    try {
      const page = await get<Page<LedgerEvent>>(query("/api/events", { ...base, before: oldest }));
      setOlder(merge(older, page.items));
      setDone(page.items.length < PAGE);
    } catch (reason) {
      setTrouble(reason instanceof ApiError ? reason : new ApiError(0, "error", String(reason)));
    }
  };
  const hasMore = !done && events.length >= PAGE && (events.at(-1)?.seq ?? 1) > 1;
  return (
    <ListPage
      title="Ledger"
      about="Every change of state, with who, why and because of what; each event seals the one before."
      path={path}
      cli={`mainstay audit verify`}
      places={GOVERNANCE}
      error={error}
      loading={!data}
      empty={!events.length && !filtered}
      acts={<Verify />}
      nothing={
        <Empty title="Nothing has happened yet" command="mainstay demo">
          Whatever changes state is recorded here, in the same transaction as the change.
        </Empty>
      }
    >
      {seq && <OneEvent seq={Number(seq)} known={events.find((event) => event.seq === Number(seq))} />}
      <div class="filters">
        <FilterField
          label="Kind"
          value={kind}
          set={setKind}
          hint="alert.opened"
          options={[...new Set(events.map((event) => event.kind ?? ""))]}
        />
        <FilterField
          label="Actor"
          value={actor}
          set={setActor}
          hint="ana"
          options={[...new Set(events.map((event) => event.actor ?? ""))]}
        />
        <FilterField label="Subject" value={subject} set={setSubject} hint="release:flights#2" options={[]} />
        {filtered && (
          <button type="button" class="button button-small" onClick={() => setParams({ kind: "", actor: "", subject: "" })}>
            Show all
          </button>
        )}
      </div>
      <Table
        name=""
        label="events"
        rows={events}
        columns={COLUMNS}
        href={(event) => ledgerHref(event.seq, { kind, actor, subject })}
      />
      {trouble && <ErrorNote error={trouble} />}
      {hasMore && (
        <p>
          <button type="button" class="button" onClick={more}>
            Older events
          </button>
        </p>
      )}
    </ListPage>
  );
}

function ledgerHref(seq: number, filter: Record<string, string>): string {
  return query("/ledger", { ...filter, seq });
}

function merge(a: LedgerEvent[], b: LedgerEvent[]): LedgerEvent[] {
  const bySeq = new Map([...a, ...b].map((event) => [event.seq, event]));
  return [...bySeq.values()].sort((one, other) => other.seq - one.seq);
}

/** The server filters, so the question is asked when the field is left or Enter is pressed, not at each letter. */
function FilterField({
  label,
  value,
  set,
  hint,
  options,
}: {
  label: string;
  value: string;
  set: (value: string) => void;
  hint: string;
  options: string[];
}) {
  const id = `known-${label.toLowerCase()}`;
  return (
    <label class="field field-inline">
      <span>{label}</span>
      <input
        type="search"
        value={value}
        placeholder={hint}
        list={id}
        onChange={(event) => set(event.currentTarget.value.trim())}
        spellcheck={false}
      />
      <datalist id={id}>
        {options.filter(Boolean).map((option) => (
          <option key={option} value={option} />
        ))}
      </datalist>
    </label>
  );
}

function OneEvent({ seq, known }: { seq: number; known: LedgerEvent | undefined }) {
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [seq]);
  const asked = useGet<LedgerEvent | null>(known || !Number.isSafeInteger(seq) ? null : at("/api/events", seq));
  const event = known ?? asked.data;
  if (!event)
    return asked.error ? (
      <ErrorNote error={asked.error} />
    ) : asked.data === null ? (
      <p class="quiet">There is no event {seq}.</p>
    ) : null;
  const body = Object.entries(event.body ?? {});
  return (
    <section class="panel" ref={place} aria-label={`Event ${seq}`}>
      <header class="panel-head">
        <h2 class="minor">
          Event {seq}: <code>{event.kind}</code>
        </h2>
        <span class="quiet">
          <When at={event.at} /> · <Person name={event.actor} />
        </span>
        <button type="button" class="button button-small push" onClick={() => setParams({ seq: "" })}>
          Close
        </button>
      </header>
      {event.reason && <blockquote>{event.reason}</blockquote>}
      <FactList
        facts={[
          ["subject", <Subject subject={event.subject} />],
          [
            "because",
            event.because != null ? (
              <a href={`/ledger?seq=${event.because}`}>event {event.because}</a>
            ) : (
              <span class="quiet">nothing earlier</span>
            ),
          ],
          ...body.map(([name, value]): [string, preact.ComponentChildren] => [name, <Value value={value} />]),
          ["hash", event.hash ? <Id id={event.hash} label="hash" /> : <Unknown />],
          ["seals", event.prev ? <Id id={event.prev} label="previous hash" /> : <Unknown />],
        ]}
      />
    </section>
  );
}

function Verify() {
  const [asked, setAsked] = useState(false);
  const [answer, setAnswer] = useState<Verified | null>(null);
  const [trouble, setTrouble] = useState<ApiError | null>(null);
  const { last } = useStream();
  const ask = async () => {
    setAsked(true);
    setTrouble(null);
    try {
      setAnswer(await get<Verified>("/api/audit/verify"));
    } catch (reason) {
      setTrouble(reason instanceof ApiError ? reason : new ApiError(0, "error", String(reason)));
    } finally {
      setAsked(false);
    }
  };
  const newer = answer?.head?.seq !== undefined && last && last.seq > answer.head.seq ? last.seq - answer.head.seq : 0;
  return (
    <>
      <span class="verify-state" role="status">
        {trouble && (
          <span class="tone-alert">
            <Icon name="alert" size={14} /> {trouble.message}
          </span>
        )}
        {answer && !trouble && (
          <span class={answer.ok ? "tone-ok" : "tone-alert"} title={answer.head?.hash}>
            <Icon name={answer.ok ? "ok" : "alert"} size={14} />{" "}
            {answer.ok
              ? `chain whole, ${count(answer.events)} events`
              : `chain broken: ${plural(answer.problems?.length ?? 0, "problem")}`}
            {newer > 0 && <span class="quiet"> ({newer} newer)</span>}
          </span>
        )}
      </span>
      <button type="button" class="button" onClick={ask} disabled={asked}>
        {asked ? "Verifying …" : "Verify the chain"}
      </button>
    </>
  );
}
