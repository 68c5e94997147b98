// SPDX-License-Identifier: Apache-2.0
// Home answers four questions at first sight: what is live and is it healthy, what changed since I looked, what waits for me,
// what is overdue and whose it is. Uptime and model health stand side by side and are never merged.
import { useEffect, useState } from "preact/hooks";
import { useGet } from "../api.ts";
import { count, day, days, kindWords, plural, share, shortId, splitSubject, subjectHref, worst } from "../format.ts";
import { CopyAs, listForms } from "../parts/copyas.tsx";
import { Icon } from "../parts/icons.tsx";
import { Command, Empty, ErrorNote, Guard, Skeleton } from "../parts/notice.tsx";
import { Sign, State } from "../parts/pill.tsx";
import { Measure, Person, Subject, Unknown, When } from "../parts/words.tsx";
import { recall, remember } from "../remember.ts";
import { setTitle } from "../title.ts";
import type { Health, HomeAnswer, LedgerEvent, LiveItem, Me, Waiting } from "../types.ts";

/** The last event seen on the previous visit; it moves only when the reader leaves, so a reload keeps what is new. */
function useLastLook(newest: number | undefined): number | null {
  const [last] = useState(() => {
    const text = recall("looked");
    return text === null ? null : Number(text);
  });
  useEffect(() => {
    if (newest === undefined) return undefined;
    const leave = () => remember("looked", String(newest));
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("pagehide", leave);
      leave();
    };
  }, [newest]);
  return last;
}

export function Home() {
  const { data, error } = useGet<HomeAnswer>("/api/home");
  const me = useGet<Me>("/api/me").data;
  const changed = data?.changed ?? [];
  const newest = changed.length ? Math.max(...changed.map((event) => event.seq)) : undefined;
  const last = useLastLook(newest);
  useEffect(() => setTitle("Home"), []);
  if (error && !data)
    return (
      <section>
        <h1>Home</h1>
        <ErrorNote error={error} />
      </section>
    );
  if (!data)
    return (
      <section>
        <h1>Home</h1>
        <Skeleton rows={8} tall />
      </section>
    );
  if (data.empty) return <Welcome command={data.empty.command} />;
  return (
    <section>
      <header class="list-head">
        <div>
          <p class="object-kind">Home</p>
          <Headline live={data.live ?? []} waiting={data.waiting ?? []} />
        </div>
        <div class="acts">
          <CopyAs forms={listForms("/api/live", "mainstay live")} />
        </div>
      </header>
      <Guard name="health">
        <div class="home-top">
          <ModelHealth health={data.health?.models} />
          <Uptime gateways={data.health?.uptime?.gateways} />
        </div>
      </Guard>
      <Guard name="live">
        <Live items={data.live ?? []} />
      </Guard>
      <div class="home-grid">
        <Guard name="waiting">
          <WaitingList
            title="Waiting"
            items={data.waiting}
            me={me}
            nothing="Nothing waits for anybody: no approval, no open alert, no review."
          />
        </Guard>
        <Guard name="overdue">
          <WaitingList title="Overdue" items={data.overdue} me={me} late nothing="Nothing is past its date." />
        </Guard>
        <Guard name="changed">
          <Changed events={changed} last={last} />
        </Guard>
      </div>
      <Counts counts={data.counts} />
    </section>
  );
}

function Headline({ live, waiting }: { live: LiveItem[]; waiting: Waiting[] }) {
  const names = [...new Set(live.map((item) => item.deployment ?? "unnamed"))];
  const healthOf = (name: string) =>
    worst(live.filter((item) => item.deployment === name && item.role !== "shadow").map((item) => item.state));
  const by = (health: Health) => names.filter((name) => healthOf(name) === health);
  const state = names.length ? worst(names.map(healthOf)) : "unknown";
  const some = by(state);
  return (
    <h1 class="headline">
      <Sign tone={state} label={state} size={20} />
      <span>
        {!names.length ? (
          "Nothing is live yet."
        ) : state === "alert" ? (
          <>
            <Names names={some} /> {some.length === 1 ? "needs" : "need"} somebody now.
          </>
        ) : state === "watch" ? (
          <>
            <Names names={some} /> {some.length === 1 ? "is" : "are"} worth a look.
          </>
        ) : state === "unknown" ? (
          <>
            Too little is known about <Names names={some} />.
          </>
        ) : names.length === 1 ? (
          <>
            <Names names={some} /> is live and healthy.
          </>
        ) : (
          `All ${names.length} live deployments are healthy.`
        )}
      </span>
      {waiting.length > 0 && (
        <span class="headline-rest">{plural(waiting.length, "thing waits", "things wait")} for somebody.</span>
      )}
    </h1>
  );
}

const MOST_NAMES = 3;

function Names({ names }: { names: string[] }) {
  const shown = names.slice(0, MOST_NAMES);
  const rest = names.length - shown.length;
  return (
    <>
      {shown.map((name, index) => (
        <>
          {index > 0 && (rest === 0 && index === shown.length - 1 ? " and " : ", ")}
          <a href={`/deployments/${name}`}>{name}</a>
        </>
      ))}
      {rest > 0 && ` and ${rest} more`}
    </>
  );
}

const HEALTHS: Health[] = ["ok", "watch", "alert", "unknown"];

function ModelHealth({ health }: { health: Partial<Record<Health, number>> | undefined }) {
  const total = HEALTHS.reduce((sum, state) => sum + (health?.[state] ?? 0), 0);
  return (
    <section class="card" aria-labelledby="model-health">
      <h2 id="model-health">
        Model health <span class="quiet">are the answers good?</span>
      </h2>
      <ul class="tally">
        {HEALTHS.map((state) => (
          <li key={state} class={health?.[state] ? "" : "tally-none"}>
            <b>{health ? count(health[state] ?? 0) : "–"}</b>
            <State state={state} small title={state === "unknown" ? "Not enough data to say" : state} />
          </li>
        ))}
      </ul>
      <div class="tally-bar" aria-hidden="true">
        {HEALTHS.filter((state) => total > 0 && health?.[state]).map((state) => (
          <i key={state} class={`heat-${state}`} style={{ flexGrow: health?.[state] ?? 0 }} />
        ))}
      </div>
    </section>
  );
}

function Uptime({ gateways }: { gateways: { id?: string; reported_at?: string; ok?: boolean | null }[] | undefined }) {
  return (
    <section class="card" aria-labelledby="uptime">
      <h2 id="uptime">
        Uptime <span class="quiet">does it answer?</span>
      </h2>
      {!gateways?.length && (
        <p class="quiet">
          No gateway has reported yet. <code>mainstay up</code> starts one.
        </p>
      )}
      <ul class="plain-list">
        {gateways?.slice(0, 4).map((gateway) => (
          <li key={gateway.id}>
            <State state={gateway.ok === true ? "ok" : gateway.ok === false ? "alert" : "unknown"} small />
            <span title={gateway.id}>
              gateway <b>{shortId(gateway.id)}</b>
            </span>
            <span class="quiet push">
              reported <When at={gateway.reported_at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Live({ items }: { items: LiveItem[] }) {
  if (!items.length) {
    return (
      <section class="card">
        <h2>Live now</h2>
        <Empty title="Nothing is live" command="mainstay release MODEL@VERSION --to DEPLOYMENT">
          A release puts a model version, with its data, configuration and policy, behind a named endpoint.
        </Empty>
      </section>
    );
  }
  return (
    <section class="card card-table" aria-labelledby="live-now">
      <h2 id="live-now">Live now</h2>
      <div class="table-frame">
        <table aria-label="What is live">
          <thead>
            <tr>
              <th scope="col">Deployment</th>
              <th scope="col">Health</th>
              <th scope="col">Release</th>
              <th scope="col" class="roomy">
                Version
              </th>
              <th scope="col">Role</th>
              <th scope="col">Measured [95 %]</th>
              <th scope="col" class="right rare">
                Model age
              </th>
              <th scope="col" class="rare">
                Approved by
              </th>
              <th scope="col" class="rare">
                Owner
              </th>
              <th scope="col">Loaded</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item, index) => (
              <LiveRow key={`${item.deployment}${item.release}${index}`} item={item} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function LiveRow({ item }: { item: LiveItem }) {
  const href = item.deployment ? `/deployments/${item.deployment}` : null;
  return (
    <tr>
      <td>
        {href ? (
          <a class="row-name" href={href}>
            {item.deployment}
          </a>
        ) : (
          <Unknown />
        )}
        <span class="cell-sub">{item.environment}</span>
      </td>
      <td>
        <State state={item.state} small />
      </td>
      <td>{item.release ? <Subject subject={`release:${item.release}`} /> : <Unknown />}</td>
      <td class="roomy">{item.version ? <Subject subject={`version:${item.version}`} /> : <Unknown />}</td>
      <td>
        {item.role ?? "–"}
        <span class="cell-sub">{share(item.share)} of traffic</span>
      </td>
      <td>
        <Measure of={item.performance} />
        {item.performance?.as_of && (
          <span class="cell-sub">
            {FIGURES[item.performance.name ?? ""] ?? item.performance.name}, labels until {day(item.performance.as_of)}
          </span>
        )}
      </td>
      <td class="right rare">{days(item.age_days)}</td>
      <td class="rare">
        {item.approved_by?.length ? (
          <Person name={item.approved_by} />
        ) : (
          <Unknown why="No approval is on record for this release" />
        )}
      </td>
      <td class="rare">
        <Person name={item.owner} />
      </td>
      <td>
        <LoadedCell item={item} />
      </td>
    </tr>
  );
}

const FIGURES: Record<string, string> = { auc: "AUC", accuracy: "accuracy", mae: "mean absolute error" };

function LoadedCell({ item }: { item: LiveItem }) {
  const reports = item.loaded ?? [];
  if (!reports.length)
    return (
      <span class="tone-unknown nowrap">
        <Icon name="unknown" size={12} /> no report
      </span>
    );
  const right = reports.filter((report) => report.matches).length;
  const agrees = item.agrees ?? right === reports.length;
  const title = reports
    .map(
      (report) =>
        `${shortId(report.gateway)}: ${report.digest?.slice(0, 12) ?? "no digest"} ${report.matches ? "as released" : "not what was released"}`,
    )
    .join("\n");
  return (
    <span class={`nowrap tone-${agrees ? "ok" : "alert"}`} title={title}>
      <Icon name={agrees ? "ok" : "alert"} size={12} /> {right} of {reports.length} as released
    </span>
  );
}

/** Mine, or an approval that I may give: its owner is told in words that name those who may not. */
function isMine(item: Waiting, me: Me | undefined): boolean {
  const name = splitSubject(me?.actor).name;
  if (!name || !item.owner) return false;
  if (splitSubject(item.owner).name === name) return true;
  const mayApprove = me?.roles?.some((role) => role === "approver" || role === "admin") ?? false;
  return (
    item.what === "approval" &&
    item.owner.includes(" ") &&
    mayApprove &&
    !new RegExp(`\\b${name.replace(/[^\w]/g, "\\$&")}\\b`).test(item.owner)
  );
}

function WaitingList({
  title,
  items,
  me,
  nothing,
  late = false,
}: {
  title: string;
  items: Waiting[] | undefined;
  me: Me | undefined;
  nothing: string;
  late?: boolean;
}) {
  const sorted = [...(items ?? [])].sort((a, b) => Number(isMine(b, me)) - Number(isMine(a, me)));
  const yours = sorted.filter((item) => isMine(item, me)).length;
  return (
    <section class="card" aria-label={title}>
      <h2>
        {title}{" "}
        {sorted.length > 0 && (
          <span class="tab-count">
            {sorted.length}
            {yours > 0 && `, ${yours} yours`}
          </span>
        )}
      </h2>
      {!sorted.length && <p class="quiet">{nothing}</p>}
      <ul class="wait-list">
        {sorted.slice(0, 8).map((item) => (
          <li key={`${item.what}${item.subject}`}>
            <a href={item.href ?? subjectHref(item.subject) ?? "#"}>{item.title ?? item.subject}</a>
            <p class="quiet">
              {item.what} · {late ? "due" : "since"} <When at={item.since} /> ·{" "}
              {isMine(item, me) ? (
                <b>yours</b>
              ) : (
                <>
                  for <Person name={item.owner} />
                </>
              )}
            </p>
          </li>
        ))}
      </ul>
      {sorted.length > 8 && <p class="quiet">and {sorted.length - 8} more</p>}
    </section>
  );
}

function Changed({ events, last }: { events: LedgerEvent[]; last: number | null }) {
  const fresh = events.filter((event) => last === null || event.seq > last);
  const shown = (fresh.length ? fresh : events).slice(0, 9);
  return (
    <section class="card" aria-labelledby="changed">
      <h2 id="changed">
        {fresh.length || !events.length ? "Changed since you looked" : "Nothing changed since you looked"}{" "}
        {fresh.length > 0 && <span class="tab-count">{fresh.length}</span>}
      </h2>
      {!events.length && <p class="quiet">Nothing has changed.</p>}
      {!fresh.length && events.length > 0 && <p class="quiet">The last events before that:</p>}
      <ul class="change-list">
        {shown.map((event) => (
          <li key={event.seq}>
            <a href={`/ledger?seq=${event.seq}`} class="change-kind">
              {kindWords(event.kind)}
            </a>
            <span class="change-what">
              <Subject subject={event.subject} />
            </span>
            <span class="quiet push nowrap">
              <Person name={event.actor} /> · <When at={event.at} />
            </span>
          </li>
        ))}
      </ul>
      <p>
        <a href="/ledger">The whole ledger</a>
      </p>
    </section>
  );
}

function Counts({ counts }: { counts: Record<string, number> | undefined }) {
  const places: Record<string, string> = {
    datasets: "/datasets",
    runs: "/runs",
    models: "/models",
    versions: "/models",
    deployments: "/deployments",
    predictions: "/predictions",
    events: "/ledger",
  };
  return (
    <p class="counts">
      {Object.entries(counts ?? {}).map(([name, n]) =>
        places[name] ? (
          <a key={name} href={places[name]}>
            <b>{count(n)}</b> {n === 1 ? name.replace(/s$/, "") : name}
          </a>
        ) : (
          <span key={name} class="quiet">
            <b>{count(n)}</b> {n === 1 ? name.replace(/s$/, "") : name}
          </span>
        ),
      )}
    </p>
  );
}

const LOOP = ["data", "pipeline", "run", "version", "release", "deployment", "monitor", "decision"];

function Welcome({ command }: { command: string | undefined }) {
  return (
    <section class="welcome">
      <h1>Nothing is here yet.</h1>
      <p>
        Mainstay keeps one record of a model's whole life, and closes the loop: what it learned from, who released it, what it
        answers, when it should learn again.
      </p>
      <ol class="welcome-loop">
        {LOOP.map((name) => (
          <li key={name}>{name}</li>
        ))}
        <li>
          <Icon name="loop" />
        </li>
      </ol>
      <p>A year of real flights, from the first snapshot to the last decision, in under a minute:</p>
      <Command text={command ?? "mainstay demo"} />
    </section>
  );
}
