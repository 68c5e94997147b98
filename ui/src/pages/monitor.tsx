// SPDX-License-Identifier: Apache-2.0
// A monitor: every window it judged, quality, drift, and the reviews its owner owes.
import { at, query, useGet } from "../api.ts";
import { count, isNumber } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { DriftHeat, latestText, QualityCharts, WindowTable } from "../parts/windows.tsx";
import { FactList, Subject, Unknown, When } from "../parts/words.tsx";
import type { Alert, Monitor, Page, WindowAnswer } from "../types.ts";
import { Due } from "./monitors.tsx";

export function MonitorPage({ name }: { name: string }) {
  const { data, error } = useGet<Monitor>(at("/api/monitors", name));
  const windows = useGet<Page<WindowAnswer>>(query(at("/api/monitors", name, "windows"), { limit: 1000 }));
  const alerts = (useGet<Page<Alert>>("/api/alerts?limit=1000").data?.items ?? []).filter((alert) => alert.monitor === name);
  const items = windows.data?.items ?? [];
  const judged = (draw: () => preact.ComponentChildren) => (windows.error ? <ErrorNote error={windows.error} /> : windows.data ? draw() : <Skeleton rows={8} tall />);
  return (
    <ObjectPage
      subject={`monitor:${name}`} kind="Monitor" name={name} plainName={`${name} monitor`} state={data?.state} owner={data?.owner} loading={!data} error={error}
      aside={<><span>watches <b><Subject subject={`deployment:${data?.deployment ?? name}`}>{data?.deployment ?? name}</Subject></b></span><span>review due <b><Due at={data?.review_due_at} /></b></span></>}
      acts={
        <>
          <Act label="Judge now" title="Judge every window that has ended" path={at("/api/monitors", name, "judge")} reason="none" cli={`mainstay monitors judge ${name}`} preview={<p>Windows that have ended and are not judged yet, or whose labels have come since, are judged. A window without enough rows says so.</p>} />
          <Act
            label="Record a review" title={`You have looked at ${name}`} tone="primary" path={at("/api/monitors", name, "reviews")} reasonName="note" cli={(values) => `mainstay review ${name} --decision ${values["decision"]} -m "…"`}
            fields={[{ name: "decision", label: "Decision", kind: "choice", choices: ["keep", "retrain", "retire"] }]} preview={<p>Latest: {latestText(items)}. The next review falls due {data?.review ? `${data.review} from now` : "at its cadence"}.</p>}
          />
        </>
      }
      tabs={[
        { id: "windows", label: "Windows", count: items.length || undefined, body: () => judged(() => <WindowTable windows={items} />) },
        { id: "quality", label: "Quality", body: () => judged(() => <QualityCharts windows={items} alerts={alerts} />) },
        { id: "drift", label: "Drift", body: () => judged(() => <DriftHeat monitor={name} windows={items} importance={data?.importance ?? null} />) },
        { id: "setup", label: "How it judges", body: () => data && <Setup monitor={data} /> },
      ]}
    />
  );
}

function Setup({ monitor }: { monitor: Monitor }) {
  const weights = Object.entries(monitor.importance ?? {}).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1e-9, ...weights.map(([, weight]) => weight));
  return (
    <div class="pair">
      <FactList
        facts={[
          ["window", monitor.window ?? <Unknown />], ["review every", monitor.review ?? <Unknown />], ["last review", monitor.last_reviewed_at ? <When at={monitor.last_reviewed_at} /> : <span class="quiet">never</span>],
          ["labels arrive after", monitor.label_delay ?? <span class="quiet">not set</span>], ["slices", monitor.slices?.join(", ") || <span class="quiet">none</span>],
          ["compared with", monitor.baseline?.version ? <><Subject subject={`version:${monitor.baseline.version}`} />'s training rows ({count(monitor.baseline.rows)})</> : <Unknown />],
        ]}
      />
      <section>
        <h2>What the model leans on</h2>
        {!weights.length && <p class="quiet">Not measured.</p>}
        <ul class="tops tops-wide">{weights.map(([name, weight]) => <li key={name}><span>{name}</span><i style={{ width: `${(Math.max(0, weight) / most) * 100}%` }} /><b>{isNumber(weight) ? weight.toFixed(3) : "–"}</b></li>)}</ul>
        {weights.length > 0 && <p class="quiet">AUC lost on the holdout when the column is shuffled.</p>}
      </section>
    </div>
  );
}
