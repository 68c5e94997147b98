# SPDX-License-Identifier: Apache-2.0
"""The tables of monitoring and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from mainstay.domain.monitoring import OPEN_STATES, Alert, Monitor, Review, Verdict, Window
from mainstay.lifecycle.serving.tables import parts
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

monitors = Table(
    "monitors",
    metadata,
    Column("name", String, primary_key=True),
    Column("deployment", String, nullable=False, index=True),
    Column("owner", String, nullable=False),
    Column("window", String, nullable=False),
    Column("review", String, nullable=False),
    Column("slices", Json, nullable=False),
    Column("label_delay", String),
    Column("label_coverage", Float, nullable=False),
    Column("tolerance", Float, nullable=False),
    Column("latency_limit_ms", Float),
    Column("error_limit", Float, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("last_reviewed_at", Instant),
)

windows = Table(
    "windows",
    metadata,
    Column("monitor", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("deployment", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("n_http", Integer, nullable=False),
    Column("labelled", Integer, nullable=False),
    Column("is_mature", Boolean, nullable=False),
    Column("release", Integer),
    Column("model", String),
    Column("version", Integer),
    Column("measurements", Json, nullable=False),
    Column("verdicts", Json, nullable=False),
    Column("profile", String(64)),
    Column("baseline", String(64)),
    Column("mark", String, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("event", Integer, nullable=False),
    Column("judged_at", Instant, nullable=False),
    Index(None, "deployment", "until"),
)

# What a version's evaluation gave as a baseline; made once, found again by what it was made from.
baselines = Table(
    "baselines",
    metadata,
    Column("evaluation", String(64), primary_key=True),
    Column("form", Integer, primary_key=True, autoincrement=False),
    Column("blob", String(64), nullable=False),
    Column("made_at", Instant, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("monitor", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("key", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("state", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("windows", Json, nullable=False),
    Column("quiet", Integer, nullable=False),
    Column("release", Integer),
    Column("version", String),
    Column("because", Integer),
    Column("event", Integer, nullable=False),
    Column("muted_until", Instant),
    Index(None, "monitor", "key", "id"),
    Index(None, "state", "id"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("monitor", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("seen", Json, nullable=False),
    Index(None, "monitor", "id"),
)


def monitor(view: View, name: str) -> Monitor | None:
    row = view.first(select(monitors).where(monitors.c.name == name))
    return row and _monitor(row)


def locked_monitor(change: Change, name: str) -> Monitor | None:
    """The monitor, held until the change ends: two judges must not open the same alert twice."""
    row = change.first(select(monitors).where(monitors.c.name == name).with_for_update())
    return row and _monitor(row)


def all_monitors(view: View) -> list[Monitor]:
    return [_monitor(row) for row in view.rows(select(monitors).order_by(monitors.c.name))]


def monitors_of(view: View, deployment: str) -> list[Monitor]:
    query = select(monitors).where(monitors.c.deployment == deployment).order_by(monitors.c.created_at, monitors.c.name)
    return [_monitor(row) for row in view.rows(query)]


def put_monitor(change: Change, new: Monitor) -> None:
    values = asdict(new) | {"slices": list(new.slices)}
    if not change.execute(update(monitors).where(monitors.c.name == new.name).values(**values)):
        change.insert(monitors, **values)


def set_reviewed(change: Change, name: str, at: datetime) -> None:
    change.execute(update(monitors).where(monitors.c.name == name).values(last_reviewed_at=at))


def window(view: View, monitor: str, kind: str, identity: str) -> Window | None:
    row = view.first(select(windows).where(_is(monitor, kind, identity)))
    return row and _window(row)


def count_windows(view: View, monitor: str, kind: str) -> int:
    query = select(func.count()).select_from(windows).where(windows.c.monitor == monitor, windows.c.kind == kind)
    return int(view.scalar(query) or 0)


def windows_before(view: View, monitor: str, kind: str, moment: datetime, limit: int) -> list[Window]:
    """The latest judged windows that end at or before ``moment``, newest first."""
    c = windows.c
    query = select(windows).where(c.monitor == monitor, c.kind == kind, c.until <= moment)
    return [_window(row) for row in view.rows(query.order_by(c.since.desc()).limit(limit))]


def marks_of(view: View, monitor: str, kind: str) -> Sequence[Row[Any]]:
    """(id, since, until, n, labelled, is_mature, mark, judged_at) of every judged window, oldest first."""
    c = windows.c
    asked = (c.id, c.since, c.until, c.n, c.labelled, c.is_mature, c.mark, c.judged_at)
    return view.rows(select(*asked).where(c.monitor == monitor, c.kind == kind).order_by(c.since))


def mark_of_window(view: View, monitor: str, kind: str, identity: str) -> str | None:
    """From what a window was judged last, or None if it never was."""
    mark: str | None = view.scalar(select(windows.c.mark).where(_is(monitor, kind, identity)))
    return mark


def put_window(change: Change, new: Window) -> None:
    values = asdict(new) | {"verdicts": [asdict(verdict) for verdict in new.verdicts]}
    if not change.execute(update(windows).where(_is(new.monitor, new.kind, new.id)).values(**values)):
        change.insert(windows, **values)


def set_mark(ingest: Ingest, monitor: str, kind: str, identity: str, mark: str, at: datetime) -> None:
    """The window was looked at again and nothing had changed."""
    ingest.execute(update(windows).where(_is(monitor, kind, identity)).values(mark=mark, judged_at=at))


def baseline_blob(view: View, evaluation: str, form: int) -> str | None:
    query = select(baselines.c.blob).where(baselines.c.evaluation == evaluation, baselines.c.form == form)
    found: str | None = view.scalar(query)
    return found


def put_baseline(ingest: Ingest, evaluation: str, form: int, blob: str) -> None:
    if baseline_blob(ingest, evaluation, form) is None:
        ingest.insert(baselines, evaluation=evaluation, form=form, blob=blob, made_at=ingest.now())


def alert(view: View, identity: str) -> Alert | None:
    row = view.first(select(alerts).where(alerts.c.id == identity))
    return row and _alert(row)


def open_alert(view: View, monitor: str, key: str) -> Alert | None:
    c = alerts.c
    query = select(alerts).where(c.monitor == monitor, c.key == key, c.state.in_(OPEN_STATES))
    row = view.first(query.order_by(c.id.desc()).limit(1))
    return row and _alert(row)


def newest_alert(view: View, monitor: str, key: str) -> Alert | None:
    c = alerts.c
    row = view.first(select(alerts).where(c.monitor == monitor, c.key == key).order_by(c.id.desc()).limit(1))
    return row and _alert(row)


def open_alerts(view: View, monitor: str) -> list[Alert]:
    query = select(alerts).where(alerts.c.monitor == monitor, alerts.c.state.in_(OPEN_STATES))
    return [_alert(row) for row in view.rows(query.order_by(alerts.c.id))]


def listed_alerts(
    view: View, *, states: Iterable[str] | None, monitor: str | None, before: str | None, limit: int
) -> list[Alert]:
    """Alerts, newest first."""
    query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if states is not None:
        query = query.where(alerts.c.state.in_(list(states)))
    if monitor is not None:
        query = query.where(alerts.c.monitor == monitor)
    if before is not None:
        query = query.where(alerts.c.id < before)
    return [_alert(row) for row in view.rows(query)]


def put_alert(change: Change, new: Alert) -> None:
    change.execute(insert(alerts).values(**(asdict(new) | {"windows": list(new.windows)})))


def set_alert(ingest: Ingest, identity: str, **values: Any) -> None:
    if "windows" in values:
        values["windows"] = list(values["windows"])
    ingest.execute(update(alerts).where(alerts.c.id == identity).values(**values))


def put_review(change: Change, new: Review) -> None:
    change.insert(reviews, **asdict(new))


def reviews_of(view: View, monitor: str, limit: int = 100) -> list[Review]:
    query = select(reviews).where(reviews.c.monitor == monitor).order_by(reviews.c.id.desc()).limit(limit)
    return [Review(**row._mapping) for row in view.rows(query)]


def extent(view: View, deployment: str) -> Row[Any] | None:
    """(first, last, sealed_at): event times of the first and the last prediction, and when the last part was sealed."""
    c = parts.c
    query = select(
        func.min(c.since).label("first"), func.max(c.until).label("last"), func.max(c.sealed_at).label("sealed_at")
    )
    row = view.first(query.where(c.deployment == deployment))
    return None if row is None or row.first is None else row


def logged_between(view: View, deployment: str, since: datetime, until: datetime) -> Row[Any]:
    """(parts, rows, labels) of the parts that reach into [since, until); labels as often as something was told of them."""
    c = parts.c
    query = select(*_COUNTED).where(c.deployment == deployment, c.since < until, c.until >= since)
    row = view.first(query)
    assert row is not None
    return row


def logged_by_window(view: View, monitor: str, kind: str) -> dict[str, Row[Any]]:
    """`logged_between` of every judged window of a monitor that has any, by the window's id."""
    c, w = parts.c, windows.c
    inside = (c.deployment == w.deployment) & (c.since < w.until) & (c.until >= w.since)
    query = select(w.id, *_COUNTED).select_from(windows.join(parts, inside))
    found = view.rows(query.where(w.monitor == monitor, w.kind == kind).group_by(w.id))
    return {row.id: row for row in found}


_COUNTED = (
    func.count().label("parts"),
    func.coalesce(func.sum(parts.c.rows), 0).label("rows"),
    func.coalesce(func.sum(parts.c.labels), 0).label("labels"),
)


def _is(monitor: str, kind: str, identity: str) -> Any:
    return (windows.c.monitor == monitor) & (windows.c.kind == kind) & (windows.c.id == identity)


def _monitor(row: Row[Any]) -> Monitor:
    return Monitor(**{**row._mapping, "slices": tuple(row.slices)})


def _window(row: Row[Any]) -> Window:
    return Window(**{**row._mapping, "verdicts": tuple(Verdict(**verdict) for verdict in row.verdicts)})


def _alert(row: Row[Any]) -> Alert:
    return Alert(**{**row._mapping, "windows": tuple(row.windows)})
