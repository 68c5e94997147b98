# SPDX-License-Identifier: Apache-2.0
"""Schedules and backfills, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.scheduling import Backfill, Firing, Portion, Schedule
from mainstay.lifecycle.pipelines.scheduling import backfills, schedules
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View, jobs

routes = Routes("pipelines")

SHOWN_FIRINGS = 20


class ScheduleIn(Body):
    name: str
    pipeline: str
    cron: str | None = None
    every: str | None = None
    timezone: str = "UTC"
    catch_up: str = "latest"
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    owner: str | None = None


class BackfillIn(Body):
    pipeline: str
    since: str
    until: str
    by: str = "day"
    timezone: str = "UTC"
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    concurrency: int = 2
    again: bool = False


class FiringOut(msgspec.Struct, kw_only=True):
    logical_time: datetime
    fired_at: datetime
    event: int
    job: str
    state: str
    run_id: str | None
    error: str | None


class Schedules(msgspec.Struct):
    items: list[Schedule]


class ScheduleWhole(msgspec.Struct):
    schedule: Schedule
    next: list[datetime]
    firings: list[FiringOut]


class Upcoming(msgspec.Struct):
    items: list[datetime]


class BackfillOut(msgspec.Struct):
    backfill: Backfill
    counts: dict[str, int]


class Backfills(msgspec.Struct):
    items: list[BackfillOut]
    next: str | None


class Foreseen(msgspec.Struct):
    partition: str
    since: datetime
    until: datetime
    params: dict[str, Any]
    done_by: str | None


class Preview(msgspec.Struct):
    items: list[Foreseen]


class Portions(msgspec.Struct):
    items: list[Portion]
    next: str | None


@routes.post("/schedules", permission="write", status=201)
def declare_schedule(change: Change, body: ScheduleIn) -> Schedule:
    """Say when a pipeline is to run: by `cron` or `every` so often, in a time zone."""
    return schedules.declare(change, **msgspec.structs.asdict(body))


@routes.get("/schedules", permission="read")
def list_schedules(view: View) -> Schedules:
    """Every schedule, by name, with its next time."""
    return Schedules(items=schedules.listed(view))


@routes.get("/schedules/{name}", permission="read")
def show_schedule(view: View, name: str) -> ScheduleWhole:
    """One schedule, its next times, and what it fired last."""
    found = schedules.firings(view, name, limit=SHOWN_FIRINGS)
    return ScheduleWhole(
        schedule=schedules.get(view, name),
        next=schedules.upcoming(view, name, limit=5),
        firings=[_firing(firing, job) for firing, job in found],
    )


@routes.get("/schedules/{name}/next", permission="read")
def upcoming_times(view: View, name: str, limit: int = 10) -> Upcoming:
    """The next times of a schedule, in UTC."""
    return Upcoming(items=schedules.upcoming(view, name, limit=limit))


@routes.post("/schedules/{name}/pause", permission="write")
def pause_schedule(change: Change, name: str) -> Schedule:
    """Let a schedule run nothing until it is resumed."""
    return schedules.pause(change, name)


@routes.post("/schedules/{name}/resume", permission="write")
def resume_schedule(change: Change, name: str) -> Schedule:
    """Let a schedule go on from now."""
    return schedules.resume(change, name)


@routes.post("/schedules/{name}/remove", permission="write")
def remove_schedule(change: Change, name: str) -> Schedule:
    """Do away with a schedule; what it fired stays on record."""
    return schedules.remove(change, name)


@routes.post("/backfills", permission="write", status=201)
def start_backfill(change: Change, body: BackfillIn) -> BackfillOut:
    """Ask for a pipeline once for each partition of a stretch of time."""
    return _backfill(change, backfills.start(change, **msgspec.structs.asdict(body)))


@routes.ask("/backfills/preview", permission="read")
def preview_backfill(view: View, body: BackfillIn) -> Preview:
    """What a backfill would ask for: each partition, its parameters, and the run that did it before."""
    found = backfills.preview(view, **msgspec.structs.asdict(body))
    items = [Foreseen(each.name, each.since, each.until, params, before) for each, params, before in found]
    return Preview(items)


@routes.get("/backfills", permission="read")
def list_backfills(view: View, after: str | None = None, limit: int = 100) -> Backfills:
    """Backfills, newest first, each with how far it is."""
    found = backfills.listed(view, before=after, limit=limit)
    return Backfills([_backfill(view, each) for each in found], found[-1].id if len(found) == limit else None)


@routes.get("/backfills/{backfill_id}", permission="read")
def show_backfill(view: View, backfill_id: str) -> BackfillOut:
    """One backfill, and how many of its partitions are in each state."""
    return _backfill(view, backfills.get(view, backfill_id))


@routes.get("/backfills/{backfill_id}/partitions", permission="read")
def list_portions(view: View, backfill_id: str, after: str = "", limit: int = 100) -> Portions:
    """The partitions of a backfill, the earliest first, each with its state and its run."""
    backfills.get(view, backfill_id)
    found = backfills.portions(view, backfill_id, after=after, limit=limit)
    return Portions(found, found[-1].partition if len(found) == limit else None)


@routes.post("/backfills/{backfill_id}/cancel", permission="write")
def cancel_backfill(change: Change, backfill_id: str) -> BackfillOut:
    """Call a backfill off: what waits is not begun, what is under way is stopped, what is done stays."""
    return _backfill(change, backfills.cancel(change, backfill_id))


def _firing(firing: Firing, job: jobs.Job) -> FiringOut:
    return FiringOut(
        logical_time=firing.logical_time,
        fired_at=firing.fired_at,
        event=firing.event,
        job=firing.job,
        state=job.state,
        run_id=(job.result or {}).get("run_id"),
        error=job.error,
    )


def _backfill(view: View, found: Backfill) -> BackfillOut:
    return BackfillOut(found, backfills.counts(view, found.id))
