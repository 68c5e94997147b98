// SPDX-License-Identifier: Apache-2.0
// Schedules and backfills as lists show them, and times as the clocks of a zone do.
import { absolute, ago, count, isNumber, period, plain } from "../format.ts";
import type { BackfillAnswer, Maybe, Schedule } from "../types.ts";
import { Word } from "./pill.tsx";
import type { Column } from "./table.tsx";
import { Person, When } from "./words.tsx";

/** A moment as clocks show it in `zone`, with the zone's name; in UTC on hover. */
export function LocalTime({ at, zone }: { at: Maybe<string>; zone: Maybe<string> }) {
  if (!at) return <span class="quiet">–</span>;
  return (
    <time dateTime={at} title={`${absolute(at)}, ${ago(at)}`}>
      {localTime(at, zone)}
    </time>
  );
}

/** "Thu 26 Nov 2026, 03:00 GMT+1". A zone that this browser does not know is told in UTC. */
export function localTime(at: string, zone: Maybe<string>): string {
  try {
    const parts = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone ?? "UTC",
      weekday: "short",
      day: "numeric",
      month: "short",
      year: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      ...(new Date(at).getUTCSeconds() ? { second: "2-digit" } : {}),
      timeZoneName: "short",
    });
    return parts.format(new Date(at));
  } catch {
    return absolute(at);
  }
}

export function timing(schedule: Schedule): string {
  return schedule.cron ? `${schedule.cron} ${schedule.timezone ?? "UTC"}` : `every ${schedule.every ?? "?"}`;
}

export const SCHEDULE_COLUMNS: Column<Schedule>[] = [
  { key: "name", label: "Schedule", value: (one) => one.name },
  { key: "state", label: "State", value: (one) => one.state, cell: (one) => <Word word={one.state} /> },
  { key: "due", label: "Due", value: timing, cell: (one) => <code>{timing(one)}</code> },
  {
    key: "next",
    label: "Next",
    value: (one) => one.next_at,
    cell: (one) =>
      one.next_at ? (
        <>
          <LocalTime at={one.next_at} zone={one.timezone} />
          <span class="cell-sub">
            <When at={one.next_at} />
          </span>
        </>
      ) : (
        <span class="quiet">not while paused</span>
      ),
  },
  { key: "pipeline", label: "Pipeline", value: (one) => one.pipeline, cell: (one) => <code>{one.pipeline}</code>, wide: true },
  { key: "catch", roomy: true, label: "Catches up", value: (one) => one.catch_up },
  { key: "owner", roomy: true, label: "Owner", value: (one) => one.owner, cell: (one) => <Person name={one.owner} /> },
];

/** How many partitions there are, and how many have come to an end. */
export function tally(counts: Record<string, number>): { total: number; ended: number; failed: number } {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const ended = (["succeeded", "skipped", "failed", "cancelled"] as const).reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return { total: all, ended, failed: counts.failed ?? 0 };
}

export function BackfillProgress({ counts }: { counts: Record<string, number> }) {
  const { total, ended, failed } = tally(counts);
  const said = Object.entries(counts)
    .map(([state, n]) => `${count(n)} ${state}`)
    .join(", ");
  return (
    <span class="progress-line">
      <span
        class={`progress${failed ? " progress-failed" : ""}`}
        role="progressbar"
        aria-label="Partitions that have ended"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={ended}
        aria-valuetext={said}
        title={said}
      >
        <i style={{ width: `${total ? (ended / total) * 100 : 0}%` }} />
      </span>
      <span>
        {count(ended)} of {count(total)}
        {failed > 0 && `, ${count(failed)} failed`}
      </span>
    </span>
  );
}

export function backfillHref({ backfill }: BackfillAnswer): string {
  return `/backfills/${backfill.id}`;
}

export const BACKFILL_COLUMNS: Column<BackfillAnswer>[] = [
  { key: "pipeline", label: "Pipeline", value: (one) => one.backfill.pipeline },
  {
    key: "period",
    label: "Period",
    value: (one) => one.backfill.since,
    cell: (one) => period(one.backfill.since, one.backfill.until),
  },
  { key: "by", label: "By", value: (one) => one.backfill.by },
  { key: "state", label: "State", value: (one) => one.backfill.state, cell: (one) => <Word word={one.backfill.state} /> },
  {
    key: "progress",
    label: "Partitions",
    value: (one) => tally(one.counts).ended / Math.max(1, tally(one.counts).total),
    cell: (one) => <BackfillProgress counts={one.counts} />,
  },
  {
    key: "params",
    roomy: true,
    label: "Parameters",
    value: (one) => plain(one.backfill.params),
    wide: true,
    hidden: true,
  },
  {
    key: "at",
    roomy: true,
    label: "At once",
    value: (one) => one.backfill.concurrency,
    cell: (one) => (isNumber(one.backfill.concurrency) ? count(one.backfill.concurrency) : "–"),
    right: true,
  },
  {
    key: "by-whom",
    roomy: true,
    label: "Asked by",
    value: (one) => one.backfill.created_by,
    cell: (one) => <Person name={one.backfill.created_by} />,
  },
  { key: "made", label: "Asked", value: (one) => one.backfill.created_at, cell: (one) => <When at={one.backfill.created_at} /> },
];
