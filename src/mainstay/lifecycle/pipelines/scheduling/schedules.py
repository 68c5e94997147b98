# SPDX-License-Identifier: Apache-2.0
"""Schedules: a pipeline at each of its times.

In: when, in which time zone, with which parameters, and what becomes of times that were missed. Out: one ``run_pipeline``
job for each time that comes. That a time was dealt with, the job, and the event stand in one transaction under a key of
schedule and time: whatever dies, no time fires twice. A run's *logical time* is the moment at which it was due, however
late it is carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.pipelines import (
    ScheduleDeclared,
    ScheduleFired,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSkipped,
)
from mainstay.domain.names import check_name
from mainstay.domain.pipelines import subject_of
from mainstay.domain.scheduling import ACTIVE, CATCH_UP, PAUSED, Firing, Schedule
from mainstay.lifecycle.governance import people
from mainstay.lifecycle.pipelines.scheduling import calendar, tables, templates
from mainstay.store import Change, Store, View, jobs

log = logging.getLogger("mainstay.schedules")

JOB = "run_pipeline"
WORDS = ("logical_time", "date", "since", "until")
#: A time so fresh was not missed: the server was only busy.
GRACE = timedelta(minutes=1)
#: Of a schedule that makes up for all, so many in one transaction; the next look takes the next ones.
MOST_AT_ONCE = 50


def declare(
    change: Change,
    *,
    name: str,
    pipeline: str,
    cron: str | None = None,
    every: str | None = None,
    timezone: str = "UTC",
    catch_up: str = "latest",
    params: Mapping[str, Any] | None = None,
    owner: str | None = None,
) -> Schedule:
    """Say when a pipeline is to run. Declared again it is changed, and a time that came already still counts.

    Raises:
        NotFound: no such owner. Invalid: an unusable name, timing, zone, policy, pipeline or parameter.
    """
    check_name("schedule", name)
    people.get(change, owner or change.actor)
    templates.check_entry(pipeline, what=f"schedule {name!r}")
    if catch_up not in CATCH_UP:
        raise Invalid(f"schedule {name!r} has catch_up {catch_up[:40]!r}; {', '.join(CATCH_UP)} are possible.")
    before = tables.schedule(change, name)
    new = Schedule(
        name=name,
        pipeline=pipeline,
        params=templates.checked(params or {}, words=WORDS, what=f"schedule {name!r}"),
        cron=cron,
        every=every,
        timezone=timezone,
        catch_up=catch_up,
        owner=owner or change.actor,
        state=before.state if before else ACTIVE,
        next_at=None,
        created_at=before.created_at if before else change.now(),
        created_by=before.created_by if before else change.actor,
    )
    calendar.check(new.timing, what=f"schedule {name!r}", now=change.now())
    if new.state == ACTIVE:
        keeps = before is not None and before.timing == new.timing
        new = replace(new, next_at=before.next_at if before and keeps else calendar.after(new.timing, change.now()))
    tables.put_schedule(change, new)
    change.record(
        ScheduleDeclared(
            name=name,
            pipeline=pipeline,
            params=new.params,
            cron=cron,
            every=every,
            timezone=timezone,
            catch_up=catch_up,
            owner=new.owner,
        )
    )
    return new


def pause(change: Change, name: str) -> Schedule:
    """Let a schedule run nothing until it is resumed.

    Raises:
        NotFound: no such schedule. Conflict: it is paused.
    """
    _must_be(get(change, name), ACTIVE, "resume")
    tables.set_schedule(change, name, state=PAUSED, next_at=None)
    change.record(SchedulePaused(name=name))
    return get(change, name)


def resume(change: Change, name: str) -> Schedule:
    """Let a schedule go on from now; what came due meanwhile is not made up for: a backfill does that.

    Raises:
        NotFound: no such schedule. Conflict: it is not paused.
    """
    found = get(change, name)
    _must_be(found, PAUSED, "pause")
    tables.set_schedule(change, name, state=ACTIVE, next_at=calendar.after(found.timing, change.now()))
    change.record(ScheduleResumed(name=name))
    return get(change, name)


def remove(change: Change, name: str) -> Schedule:
    """Do away with a schedule; what it fired stays on record.

    Raises:
        NotFound: no such schedule.
    """
    found = get(change, name)
    tables.drop_schedule(change, name)
    change.record(ScheduleRemoved(name=name))
    return found


def get(view: View, name: str) -> Schedule:
    """One schedule.

    Raises:
        NotFound: there is none of that name.
    """
    found = tables.schedule(view, name)
    if found is None:
        raise NotFound(f"there is no schedule {name[:80]!r}; `mainstay schedules list` shows those there are.")
    return found


def listed(view: View) -> list[Schedule]:
    """Every schedule, by name."""
    return tables.all_schedules(view)


def firings(view: View, name: str, *, limit: int = 20) -> list[tuple[Firing, jobs.Job]]:
    """What a schedule fired, newest first, each with its job."""
    return [(each, jobs.get(view, each.job)) for each in tables.firings(view, name, limit)]


def upcoming(view: View, name: str, *, limit: int = 10) -> list[datetime]:
    """The next times of a schedule, also of one that is paused.

    Raises:
        NotFound: no such schedule.
    """
    found, moment = get(view, name), view.now()
    times: list[datetime] = []
    while len(times) < limit and (following := calendar.after(found.timing, moment)):
        times.append(moment := following)
    return times


def fire_due(store: Store) -> bool:
    """Ask for the pipelines of every schedule of which a time has come; whether there was any."""
    with store.view() as view:
        due = tables.due(view, view.now())
    return any([_fire(store, name) for name in due])


def _fire(store: Store, name: str) -> bool:
    try:
        with store.change(actor=f"schedule:{name}") as change:
            found = tables.schedule(change, name)
            if found is None or found.next_at is None or found.next_at > change.now():
                raise Conflict(f"schedule {name!r} is not due any more; it was changed a moment ago.")
            _deal_with(change, found, found.next_at)
    except Conflict:
        return False
    except Exception:  # one that cannot be read any more, its zone is gone, say, must not keep the others from firing
        log.exception("schedule %s could not fire", name)
        return False
    return True


def _deal_with(change: Change, schedule: Schedule, since: datetime) -> None:
    """Fire the times since ``since``, or those that the policy wants, and note up to where this is done."""
    now = change.now()
    if schedule.catch_up == "all":
        wanted = calendar.between(schedule.timing, since, now, most=MOST_AT_ONCE)
    else:
        newest = max(since, calendar.last(schedule.timing, now) or since)
        wanted = [newest] if schedule.catch_up == "latest" or now - newest <= GRACE else []
        missed = calendar.last(schedule.timing, newest - timedelta(microseconds=1)) if wanted else newest
        if missed is not None and missed >= since:
            change.record(ScheduleSkipped(name=schedule.name, since=to_wire(since), until=to_wire(missed)))
    for moment in wanted:
        if not tables.has_fired(change, schedule.name, moment):
            _ask(change, schedule, moment)
    done = wanted[-1] if schedule.catch_up == "all" else now
    tables.set_schedule(change, schedule.name, next_at=calendar.after(schedule.timing, done))
    if not change.recorded:  # a clock was put back, or the schedule removed and made again: all of it was fired before
        change.record(ScheduleSkipped(name=schedule.name, since=to_wire(since), until=to_wire(done)))


def _ask(change: Change, schedule: Schedule, moment: datetime) -> None:
    reason = f"schedule {schedule.name!r} was due at {to_wire(moment)}"
    params = templates.filled(schedule.params, _words(schedule, moment))
    told = ScheduleFired(name=schedule.name, logical_time=to_wire(moment), pipeline=schedule.pipeline, params=params)
    event = change.record(told, reason=reason)
    body = {
        "entry": schedule.pipeline,
        "params": params,
        "because": event.seq,
        "reason": reason,
        "tags": {"schedule": schedule.name, "logical_time": to_wire(moment)},
    }
    about = subject_of(schedule.pipeline)
    job = jobs.enqueue(change, kind=JOB, body=body, by=schedule.subject, because=event.seq, subject=about)
    tables.put_firing(
        change,
        Firing(schedule=schedule.name, logical_time=moment, fired_at=change.now(), event=event.seq, job=job.id),
    )


def _words(schedule: Schedule, moment: datetime) -> dict[str, str]:
    where = calendar.zone(schedule.timezone)
    before = calendar.last(schedule.timing, moment - timedelta(microseconds=1)) or moment
    return {
        "logical_time": to_wire(moment),
        "date": moment.astimezone(where).date().isoformat(),
        "since": calendar.written(before, where),
        "until": calendar.written(moment, where),
    }


def _must_be(schedule: Schedule, state: str, verb: str) -> None:
    if schedule.state != state:
        raise Conflict(
            f"schedule {schedule.name!r} is {schedule.state} already; `mainstay schedules {verb} {schedule.name}` "
            "is the way back."
        )
