# SPDX-License-Identifier: Apache-2.0
"""The tables of release and the questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, Index, Integer, Row, String, Table, Text, func, select, update

from mainstay.domain.release import GateResult, Release, Rollout, RolloutConfig
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

releases = Table(
    "releases",
    metadata,
    Column("deployment", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("manifest", Json, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("requested_by", String, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("because", Integer),
    Column("authors", Json, nullable=False),
    Column("job", String(32)),
    Column("gates", Json, nullable=False),
    Column("evidence_blob", String(64)),
    Column("judged_at", Instant),
    Index(None, "state"),
    Index(None, "model", "version"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("deployment", String, nullable=False),
    Column("release", Integer, nullable=False),
    Column("champion", Integer),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("config", Json, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share_bp", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("step_started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("evidence", Json, nullable=False),
    Column("marks", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "deployment", "state"),
)

UNDER_WAY = ("running", "paused", "held")


def next_number(view: View, deployment: str) -> int:
    query = select(func.max(releases.c.number)).where(releases.c.deployment == deployment)
    return (view.scalar(query) or 0) + 1


def release(view: View, deployment: str, number: int) -> Release | None:
    row = view.first(select(releases).where(releases.c.deployment == deployment, releases.c.number == number))
    return row and _release(row)


def release_in_state(view: View, deployment: str, state: str) -> Release | None:
    query = select(releases).where(releases.c.deployment == deployment, releases.c.state == state)
    row = view.first(query.order_by(releases.c.number.desc()).limit(1))
    return row and _release(row)


def releases_of(view: View, deployment: str | None = None, limit: int = 1000) -> list[Release]:
    query = select(releases).order_by(releases.c.requested_at.desc(), releases.c.number.desc()).limit(limit)
    if deployment is not None:
        query = query.where(releases.c.deployment == deployment)
    return [_release(row) for row in view.rows(query)]


def releases_in_states(view: View, states: Sequence[str]) -> list[Release]:
    query = select(releases).where(releases.c.state.in_(states)).order_by(releases.c.requested_at)
    return [_release(row) for row in view.rows(query)]


def releases_of_version(view: View, model: str, version: int) -> list[Release]:
    query = select(releases).where(releases.c.model == model, releases.c.version == version)
    return [_release(row) for row in view.rows(query.order_by(releases.c.requested_at))]


def put_release(change: Change, new: Release) -> None:
    change.insert(releases, **(asdict(new) | {"authors": list(new.authors), "gates": [asdict(g) for g in new.gates]}))


def set_release(change: Change, deployment: str, number: int, **values: Any) -> None:
    if "gates" in values:
        values["gates"] = [asdict(gate) for gate in values["gates"]]
    where = (releases.c.deployment == deployment) & (releases.c.number == number)
    change.execute(update(releases).where(where).values(**values))


def rollout(view: View, identity: str) -> Rollout | None:
    row = view.first(select(rollouts).where(rollouts.c.id == identity))
    return row and _rollout(row)


def rollout_under_way(view: View, deployment: str) -> Rollout | None:
    query = select(rollouts).where(rollouts.c.deployment == deployment, rollouts.c.state.in_(UNDER_WAY))
    row = view.first(query.order_by(rollouts.c.started_at.desc()).limit(1))
    return row and _rollout(row)


def rollouts_under_way(view: View) -> list[Rollout]:
    query = select(rollouts).where(rollouts.c.state.in_(UNDER_WAY)).order_by(rollouts.c.started_at)
    return [_rollout(row) for row in view.rows(query)]


def rollouts_of(view: View, deployment: str, release: int | None = None) -> list[Rollout]:
    query = select(rollouts).where(rollouts.c.deployment == deployment).order_by(rollouts.c.started_at.desc())
    if release is not None:
        query = query.where(rollouts.c.release == release)
    return [_rollout(row) for row in view.rows(query)]


def put_rollout(change: Change, new: Rollout) -> None:
    change.insert(rollouts, **(asdict(new) | {"evidence": list(new.evidence)}))


def set_rollout(change: Change, identity: str, **values: Any) -> None:
    change.execute(update(rollouts).where(rollouts.c.id == identity).values(**values))


def set_rollout_marks(ingest: Ingest, identity: str, marks: dict[str, Any]) -> None:
    ingest.execute(update(rollouts).where(rollouts.c.id == identity).values(marks=marks))


def _release(row: Row[Any]) -> Release:
    gates = tuple(GateResult(**gate) for gate in row.gates)
    return Release(**{**row._mapping, "authors": tuple(row.authors), "gates": gates})


def _rollout(row: Row[Any]) -> Rollout:
    config = {**row.config, "steps": tuple(row.config["steps"]), "guards": tuple(row.config["guards"])}
    return Rollout(**{**row._mapping, "config": RolloutConfig(**config), "evidence": tuple(row.evidence)})
