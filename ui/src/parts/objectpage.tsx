// SPDX-License-Identifier: Apache-2.0
// The frame of every object page: ribbon, header (kind, name, state, owner, age), because line, acts, tabs, timeline.
// Know one, know all. Ribbon, because line, copy forms and timeline come from GET /api/about.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { query, useGet, type ApiError } from "../api.ts";
import { duration, isNumber } from "../format.ts";
import { setTitle } from "../title.ts";
import type { About, LedgerEvent, Maybe, Page, Phrase } from "../types.ts";
import { Because } from "./because.tsx";
import { CopyAs } from "./copyas.tsx";
import { ErrorNote, Guard, Skeleton } from "./notice.tsx";
import { AnyState } from "./pill.tsx";
import { Ribbon } from "./ribbon.tsx";
import { Tabs, type Tab } from "./tabs.tsx";
import { Timeline } from "./timeline.tsx";
import { Person, When } from "./words.tsx";

const BESIDE = /^policy:/; // it governs the loop, and has no place in it

const UNTOLD = /^prediction:/; // telemetry, of which the ledger does not speak

interface Props {
  subject: string;
  kind: string;
  name: ComponentChildren;
  plainName: string;
  state?: Maybe<string>;
  owner?: Maybe<string>;
  made?: Maybe<string>;
  aside?: ComponentChildren;
  acts?: ComponentChildren;
  above?: ComponentChildren;
  loading: boolean;
  error?: ApiError | undefined;
  tabs: Tab[];
  because?: Phrase[] | undefined; // where the ledger cannot tell
  wide?: boolean; // the tabs take the whole width, the timeline stands below
}

export function ObjectPage({
  subject,
  kind,
  name,
  plainName,
  state,
  owner,
  made,
  aside,
  acts,
  above,
  loading,
  error,
  tabs,
  because,
  wide = false,
}: Props) {
  const asked = useGet<About>(query("/api/about", { subject }));
  const about = asked.data;
  const own = useGet<Page<LedgerEvent>>(asked.error ? query("/api/events", { subject, limit: 50 }) : null).data;
  const events = about?.timeline ?? own?.items;
  useEffect(() => setTitle(plainName), [plainName]);
  const shownState = about?.state ?? state;
  const shownOwner = about?.owner ?? owner;
  return (
    <article>
      {!BESIDE.test(subject) && (
        <Guard name="lifecycle ribbon">
          <Ribbon stations={about?.ribbon ?? [{ station: stationOf(kind), name: plainName, here: true, state: state ?? null }]} />
        </Guard>
      )}
      <header class="object-head">
        <div class="object-title">
          <p class="object-kind">{kind}</p>
          <div class="title-row">
            <h1>{name}</h1>
            {(shownState || !loading) && <AnyState state={shownState} />}
          </div>
          <p class="object-meta">
            {shownOwner && (
              <span>
                owner{" "}
                <b>
                  <Person name={shownOwner} />
                </b>
              </span>
            )}
            <Age age={about?.age} made={made ?? about?.since} />
            {aside}
          </p>
        </div>
        <div class="acts">
          {acts}
          <CopyAs forms={about?.copy} />
        </div>
      </header>
      {about ? (
        <Because phrases={about.because?.length ? about.because : because} />
      ) : asked.error ? null : (
        <p class="because quiet" aria-hidden="true">
          &nbsp;
        </p>
      )}
      {error && <ErrorNote error={error} />}
      {!error && above && <Guard name="overview">{above}</Guard>}
      {!(error && loading) && (
        <div class={`object-body${wide ? " object-body-wide" : ""}`}>
          <div class="object-main">{loading ? <Skeleton rows={6} tall /> : <Tabs tabs={tabs} />}</div>
          {!UNTOLD.test(subject) && (
            <aside class="object-side" aria-label="Timeline">
              <h2>Timeline</h2>
              <Guard name="timeline">
                {about || events ? <Timeline events={events} own={subject} /> : <Skeleton rows={4} />}
              </Guard>
            </aside>
          )}
        </div>
      )}
    </article>
  );
}

function Age({ age, made }: { age: Maybe<string | number>; made: Maybe<string> }) {
  if (made)
    return (
      <span>
        made{" "}
        <b>
          <When at={made} />
        </b>
      </span>
    );
  if (isNumber(age))
    return (
      <span>
        age <b>{duration(age)}</b>
      </span>
    );
  if (!age) return null;
  return Number.isNaN(Date.parse(age)) ? (
    <span>
      age <b>{age}</b>
    </span>
  ) : (
    <span>
      made{" "}
      <b>
        <When at={age} />
      </b>
    </span>
  );
}

const STATION: Record<string, string> = {
  dataset: "data",
  snapshot: "data",
  model: "version",
  prediction: "deployment",
  alert: "monitor",
  trigger: "decision",
  schedule: "pipeline",
  backfill: "pipeline",
  "feature view": "data",
};

function stationOf(kind: string): string {
  return STATION[kind.toLowerCase()] ?? kind.toLowerCase();
}
