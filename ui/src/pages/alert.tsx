// SPDX-License-Identifier: Apache-2.0
// An alert: what was seen, whose it is, what was done about it, what was decided.
import { at, useGet } from "../api.ts";
import { count, kindWords, plain, releaseId, shortId } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { State } from "../parts/pill.tsx";
import { DriftHeat } from "../parts/drift.tsx";
import { MainChart } from "../parts/windowcharts.tsx";
import { FactList, Person, Subject, Unknown, When } from "../parts/words.tsx";
import type { Alert, Facts, Page, WindowAnswer } from "../types.ts";
import { severityState } from "./alerts.tsx";

const CAUSES = ["drift", "data fault", "model fault", "infrastructure", "season", "no action needed", "other"];

export function AlertPage({ id }: { id: string }) {
  const { data, error } = useGet<Alert>(at("/api/alerts", id));
  const windows =
    useGet<Page<WindowAnswer>>(data?.monitor ? at("/api/monitors", data.monitor, "windows") : null).data?.items ?? [];
  const path = (verb: string) => at("/api/alerts", id, verb);
  const state = data?.state ?? "";
  const changes = (after: string) => <Difference lines={[["this alert", state || "unknown", after]]} />;
  return (
    <ObjectPage
      subject={`alert:${id}`}
      kind="Alert"
      name={data?.title ?? shortId(id)}
      plainName={data?.title ?? "Alert"}
      state={data?.state}
      owner={data?.owner}
      made={data?.opened_at}
      loading={!data}
      error={error}
      aside={
        <>
          <span>
            severity <State state={severityState(data?.severity)} small />
          </span>
          <span>
            seen <b>{count(data?.count)} ×</b>
          </span>
        </>
      }
      acts={
        <>
          {["open", "acknowledged"].includes(state) && (
            <Act
              label="Mute"
              title="Mute this alert until a date"
              path={path("mute")}
              fields={[{ name: "until", label: "Until (YYYY-MM-DD)", kind: "text" }]}
              preview={changes("muted")}
              cli={(values) => `mainstay alerts mute ${id} --until ${values["until"]} -m "…"`}
            />
          )}
          {["open", "acknowledged", "muted"].includes(state) && (
            <Act
              label="Resolve"
              title="Resolve this alert"
              path={path("resolve")}
              fields={[{ name: "cause", label: "Cause", kind: "choice", choices: CAUSES }]}
              preview={changes("resolved")}
              cli={(values) => `mainstay alerts resolve ${id} --cause "${values["cause"]}" -m "…"`}
            />
          )}
          {state === "open" && (
            <Act
              label="Acknowledge"
              title="You have seen it and are on it"
              tone="primary"
              path={path("acknowledge")}
              preview={changes("acknowledged")}
              cli={`mainstay alerts ack ${id} -m "…"`}
            />
          )}
        </>
      }
      above={data?.sentence && <p class="lead">{data.sentence}</p>}
      tabs={[
        {
          id: "evidence",
          label: "Evidence",
          body: () => (
            <div class="stack">
              {windows.length ? <MainChart windows={windows} alerts={data ? [data] : []} sync="alert" /> : null}
              <Links alert={data} />
            </div>
          ),
        },
        ...(windows.some((window) => window.drift)
          ? [{ id: "drift", label: "Drift", body: () => <DriftHeat monitor={data?.monitor ?? ""} windows={windows} /> }]
          : []),
        { id: "history", label: "History", count: data?.history?.length, body: () => <History history={data?.history} /> },
      ]}
    />
  );
}

function Links({ alert }: { alert: Alert | undefined }) {
  if (!alert) return null;
  const decision =
    typeof alert.decision === "string" ? { id: alert.decision, sentence: alert.decision, outcome: undefined } : alert.decision;
  return (
    <FactList
      facts={[
        ["monitor", alert.monitor ? <Subject subject={`monitor:${alert.monitor}`}>{alert.monitor}</Subject> : <Unknown />],
        [
          "deployment",
          alert.deployment ? <Subject subject={`deployment:${alert.deployment}`}>{alert.deployment}</Subject> : <Unknown />,
        ],
        [
          "release",
          alert.release != null ? <Subject subject={`release:${releaseId(alert.release, alert.deployment)}`} /> : <Unknown />,
        ],
        ["version", alert.version ? <Subject subject={`version:${alert.version}`} /> : <Unknown />],
        ["about data until", alert.as_of ? plain(alert.as_of) : <Unknown />],
        ["raised by", alert.because != null ? <a href={`/ledger?seq=${alert.because}`}>event {alert.because}</a> : <Unknown />],
        [
          "decision",
          decision?.id ? (
            <a href={`/decisions/${decision.id}`}>{decision.sentence ?? kindWords(decision.outcome)}</a>
          ) : (
            <span class="quiet">no trigger has been asked because of it yet</span>
          ),
        ],
      ]}
    />
  );
}

function causeOf(entry: Facts): string {
  const body = entry["body"] as Facts | undefined;
  const cause = entry["cause"] ?? body?.["cause"];
  return cause ? plain(cause) : "";
}

function History({ history }: { history: Facts[] | undefined }) {
  if (!history?.length)
    return (
      <Empty title="Nothing has been done about it yet">
        Acknowledging it says who is on it; resolving it says what the cause was.
      </Empty>
    );
  return (
    <ol class="timeline">
      {history.map((entry, index) => (
        <li key={index}>
          <p class="timeline-head">
            {kindWords(String(entry["state"] ?? entry["kind"] ?? "event"))}
            {causeOf(entry) ? ` · ${causeOf(entry)}` : ""}
          </p>
          <p class="quiet">
            <When at={String(entry["at"] ?? "")} /> · <Person name={entry["actor"] ? String(entry["actor"]) : null} />
          </p>
          {entry["reason"] ? <p class="timeline-reason">{plain(entry["reason"])}</p> : null}
        </li>
      ))}
    </ol>
  );
}
