# SPDX-License-Identifier: Apache-2.0
"""The tables of scheduling and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, delete, func, select, update

from mainstay.domain.scheduling import RUNNING, Backfill, Firing, Portion, Schedule
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

schedules = Table(
    "schedules",
    metadata,
    Column("name", String, primary_key=True),
    Column("pipeline", String, nullable=False),
    Column("params", Json, nullable=False),
    Column("cron", String),
    Column("every", String),
    Column("timezone", String, nullable=False),
    Column("catch_up", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("state", String, nullable=False),
    Column("next_at", Instant, index=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
)

# The key is what makes a time fire once, whoever dies in between; it outlives the schedule, which may come again.
schedule_firings = Table(
    "schedule_firings",
    metadata,
    Column("schedule", String, primary_key=True),
    Column("logical_time", Instant, primary_key=True),
    Column("fired_at", Instant, nullable=False),
    Column("event", Integer, nullable=False),
    Column("job", String(32), nullable=False),
)

backfills = Table(
    "backfills",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("pipeline", String, nullable=False),
    Column("params", Json, nullable=False),
    Column("by", String, nullable=False),
    Column("timezone", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("is_again", Boolean, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("event", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("ended_at", Instant),
)

backfill_partitions = Table(
    "backfill_partitions",
    metadata,
    Column("backfill", String(32), primary_key=True),
    Column("partition", String, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("order_digest", String(64), nullable=False),  # the same for what would be the same run
    Column("state", String, nullable=False),
    Column("job", String(32)),
    Column("run_id", String(32)),
    Column("sentence", Text, nullable=False),
    Index(None, "backfill", "state", "since"),
    Index(None, "order_digest", "state"),
)


def schedule(view: View, name: str) -> Schedule | None:
    row = view.first(select(schedules).where(schedules.c.name == name))
    return row and Schedule(**row._mapping)


def all_schedules(view: View) -> list[Schedule]:
    return [Schedule(**row._mapping) for row in view.rows(select(schedules).order_by(schedules.c.name))]


def due(view: View, now: datetime) -> list[str]:
    """Names of the schedules of which a time has come, the longest waiting first."""
    query = select(schedules.c.name).where(schedules.c.next_at <= now)
    return [row.name for row in view.rows(query.order_by(schedules.c.next_at, schedules.c.name))]


def put_schedule(change: Change, new: Schedule) -> None:
    values = asdict(new)
    if not change.execute(update(schedules).where(schedules.c.name == new.name).values(**values)):
        change.insert(schedules, **values)


def set_schedule(change: Change, name: str, **values: Any) -> None:
    change.execute(update(schedules).where(schedules.c.name == name).values(**values))


def drop_schedule(change: Change, name: str) -> None:
    change.execute(delete(schedules).where(schedules.c.name == name))


def has_fired(view: View, name: str, logical_time: datetime) -> bool:
    c = schedule_firings.c
    return view.first(select(c.job).where(c.schedule == name, c.logical_time == logical_time)) is not None


def put_firing(change: Change, new: Firing) -> None:
    change.insert(schedule_firings, **asdict(new))


def firings(view: View, name: str, limit: int) -> list[Firing]:
    """What a schedule fired, newest first."""
    c = schedule_firings.c
    query = select(schedule_firings).where(c.schedule == name).order_by(c.logical_time.desc()).limit(limit)
    return [Firing(**row._mapping) for row in view.rows(query)]


def backfill(view: View, identity: str) -> Backfill | None:
    row = view.first(select(backfills).where(backfills.c.id == identity))
    return row and Backfill(**row._mapping)


def all_backfills(view: View, before: str | None, limit: int) -> list[Backfill]:
    """Backfills, newest first."""
    query = select(backfills).order_by(backfills.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(backfills.c.id < before)
    return [Backfill(**row._mapping) for row in view.rows(query)]


def running_backfills(view: View) -> list[Backfill]:
    query = select(backfills).where(backfills.c.state == RUNNING).order_by(backfills.c.id)
    return [Backfill(**row._mapping) for row in view.rows(query)]


def put_backfill(change: Change, new: Backfill, portions: Iterable[tuple[Portion, str]]) -> None:
    """Keep a backfill with its partitions, each with the digest of what it would order."""
    change.insert(backfills, **asdict(new))
    change.bulk_append(backfill_partitions, [asdict(each) | {"order_digest": order} for each, order in portions])


def set_backfill(change: Change, identity: str, **values: Any) -> None:
    change.execute(update(backfills).where(backfills.c.id == identity).values(**values))


def portions(
    view: View, identity: str, *, state: str | None = None, after: str = "", limit: int | None = None
) -> list[Portion]:
    """Partitions of a backfill, the earliest first."""
    c = backfill_partitions.c
    query = select(*[column for column in c if column is not c.order_digest]).where(c.backfill == identity)
    if state is not None:
        query = query.where(c.state == state)
    if after:
        query = query.where(
            c.since > select(c.since).where(c.backfill == identity, c.partition == after).scalar_subquery()
        )
    return [Portion(**row._mapping) for row in view.rows(query.order_by(c.since).limit(limit))]


def counts(view: View, identity: str) -> dict[str, int]:
    """How many partitions are in each state."""
    c = backfill_partitions.c
    query = select(c.state, func.count().label("n")).where(c.backfill == identity).group_by(c.state).order_by(c.state)
    return {row.state: row.n for row in view.rows(query)}


def done_before(view: View, order_digest: str) -> str | None:
    """The newest run of a backfill that succeeded for the same order."""
    c = backfill_partitions.c
    query = select(c.run_id).where(c.order_digest == order_digest, c.state == "succeeded", c.run_id.is_not(None))
    found: str | None = view.scalar(query.order_by(c.run_id.desc()).limit(1))
    return found


def set_portion(ingest: Ingest, portion: Portion, **values: Any) -> None:
    c = backfill_partitions.c
    which = update(backfill_partitions).where(c.backfill == portion.backfill, c.partition == portion.partition)
    ingest.execute(which.values(**values))


def cancel_portions(ingest: Ingest, identity: str) -> None:
    """What is not over will not be done."""
    c = backfill_partitions.c
    open_ = update(backfill_partitions).where(c.backfill == identity, c.state.in_(["waiting", "asked"]))
    ingest.execute(open_.values(state="cancelled"))
