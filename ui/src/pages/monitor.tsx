// SPDX-License-Identifier: Apache-2.0
// A monitor: every window it judged, quality, drift, and the reviews its owner owes.
import { at, useGet } from "../api.ts";
import { count, decimal, isNumber, percent } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { DriftHeat } from "../parts/drift.tsx";
import { QualityCharts } from "../parts/windowcharts.tsx";
import { WindowTable } from "../parts/windowtable.tsx";
import { Weights } from "../parts/weights.tsx";
import { FactList, Person, Subject, Unknown, When } from "../parts/words.tsx";
import { latestText } from "../windows.ts";
import type { Alert, Monitor, Page, Review, WindowAnswer } from "../types.ts";
import { Due } from "./monitors.tsx";

export function MonitorPage({ name }: { name: string }) {
  const { data, error } = useGet<Monitor>(at("/api/monitors", name));
  const windows = useGet<Page<WindowAnswer>>(at("/api/monitors", name, "windows"));
  const alerts = (useGet<Page<Alert>>("/api/alerts?limit=1000").data?.items ?? []).filter((alert) => alert.monitor === name);
  const items = windows.data?.items ?? [];
  const judged = (draw: () => preact.ComponentChildren) =>
    windows.error ? <ErrorNote error={windows.error} /> : windows.data ? draw() : <Skeleton rows={8} tall />;
  return (
    <ObjectPage
      subject={`monitor:${name}`}
      kind="Monitor"
      name={name}
      plainName={`${name} monitor`}
      state={data?.state}
      owner={data?.owner}
      loading={!data}
      error={error}
      aside={
        <>
          <span>
            watches{" "}
            <b>
              <Subject subject={`deployment:${data?.deployment ?? name}`}>{data?.deployment ?? name}</Subject>
            </b>
          </span>
          <span>
            review due{" "}
            <b>
              <Due at={data?.review_due_at} />
            </b>
          </span>
        </>
      }
      acts={
        <>
          <Act
            label="Judge now"
            title="Judge every window that has ended"
            path={at("/api/monitors", name, "judge")}
            reason="none"
            cli={`mainstay monitors judge ${name}`}
            preview={
              <p>
                Windows that have ended and are not judged yet, or whose labels have come since, are judged. A window without
                enough rows says so.
              </p>
            }
          />
          <Act
            label="Record a review"
            title={`You have looked at ${name}`}
            tone="primary"
            path={at("/api/monitors", name, "reviews")}
            reasonName="note"
            cli={(values) => `mainstay monitors review ${name} --decision ${values["decision"]} -m "…"`}
            fields={[{ name: "decision", label: "Decision", kind: "choice", choices: ["keep", "retrain", "retire"] }]}
            preview={
              <p>
                Latest: {latestText(items)}. The next review falls due{" "}
                {data?.review ? `${data.review} from now` : "at its cadence"}.
              </p>
            }
          />
        </>
      }
      tabs={[
        {
          id: "windows",
          label: "Windows",
          count: items.length || undefined,
          body: () => judged(() => <WindowTable windows={items} />),
        },
        { id: "quality", label: "Quality", body: () => judged(() => <QualityCharts windows={items} alerts={alerts} />) },
        {
          id: "drift",
          label: "Drift",
          body: () => judged(() => <DriftHeat monitor={name} windows={items} importance={data?.importance ?? null} />),
        },
        {
          id: "reviews",
          label: "Reviews",
          count: data?.reviews?.length,
          body: () => <Reviews reviews={data?.reviews} name={name} />,
        },
        { id: "setup", label: "How it judges", body: () => data && <Setup monitor={data} /> },
      ]}
    />
  );
}

function Reviews({ reviews, name }: { reviews: Review[] | undefined; name: string }) {
  if (!reviews?.length)
    return (
      <Empty title="Nobody has looked at it yet" command={`mainstay monitors review ${name} --decision keep -m "…"`}>
        A monitor that nobody checks is not monitoring: its owner looks at a cadence, and says so.
      </Empty>
    );
  return (
    <ul class="approvals">
      {reviews.map((review, index) => (
        <li key={review.id ?? index} class="panel">
          <p>
            <b>
              <Person name={review.actor} />
            </b>{" "}
            looked <When at={review.at} />: <b>{review.decision ?? "unknown"}</b>
          </p>
          {review.note && <blockquote>{review.note}</blockquote>}
        </li>
      ))}
    </ul>
  );
}

function Setup({ monitor }: { monitor: Monitor }) {
  const weights = Object.entries(monitor.importance ?? {});
  return (
    <div class="pair">
      <FactList
        facts={[
          ["window", monitor.window ?? <Unknown />],
          ["review every", monitor.review ?? <Unknown />],
          ["last review", monitor.last_reviewed_at ? <When at={monitor.last_reviewed_at} /> : <span class="quiet">never</span>],
          ["labels waited for", monitor.label_coverage !== undefined ? percent(monitor.label_coverage) : <Unknown />],
          ["may be off its evaluation by", `${decimal(monitor.tolerance)} (AUC, accuracy), ${percent(monitor.tolerance)} of an error`],
          ["errors allowed", percent(monitor.error_limit)],
          [
            "latency allowed",
            isNumber(monitor.latency_limit_ms) ? `${monitor.latency_limit_ms} ms` : <span class="quiet">no limit set</span>,
          ],
          ["labels arrive after", monitor.label_delay ?? <span class="quiet">not set</span>],
          ["slices", monitor.slices?.join(", ") || <span class="quiet">none</span>],
          [
            "compared with",
            monitor.baseline?.version ? (
              <>
                <Subject subject={`version:${monitor.baseline.version}`} />
                's evaluation rows ({count(monitor.baseline.rows)})
              </>
            ) : (
              <Unknown />
            ),
          ],
        ]}
      />
      <section>
        <h2>What the model leans on</h2>
        {!weights.length && <p class="quiet">Not measured.</p>}
        <Weights weights={weights} shares />
        {weights.length > 0 && <p class="quiet">Each column's share of the importance that the training run measured.</p>}
      </section>
    </div>
  );
}
