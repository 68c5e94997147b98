# SPDX-License-Identifier: Apache-2.0
"""The tables of triggers and decisions, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)

from mainstay.domain.triggers import START, Decision, Trigger
from mainstay.store import Change, Ingest, Instant, Json, View, metadata
from mainstay.store.tables import cursors

triggers = Table(
    "triggers",
    metadata,
    Column("name", String, primary_key=True),
    Column("deployment", String, nullable=False, index=True),
    Column("condition", Text, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("params", Json, nullable=False),
    Column("mode", String, nullable=False),
    Column("cooldown", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("trigger", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("window", String),
    Column("as_of", Instant, nullable=False),
    Column("at", Instant, nullable=False),
    Column("outcome", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("facts", Json, nullable=False),
    Column("because", Integer),
    Column("event", Integer, nullable=False),
    Column("actor", String, nullable=False),
    Column("job", String(32)),
    Column("run_id", String(32), index=True),
    Column("version", String),
    Column("release", Integer),
    Column("result", String, nullable=False),
    Column("result_sentence", Text, nullable=False),
    Column("ended_at", Instant),
    # A window is decided upon once, whatever dies in between; asking by hand leaves it null.
    UniqueConstraint("trigger", "window"),
    Index(None, "deployment", "id"),
    Index(None, "result", "id"),
)


def trigger(view: View, name: str) -> Trigger | None:
    row = view.first(select(triggers).where(triggers.c.name == name))
    return row and Trigger(**row._mapping)


def locked_trigger(change: Change, name: str) -> Trigger | None:
    """The trigger, held until the change ends: it must not be asked twice at once."""
    row = change.first(select(triggers).where(triggers.c.name == name).with_for_update())
    return row and Trigger(**row._mapping)


def all_triggers(view: View) -> list[Trigger]:
    return [Trigger(**row._mapping) for row in view.rows(select(triggers).order_by(triggers.c.name))]


def triggers_of(view: View, deployment: str) -> list[Trigger]:
    query = select(triggers).where(triggers.c.deployment == deployment).order_by(triggers.c.name)
    return [Trigger(**row._mapping) for row in view.rows(query)]


def put_trigger(change: Change, new: Trigger) -> None:
    values = asdict(new)
    if not change.execute(update(triggers).where(triggers.c.name == new.name).values(**values)):
        change.insert(triggers, **values)


def decision(view: View, identity: str) -> Decision | None:
    row = view.first(select(decisions).where(decisions.c.id == identity))
    return row and _decision(row)


def decision_on(view: View, trigger: str, window: str) -> Decision | None:
    """What the trigger answered when the window was judged."""
    row = view.first(select(decisions).where(decisions.c.trigger == trigger, decisions.c.window == window))
    return row and _decision(row)


def decisions_on(view: View, deployment: str, windows: Sequence[str]) -> list[Decision]:
    """Decisions about any of these windows, oldest first."""
    query = select(decisions).where(decisions.c.deployment == deployment, decisions.c.window.in_(windows))
    return [_decision(row) for row in view.rows(query.order_by(decisions.c.id))]


def listed_decisions(
    view: View, *, trigger: str | None, deployment: str | None, before: str | None, limit: int
) -> list[Decision]:
    """Decisions, newest first."""
    query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
    if trigger is not None:
        query = query.where(decisions.c.trigger == trigger)
    if deployment is not None:
        query = query.where(decisions.c.deployment == deployment)
    if before is not None:
        query = query.where(decisions.c.id < before)
    return [_decision(row) for row in view.rows(query)]


def decisions_pending(view: View, deployment: str | None = None) -> list[Decision]:
    """Decisions of which nothing came yet, oldest first; suggestions that nobody answered among them."""
    query = select(decisions).where(decisions.c.result == "pending").order_by(decisions.c.id)
    if deployment is not None:
        query = query.where(decisions.c.deployment == deployment)
    return [_decision(row) for row in view.rows(query)]


def last_start(view: View, trigger: str, before: datetime) -> Decision | None:
    """The trigger's latest decision at or before a moment of the stream that started something."""
    c = decisions.c
    query = select(decisions).where(c.trigger == trigger, c.as_of <= before, (c.outcome == START) | c.job.is_not(None))
    row = view.first(query.order_by(c.as_of.desc(), c.id.desc()).limit(1))
    return row and _decision(row)


def decisions_with_run(view: View, run_id: str) -> list[Decision]:
    query = select(decisions).where(decisions.c.run_id == run_id).order_by(decisions.c.id)
    return [_decision(row) for row in view.rows(query)]


def put_decision(change: Change, new: Decision) -> None:
    change.execute(insert(decisions).values(**asdict(new)))


def set_decision(change: Change, identity: str, **values: Any) -> None:
    change.execute(update(decisions).where(decisions.c.id == identity).values(**values))


def seen(view: View, follower: str) -> int:
    """Up to which event a follower has read; 0 at first."""
    return int(view.scalar(select(cursors.c.seq).where(cursors.c.follower == follower)) or 0)


def set_seen(ingest: Ingest, follower: str, seq: int) -> None:
    if not ingest.execute(update(cursors).where(cursors.c.follower == follower).values(seq=seq)):
        ingest.insert(cursors, follower=follower, seq=seq)


def _decision(row: Row[Any]) -> Decision:
    return Decision(**row._mapping)
