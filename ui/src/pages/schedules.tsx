// SPDX-License-Identifier: Apache-2.0
// Schedules: pipelines that run because it is time. And one of them: its next times by its own clocks, and what it fired.
import { at, useGet } from "../api.ts";
import { absolute, kindWords } from "../format.ts";
import { Act, Difference } from "../parts/act.tsx";
import { ListPage } from "../parts/listpage.tsx";
import { Empty } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Word } from "../parts/pill.tsx";
import { LocalTime, localTime, SCHEDULE_COLUMNS, timing } from "../parts/scheduling.tsx";
import { Table, type Column } from "../parts/table.tsx";
import { FactList, Person, PlainFacts, Subject, When } from "../parts/words.tsx";
import { go } from "../router.ts";
import type { Firing, Schedule, ScheduleAnswer } from "../types.ts";
import { PLACES } from "./pipelines.tsx";

export function Schedules() {
  const { data, error } = useGet<{ items: Schedule[] }>("/api/schedules");
  return (
    <ListPage
      title="Schedules"
      about="Pipelines that run because it is time, by the clocks of a time zone; each time fires once, whatever happens meanwhile."
      path="/api/schedules"
      cli="mainstay schedules list"
      places={PLACES}
      error={error}
      loading={!data}
      empty={!data?.items.length}
      nothing={
        <Empty
          title="No schedule yet"
          command={'mainstay schedules add nightly FILE.py:FUNCTION --cron "0 3 * * *" --timezone Europe/Berlin'}
        >
          A schedule asks for a pipeline at each of its times; a worker runs it. Nothing else has to be installed.
        </Empty>
      }
    >
      <Table
        name=""
        label="schedules"
        rows={data?.items ?? []}
        columns={SCHEDULE_COLUMNS}
        href={(one) => `/schedules/${one.name}`}
      />
    </ListPage>
  );
}

function firingColumns(zone: string | undefined): Column<Firing>[] {
  return [
    {
      key: "time",
      label: "For the time",
      value: (one) => one.logical_time,
      cell: (one) => <LocalTime at={one.logical_time} zone={zone} />,
    },
    { key: "state", label: "State", value: (one) => one.state, cell: (one) => <Word word={one.state} /> },
    {
      key: "run",
      label: "Run",
      value: (one) => one.run_id,
      cell: (one) => (one.run_id ? <Subject subject={`run:${one.run_id}`} /> : "–"),
    },
    { key: "fired", label: "Fired", value: (one) => one.fired_at, cell: (one) => <When at={one.fired_at} /> },
    { key: "error", label: "What went wrong", value: (one) => one.error, cell: (one) => one.error ?? "–", wide: true },
  ];
}

export function SchedulePage({ name }: { name: string }) {
  const path = at("/api/schedules", name);
  const { data, error } = useGet<ScheduleAnswer>(path);
  const schedule = data?.schedule;
  const isPaused = schedule?.state === "paused";
  const function_ = schedule?.pipeline?.split(":").at(-1) ?? "";
  return (
    <ObjectPage
      subject={`schedule:${name}`}
      kind="Schedule"
      name={name}
      plainName={name}
      owner={schedule?.owner}
      state={schedule?.state}
      made={schedule?.created_at}
      loading={!data}
      error={error}
      wide
      aside={
        schedule && (
          <>
              <code>{timing(schedule)}</code>
              <span>
                runs <Subject subject={`pipeline:${function_}`}>{schedule.pipeline}</Subject>
              </span>
          </>
        )
      }
      above={
        schedule && (
          <p class="because">
            {schedule.next_at ? (
              <>
                Next on <LocalTime at={schedule.next_at} zone={schedule.timezone} />, <When at={schedule.next_at} />.
              </>
            ) : (
              "Paused: it runs nothing until it is resumed."
            )}
          </p>
        )
      }
      acts={
        schedule && (
          <>
          <Act
            label="Remove"
            title={`Remove the schedule “${name}”`}
            path={`${path}/remove`}
            cli={`mainstay schedules remove ${name}`}
            tone="danger"
            preview={<p>It fires no more. What it fired stays on record, and so do the runs.</p>}
            done={() => go("/schedules")}
          />
          <Act
            label={isPaused ? "Resume" : "Pause"}
            title={`${isPaused ? "Resume" : "Pause"} the schedule “${name}”`}
            path={`${path}/${isPaused ? "resume" : "pause"}`}
            cli={`mainstay schedules ${isPaused ? "resume" : "pause"} ${name}`}
            reason="optional"
            preview={
              <Difference
                lines={[
                  [
                    "next",
                    schedule.next_at ? localTime(schedule.next_at, schedule.timezone) : "nothing",
                    isPaused ? "its first time from now on; what came due meanwhile is not made up for" : "nothing",
                  ],
                ]}
              />
            }
          />
          </>
        )
      }
      tabs={[
        {
          id: "fired",
          label: "Fired",
          count: data?.firings.length,
          body: () =>
            data?.firings.length ? (
              <Table name="" label="times that fired" rows={data.firings} columns={firingColumns(schedule?.timezone)} />
            ) : (
              <Empty title="It has not fired yet">Each time that comes due is listed here, with its run.</Empty>
            ),
        },
        {
          id: "next",
          label: "Next times",
          body: () => (
            <ol class="plain-list next-times">
              {data?.next.map((one) => (
                <li key={one}>
                  <b>
                    <LocalTime at={one} zone={schedule?.timezone} />
                  </b>
                  <span class="quiet">{absolute(one)}</span>
                </li>
              ))}
            </ol>
          ),
        },
        {
          id: "definition",
          label: "Definition",
          body: () => (
            <div class="pair">
              <section>
                <h2>When</h2>
                <FactList
                  facts={[
                    ["due", <code key="due">{schedule ? timing(schedule) : ""}</code>],
                    ["time zone", schedule?.timezone],
                    ["catches up on", CATCH_UP[schedule?.catch_up ?? ""] ?? kindWords(schedule?.catch_up)],
                    [
                      "declared",
                      <>
                        <When at={schedule?.created_at} /> by <Person name={schedule?.created_by} />
                      </>,
                    ],
                  ]}
                />
              </section>
              <section>
                <h2>Parameters</h2>
                <PlainFacts facts={schedule?.params} empty="The pipeline's own defaults." />
              </section>
            </div>
          ),
        },
      ]}
    />
  );
}

const CATCH_UP: Record<string, string> = {
  latest: "the last time that was missed",
  all: "every time that was missed",
  none: "nothing that was missed",
};
