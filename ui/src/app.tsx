// SPDX-License-Identifier: Apache-2.0
// The shell: the rail in the order of the loop, the palette, and which page an address means. Pages other than Home are
// fetched when they are first opened.
import { useEffect, useState } from "preact/hooks";
import type { ComponentType } from "preact";
import { Guard, ErrorNote, Skeleton } from "./parts/notice.tsx";
import { Palette } from "./parts/palette.tsx";
import { Rail } from "./parts/rail.tsx";
import { match, usePlace } from "./router.ts";
import { Home } from "./pages/home.tsx";
import { Missing } from "./pages/missing.tsx";

export type Params = Record<string, string>;
// A page takes exactly the parameters that its own pattern names
type AnyPage = ComponentType<any>;

const ROUTES: [string, () => Promise<AnyPage>][] = [
  ["/datasets", () => import("./pages/datasets.tsx").then((file) => file.Datasets)],
  ["/datasets/:name", () => import("./pages/dataset.tsx").then((file) => file.DatasetPage)],
  ["/snapshots/:id", () => import("./pages/snapshot.tsx").then((file) => file.SnapshotPage)],
  ["/snapshots/:before/diff/:after", () => import("./pages/snapshotdiff.tsx").then((file) => file.SnapshotDiffPage)],
  ["/pipelines", () => import("./pages/pipelines.tsx").then((file) => file.Pipelines)],
  ["/pipelines/:name", () => import("./pages/pipelines.tsx").then((file) => file.PipelinePage)],
  ["/schedules", () => import("./pages/schedules.tsx").then((file) => file.Schedules)],
  ["/schedules/:name", () => import("./pages/schedules.tsx").then((file) => file.SchedulePage)],
  ["/backfills", () => import("./pages/backfills.tsx").then((file) => file.Backfills)],
  ["/backfills/:id", () => import("./pages/backfills.tsx").then((file) => file.BackfillPage)],
  ["/jobs", () => import("./pages/jobs.tsx").then((file) => file.JobsPage)],
  ["/features", () => import("./pages/features.tsx").then((file) => file.Features)],
  ["/features/:name", () => import("./pages/features.tsx").then((file) => file.FeaturePage)],
  ["/runs", () => import("./pages/runs.tsx").then((file) => file.Runs)],
  ["/runs/:id", () => import("./pages/run.tsx").then((file) => file.RunPage)],
  ["/experiments", () => import("./pages/experiments.tsx").then((file) => file.Experiments)],
  ["/compare", () => import("./pages/compare.tsx").then((file) => file.Compare)],
  ["/traces", () => import("./pages/traces.tsx").then((file) => file.Traces)],
  ["/traces/:id", () => import("./pages/trace.tsx").then((file) => file.TracePage)],
  ["/models", () => import("./pages/models.tsx").then((file) => file.Models)],
  ["/models/:name", () => import("./pages/model.tsx").then((file) => file.ModelPage)],
  ["/models/:name/:number", () => import("./pages/version.tsx").then((file) => file.VersionPage)],
  ["/releases", () => import("./pages/releases.tsx").then((file) => file.Releases)],
  ["/releases/:deployment/:number", () => import("./pages/release.tsx").then((file) => file.ReleasePage)],
  ["/deployments", () => import("./pages/deployments.tsx").then((file) => file.Deployments)],
  ["/deployments/:name", () => import("./pages/deployment.tsx").then((file) => file.DeploymentPage)],
  ["/monitors", () => import("./pages/monitors.tsx").then((file) => file.Monitors)],
  ["/monitors/:name", () => import("./pages/monitor.tsx").then((file) => file.MonitorPage)],
  ["/alerts", () => import("./pages/alerts.tsx").then((file) => file.Alerts)],
  ["/alerts/:id", () => import("./pages/alert.tsx").then((file) => file.AlertPage)],
  ["/decisions", () => import("./pages/decisions.tsx").then((file) => file.Decisions)],
  ["/decisions/:id", () => import("./pages/decision.tsx").then((file) => file.DecisionPage)],
  ["/triggers", () => import("./pages/triggers.tsx").then((file) => file.Triggers)],
  ["/triggers/:name", () => import("./pages/triggers.tsx").then((file) => file.TriggerPage)],
  ["/predictions", () => import("./pages/predictions.tsx").then((file) => file.Predictions)],
  ["/predictions/:id", () => import("./pages/prediction.tsx").then((file) => file.PredictionPage)],
  ["/ledger", () => import("./pages/ledger.tsx").then((file) => file.Ledger)],
  ["/people", () => import("./pages/people.tsx").then((file) => file.People)],
  ["/policies", () => import("./pages/policies.tsx").then((file) => file.Policies)],
  ["/policies/:name", () => import("./pages/policies.tsx").then((file) => file.PolicyPage)],
];

const loaded = new Map<string, AnyPage>();

function Lazy({ pattern, load, params }: { pattern: string; load: () => Promise<AnyPage>; params: Params }) {
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState<Error | null>(null);
  useEffect(() => {
    if (loaded.has(pattern)) return;
    Promise.all([load(), import("./inner.ts")]).then(
      ([page]) => {
        loaded.set(pattern, page);
        redraw((n) => n + 1);
      },
      (reason: unknown) =>
        setFailed(
          new Error(`This part of the page could not be fetched; reloading the tab fetches the current one. (${String(reason)})`),
        ),
    );
  }, [pattern]);
  const Page = loaded.get(pattern);
  if (failed) return <ErrorNote error={failed} />;
  return Page ? <Page key={JSON.stringify(params)} {...params} /> : <Skeleton rows={8} tall />;
}

function Routed({ path }: { path: string }) {
  if (path === "/") return <Home />;
  for (const [pattern, load] of ROUTES) {
    const params = match(pattern, path);
    if (params) return <Lazy key={pattern} pattern={pattern} load={load} params={params} />;
  }
  return <Missing path={path} />;
}

export function App() {
  const { path } = usePlace();
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Rail path={path} />
      <main id="main" tabIndex={-1}>
        <Guard name={path}>
          <Routed path={path} />
        </Guard>
      </main>
      <Palette />
    </>
  );
}
