# SPDX-License-Identifier: Apache-2.0
"""The tables of serving and the questions asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)

from mainstay.domain.release import RolloutConfig
from mainstay.domain.serving import Deployment, Feedback, Gateway, Part
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

deployments = Table(
    "deployments",
    metadata,
    Column("name", String, primary_key=True),
    Column("environment", String, nullable=False),
    Column("model", String, nullable=False, index=True),
    Column("owner", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("rollout", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", String, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("loaded", Json, nullable=False),
    Column("faults", Json, nullable=False),
)

# Running totals of one life of one gateway; a restart begins a new row, so that the sums never go back.
gateway_counts = Table(
    "gateway_counts",
    metadata,
    Column("gateway", String, primary_key=True),
    Column("started_at", Instant, primary_key=True),
    Column("deployment", String, primary_key=True),
    Column("release", Integer, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("predictions", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("slow", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
)

segments = Table(
    "segments",
    metadata,
    Column("gateway", String, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("sealed_at", Instant, nullable=False),
)

parts = Table(
    "prediction_parts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("deployment", String, nullable=False),
    Column("release", Integer, nullable=False),
    Column("gateway", String, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("blob", String(64), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first_id", String(32), nullable=False),
    Column("last_id", String(32), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("source", String, nullable=False),
    Column("sealed_at", Instant, nullable=False),
    # Counted as they come: a look at what has changed must not count a year of labels.
    Column("labels", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("gateway", "sequence", "deployment", "release"),
    Index(None, "deployment", "since", "until"),
    Index(None, "first_id", "last_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("prediction", String(32), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("label", Float, nullable=False),
    Column("at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("source", String, nullable=False),
    sqlite_with_rowid=False,
)


def deployment(view: View, name: str) -> Deployment | None:
    row = view.first(select(deployments).where(deployments.c.name == name))
    return row and _deployment(row)


def all_deployments(view: View) -> list[Deployment]:
    return [_deployment(row) for row in view.rows(select(deployments).order_by(deployments.c.name))]


def put_deployment(change: Change, new: Deployment) -> None:
    values = asdict(new)
    if not change.execute(update(deployments).where(deployments.c.name == new.name).values(**values)):
        change.insert(deployments, **values)


def put_gateway(ingest: Ingest, new: Gateway) -> None:
    values = asdict(new) | {"loaded": list(new.loaded), "faults": list(new.faults)}
    if not ingest.execute(update(gateways).where(gateways.c.id == new.id).values(**values)):
        ingest.insert(gateways, **values)


def all_gateways(view: View) -> list[Gateway]:
    query = select(gateways).order_by(gateways.c.reported_at.desc())
    rows = view.rows(query)
    return [Gateway(**{**row._mapping, "loaded": tuple(row.loaded), "faults": tuple(row.faults)}) for row in rows]


def forget_gateways(ingest: Ingest, before: datetime) -> None:
    ingest.execute(delete(gateways).where(gateways.c.reported_at < before))


def put_counts(ingest: Ingest, gateway: str, started_at: datetime, counts: Iterable[dict[str, Any]]) -> None:
    ours = (gateway_counts.c.gateway == gateway) & (gateway_counts.c.started_at == started_at)
    ingest.execute(delete(gateway_counts).where(ours))
    ingest.bulk_append(gateway_counts, [{"gateway": gateway, "started_at": started_at, **line} for line in counts])


def totals(view: View, name: str) -> dict[int, Row[Any]]:
    """Running totals of all gateways, by release. Bad events are requests: the rows of one are not independent."""
    c = gateway_counts.c
    sums = [func.sum(column).label(column.name) for column in (c.requests, c.errors, c.slow)]
    query = select(c.release, *sums).where(c.deployment == name).group_by(c.release)
    return {row.release: row for row in view.rows(query)}


def segment(view: View, gateway: str, sequence: int) -> Row[Any] | None:
    return view.first(select(segments).where(segments.c.gateway == gateway, segments.c.sequence == sequence))


def put_segment(ingest: Ingest, **values: Any) -> None:
    ingest.insert(segments, **values)


def put_part(change: Change, new: Part) -> None:
    change.insert(parts, **asdict(new))


def part_of(view: View, gateway: str, sequence: int, name: str, release: int) -> Part | None:
    """The part that a segment gave for one release, if it came before."""
    c = parts.c
    ours = (c.gateway == gateway) & (c.sequence == sequence) & (c.deployment == name) & (c.release == release)
    return next(iter(_parts(view, select(parts).where(ours))), None)


def parts_between(view: View, name: str, since: datetime, until: datetime) -> list[Part]:
    """Parts that may hold predictions with event time in [since, until)."""
    query = select(parts).where(parts.c.deployment == name, parts.c.since < until, parts.c.until >= since)
    return _parts(view, query.order_by(parts.c.first_id))


def parts_with_ids(view: View, lowest: str, highest: str) -> list[Part]:
    """Parts that may hold ids in [lowest, highest]."""
    query = select(parts).where(parts.c.first_id <= highest, parts.c.last_id >= lowest)
    return _parts(view, query.order_by(parts.c.first_id))


def newest_parts(
    view: View, name: str | None, limit: int, *, begun_before: str | None = None, ended_before: str | None = None
) -> list[Part]:
    """Parts in the order of their last ids, the newest first; those whose first, or last, id is below another."""
    query = select(parts).order_by(parts.c.last_id.desc()).limit(limit)
    if name is not None:
        query = query.where(parts.c.deployment == name)
    if begun_before is not None:
        query = query.where(parts.c.first_id < begun_before)
    if ended_before is not None:
        query = query.where(parts.c.last_id < ended_before)
    return _parts(view, query)


def parts_of_release(view: View, name: str, release: int) -> list[Part]:
    query = select(parts).where(parts.c.deployment == name, parts.c.release == release)
    return _parts(view, query.order_by(parts.c.first_id))


def span(view: View, name: str) -> tuple[datetime, datetime] | None:
    """Event times of the earliest and the latest prediction of a deployment."""
    ours = parts.c.deployment == name
    first, last = (
        view.scalar(select(func.min(parts.c.since)).where(ours)),
        view.scalar(select(func.max(parts.c.until)).where(ours)),
    )
    return None if first is None else (first, last)


def rows_logged(view: View, name: str | None = None) -> int:
    query = select(func.sum(parts.c.rows))
    return view.scalar(query if name is None else query.where(parts.c.deployment == name)) or 0


def feedback_between(view: View, lowest: str, highest: str) -> list[tuple[str, float, int]]:
    """(prediction, label, revision) of the latest revision, for ids in [lowest, highest]; in order of the ids."""
    f = feedback.c
    query = select(f.prediction, f.label, f.revision).where(f.prediction >= lowest, f.prediction <= highest)
    # One scan in the order of the key: of each id the last row is the one that counts. A self-join costs three times as much.
    newest = {row[0]: row for row in view.tuples(query.order_by(f.prediction, f.revision))}
    return list(newest.values())


def has_feedback(view: View, lowest: str, highest: str) -> bool:
    query = select(feedback.c.prediction).where(feedback.c.prediction >= lowest, feedback.c.prediction <= highest)
    return view.first(query.limit(1)) is not None


def feedback_on(view: View, prediction: str) -> list[Feedback]:
    query = select(feedback).where(feedback.c.prediction == prediction).order_by(feedback.c.revision)
    return [Feedback(**row._mapping) for row in view.rows(query)]


def put_feedback(ingest: Ingest, rows: Sequence[tuple[Any, ...]], part_by_prediction: Mapping[str, str]) -> None:
    """Add rows with a value for each column, and count them for the parts of their predictions."""
    ingest.bulk_append(feedback, rows, feedback.c.keys())
    for part, labels in Counter(part_by_prediction[row[0]] for row in rows).items():
        ingest.execute(update(parts).where(parts.c.id == part).values(labels=parts.c.labels + labels))


def feedback_total(view: View) -> int:
    return view.scalar(select(func.count(func.distinct(feedback.c.prediction)))) or 0


def _deployment(row: Row[Any]) -> Deployment:
    config = {**row.rollout, "steps": tuple(row.rollout["steps"]), "guards": tuple(row.rollout["guards"])}
    return Deployment(**{**row._mapping, "rollout": RolloutConfig(**config)})


def _parts(view: View, query: Any) -> list[Part]:
    return [Part(**row._mapping) for row in view.rows(query)]
