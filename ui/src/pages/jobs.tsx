// SPDX-License-Identifier: Apache-2.0
// Jobs: work for workers. What waits and what is under way, with how far it is; below, all of them.
import { query } from "../api.ts";
import { Empty } from "../parts/notice.tsx";
import { aboutOf, Asker, isOpen, jobHref, JobNotes, useJobs, workName } from "../parts/jobs.tsx";
import { ListPage } from "../parts/listpage.tsx";
import { Word } from "../parts/pill.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { Subject, When } from "../parts/words.tsx";
import type { Job } from "../types.ts";
import { PLACES } from "./pipelines.tsx";

const MOST = 200; // they are asked for again and again while one is open

const COLUMNS: Column<Job>[] = [
  { key: "kind", label: "Job", value: (job) => workName(job.kind) },
  { key: "state", label: "State", value: (job) => job.state, cell: (job) => <Word word={job.state} /> },
  {
    key: "about",
    label: "About",
    value: aboutOf,
    cell: (job) => (aboutOf(job) ? <Subject subject={aboutOf(job)} /> : "–"),
    wide: true,
  },
  { key: "asked", label: "Asked", value: (job) => job.created_at, cell: (job) => <When at={job.created_at} /> },
  { key: "by", label: "By", value: (job) => job.created_by, cell: (job) => <Asker job={job} />, wide: true },
  { key: "worker", roomy: true, label: "Worker", value: (job) => job.worker ?? "–" },
  {
    key: "ended",
    roomy: true,
    label: "Ended",
    value: (job) => job.finished_at,
    cell: (job) => (job.finished_at ? <When at={job.finished_at} /> : "–"),
  },
  { key: "error", label: "What went wrong", value: (job) => job.error, cell: (job) => job.error ?? "–", wide: true },
];

export function JobsPage() {
  const { jobs, error } = useJobs(query("/api/jobs", { limit: MOST }));
  return (
    <ListPage
      title="Jobs"
      about="Work that somebody, a schedule, a backfill or a trigger asked for, and that a worker carries out."
      path="/api/jobs"
      cli="mainstay jobs list"
      places={PLACES}
      error={error}
      loading={!jobs}
      empty={!jobs?.length}
      nothing={
        <Empty title="No job yet" command="mainstay up">
          “Run”, “Plan” and “Reproduce” on these pages make one, and so do schedules, triggers and releases.
        </Empty>
      }
    >
      <JobNotes open={(jobs ?? []).filter(isOpen)} isApart />
      <Table name="" label="jobs" rows={jobs ?? []} columns={COLUMNS} href={jobHref} />
    </ListPage>
  );
}
