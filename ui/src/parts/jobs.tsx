// SPDX-License-Identifier: Apache-2.0
// Jobs where they were asked for: what each waits for, who has it and how far it is, how it ended. A job moves without events
// in the ledger, so it is looked at again while it is open.
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { absolute, count, isNumber, moment, plain, plural, subjectHref } from "../format.ts";
import type { Job, JobProgress, Maybe } from "../types.ts";
import { Act } from "./act.tsx";
import { Command, ErrorNote } from "./notice.tsx";
import { Sign } from "./pill.tsx";
import { Person, Subject, When } from "./words.tsx";

const LOOK_MS = 1000;
const FRESH_MS = 3_600_000; // for so long a failure is news
const PATIENCE_MS = 8000; // a worker that is called needs some seconds to begin

const WORK: Record<string, string> = {
  run_pipeline: "Run",
  plan: "Plan",
  reproduce: "Reproduction",
  judge_release: "Judging",
};

export function workName(kind: string): string {
  return WORK[kind] ?? kind;
}

export function isOpen(job: Job): boolean {
  return job.state === "queued" || job.state === "leased";
}

/** The jobs that a path lists, newest first; asked for again as long as one of them is open. */
export function useJobs(path: string | null): { jobs: Job[] | undefined; error: Error | undefined } {
  const { data, error } = useGet<{ items: Job[] }>(path);
  useGet(path, data?.items.some(isOpen) ? LOOK_MS : 0);
  return { jobs: data?.items, error };
}

export function jobsOf(subject: string): string {
  return query("/api/jobs", { subject, limit: 20 });
}

const MOST_OPEN = 6;
const MOST_ENDED = 3;

/** What is asked for about a subject: what is open, what ended while somebody looked, and the newest of a kind if it has just
 * failed. `by`: only what is open, and only if that asked for it; a page of its own tells what came of it. */
export function Jobs({ subject, by }: { subject: string; by?: string }) {
  const seen = useRef(new Set<string>());
  const jobs = (useJobs(jobsOf(subject)).jobs ?? []).filter((job) => !by || job.created_by === by);
  for (const job of jobs) if (isOpen(job)) seen.current.add(job.id);
  const newest = new Map<string, string>();
  for (const job of jobs) if (!newest.has(job.kind)) newest.set(job.kind, job.id);
  const isNews = (job: Job) =>
    job.state === "failed" && newest.get(job.kind) === job.id && Date.now() - moment(job.finished_at) < FRESH_MS;
  const open = jobs.filter(isOpen);
  const ended = by ? [] : jobs.filter((job) => !isOpen(job) && (seen.current.has(job.id) || isNews(job))).slice(0, MOST_ENDED);
  return <JobNotes open={open} ended={ended} />;
}

/** Those that are open, the next to be ended first. `isApart`: away from what they are about. */
export function JobNotes({ open, ended = [], isApart = false }: { open: Job[]; ended?: Job[]; isApart?: boolean }) {
  if (!open.length && !ended.length) return null;
  const next = [...open].reverse();
  return (
    <div class="jobs" role="status" aria-label="Work that was asked for">
      {[...next.slice(0, MOST_OPEN), ...ended].map((job) => (
        <JobNote key={job.id} job={job} isApart={isApart} />
      ))}
      {next.length > MOST_OPEN && (
        <p>
          <a href="/jobs">{plural(next.length - MOST_OPEN, "more job")}</a> {next.length > MOST_OPEN + 1 ? "wait" : "waits"} behind.
        </p>
      )}
    </div>
  );
}

interface Shown {
  job: Job;
  isApart: boolean;
}

function JobNote({ job, isApart }: Shown) {
  if (job.state === "failed")
    return (
      <ErrorNote
        error={new Error(job.error ?? "It did not say why.")}
        what={`${workName(job.kind)} of ${absolute(job.created_at)} did not end well.`}
      />
    );
  return (
    <div class="job">
      <Sign tone={job.state === "done" ? "ok" : job.state === "leased" ? "accent" : "plain"} label={job.state} />
      <div>
        {job.state === "queued" ? (
          <Waits job={job} isApart={isApart} />
        ) : job.state === "leased" ? (
          <UnderWay job={job} isApart={isApart} />
        ) : (
          <Ended job={job} isApart={isApart} />
        )}
      </div>
      {isOpen(job) && (
        <Act
          label="Call it off"
          title={`Call off: ${workName(job.kind).toLowerCase()}`}
          path={at("/api/jobs", job.id, "cancel")}
          cli={`mainstay jobs cancel ${job.id}`}
          reason="optional"
          tone="danger"
          preview={<p>{job.state === "queued" ? "It is not begun." : "Its worker stops; what it has put on record stays."}</p>}
        />
      )}
    </div>
  );
}

/** Who asked: a person, or the schedule, backfill or trigger that did. */
export function Asker({ job }: { job: Job }) {
  return job.created_by?.includes(":") ? <Subject subject={job.created_by} /> : <Person name={job.created_by} />;
}

const MOST_SAID = 60; // letters of the parameters

function Head({ job, isApart, children }: Shown & { children: ComponentChildren }) {
  const about = isApart ? aboutOf(job) : null;
  const params = Object.entries(job.body?.params ?? {})
    .map(([name, value]) => `${name} ${plain(value)}`)
    .join(", ");
  return (
    <p>
      <b>{workName(job.kind)}</b>{" "}
      {about && (
        <>
          of <Subject subject={about} />{" "}
        </>
      )}
      {params && <span class="quiet">with {params.length > MOST_SAID ? `${params.slice(0, MOST_SAID)} …` : params} </span>}
      {children}
    </p>
  );
}

function Waits({ job, isApart }: Shown) {
  const others = job.busy?.length ?? 0;
  const isLong = Date.now() - moment(job.created_at) > PATIENCE_MS;
  return (
    <>
      <Head job={job} isApart={isApart}>
        waits for a worker; asked <When at={job.created_at} /> by <Asker job={job} />
        {job.ahead ? `, ${plural(job.ahead, "job")} before it` : ""}
        {others > 0 && `. ${job.busy?.join(" and ")} ${others > 1 ? "are" : "is"} busy with another job`}.
      </Head>
      {isLong && !others && (
        <div class="job-hint">
          <span>No worker has taken it. This starts one, in the folder of the project:</span>
          <Command text="mainstay up" />
        </div>
      )}
    </>
  );
}

function UnderWay({ job, isApart }: Shown) {
  const run = job.progress?.run_id;
  return (
    <>
      <Head job={job} isApart={isApart}>
        is under way, taken <When at={job.leased_at} /> by <span class="job-worker">{job.worker}</span>
        {isNumber(job.attempt) && job.attempt > 1 && `, attempt ${job.attempt}`}
        {run && (
          <>
            : <Subject subject={`run:${run}`} />
          </>
        )}
      </Head>
      <Far progress={job.progress} />
    </>
  );
}

function Far({ progress }: { progress: Maybe<JobProgress> }) {
  if (!progress || !isNumber(progress.total) || !progress.total) return null;
  const [done, total] = [progress.done ?? 0, progress.total];
  const now = progress.now ?? [];
  const said = `${count(done)} of ${plural(total, "step")} done`;
  return (
    <div class="progress-line">
      <div
        class="progress"
        role="progressbar"
        aria-label="Steps that are done"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={done}
        aria-valuetext={said}
      >
        <i style={{ width: `${(done / total) * 100}%` }} />
      </div>
      <span>
        {said}
        {now.length > 0 && ` · ${now.slice(0, 3).join(", ")}${now.length > 3 ? ` and ${count(now.length - 3)} more` : ""}`}
      </span>
    </div>
  );
}

function Ended({ job, isApart }: Shown) {
  const { run_id: run, summary, sentence, skipped } = (job.result ?? {}) as Record<string, string | undefined>;
  const said = skipped ?? summary ?? sentence;
  return (
    <Head job={job} isApart={isApart}>
      ended <When at={job.finished_at} />
      {said && `: ${said}`}
      {run && (
        <>
          {" "}
          · <Subject subject={`run:${run}`} />
        </>
      )}
    </Head>
  );
}

/** What a job is about; one from before this was kept names its pipeline only. */
export function aboutOf(job: Job): string | null {
  const name = job.body?.entry?.split(":").at(-1);
  return job.subject ?? (name ? `pipeline:${name}` : null);
}

/** Where a job leads: to its run, else to what it is about. */
export function jobHref(job: Job): string | null {
  const run = job.progress?.run_id ?? (job.result?.["run_id"] as string | undefined);
  return run ? `/runs/${run}` : subjectHref(aboutOf(job));
}
