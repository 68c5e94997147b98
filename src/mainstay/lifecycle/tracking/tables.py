# SPDX-License-Identifier: Apache-2.0
"""The tables of runs and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import repeat
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    func,
    not_,
    select,
    tuple_,
    update,
)

from mainstay.domain.tracking import Artifact, Experiment, Link, Point, Run, Series
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

experiments = Table(
    "experiments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("parent", String(32)),
    Column("state", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("reason", Text, nullable=False),
    Column("because", BigInteger),
    Column("code", Json),
    Column("environment", String(64)),
    Column("seeds", Json),
    Column("hardware", Json),
    Column("error", Text),
    Index(None, "parent", "id"),
    Index(None, "kind", "id"),
    Index(None, "experiment", "id"),
)

# Hundreds of runs share one environment.
environments = Table(
    "environments",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", Json, nullable=False),
)

run_params = Table(
    "run_params",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Json),
    Index(None, "key", "value"),
)

run_tags = Table(
    "run_tags",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    Index(None, "key", "value"),
)

# Every point as it came; a point that was sent twice stands twice and is read once. No key, so that writing stays
# cheap.
metric_points = Table(
    "metric_points",
    metadata,
    Column("run", String(32), nullable=False),
    Column("key", String, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("value", Double, nullable=False),
    Index(None, "run", "key", "step"),
)

# The latest point of each metric: the greatest (step, at, value).
run_metrics = Table(
    "run_metrics",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("key", String, primary_key=True),
    Column("step", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("value", Double, nullable=False),
    Index(None, "key", "value"),
)

run_artifacts = Table(
    "run_artifacts",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("path", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String, nullable=False),
)

run_links = Table(
    "run_links",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("way", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("ref", String, primary_key=True),
    Column("name", String, primary_key=True),
    Index(None, "kind", "ref"),
)


def experiment(view: View, identity: int) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.id == identity))
    return row and Experiment(**row._mapping)


def experiment_named(view: View, name: str) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.name == name))
    return row and Experiment(**row._mapping)


def all_experiments(view: View, after: int, limit: int) -> list[Experiment]:
    query = select(experiments).where(experiments.c.id > after).order_by(experiments.c.id).limit(limit)
    return [Experiment(**row._mapping) for row in view.rows(query)]


def experiment_names(view: View, identities: Iterable[int]) -> dict[int, str]:
    query = select(experiments.c.id, experiments.c.name).where(experiments.c.id.in_(list(identities)))
    return {row.id: row.name for row in view.rows(query)}


def next_experiment(view: View) -> int:
    return int(view.scalar(select(func.coalesce(func.max(experiments.c.id) + 1, 0))))


def put_experiment(change: Change, new: Experiment) -> None:
    change.insert(experiments, **asdict(new))


def run(view: View, identity: str) -> Run | None:
    row = view.first(select(runs).where(runs.c.id == identity))
    return row and Run(**row._mapping)


def state_of(view: View, identity: str) -> str | None:
    state: str | None = view.scalar(select(runs.c.state).where(runs.c.id == identity))
    return state


def is_open(view: View, identity: str) -> bool | None:
    """Whether the run takes logs: while it runs, and a step as long as its pipeline's run does. None: no such run."""
    outer = runs.alias("outer")
    query = select(runs.c.state, runs.c.kind, outer.c.state.label("parent_state"))
    row = view.first(query.outerjoin(outer, outer.c.id == runs.c.parent).where(runs.c.id == identity))
    return row and (row.state == "running" or (row.kind == "step" and row.parent_state == "running"))


def children(view: View, parent: str) -> list[Run]:
    return [Run(**row._mapping) for row in view.rows(select(runs).where(runs.c.parent == parent).order_by(runs.c.id))]


def put_run(change: Change, new: Run) -> None:
    change.insert(runs, **asdict(new))


def end_run(change: Change, identity: str, *, state: str, at: datetime | None, error: str | None) -> None:
    change.execute(update(runs).where(runs.c.id == identity).values(state=state, ended_at=at, error=error))


def environment(view: View, digest: str) -> dict[str, Any] | None:
    content: dict[str, Any] | None = view.scalar(select(environments.c.content).where(environments.c.digest == digest))
    return content


def put_environment(change: Change, digest: str, content: Mapping[str, Any]) -> None:
    if environment(change, digest) is None:
        change.insert(environments, digest=digest, content=content)


def params_of(view: View, identity: str, keys: Iterable[str] | None = None) -> dict[str, Any]:
    query = select(run_params.c.key, run_params.c.value).where(run_params.c.run == identity)
    if keys is not None:
        query = query.where(run_params.c.key.in_(list(keys)))
    return {row.key: row.value for row in view.rows(query.order_by(run_params.c.key))}


def put_params(ingest: Ingest, identity: str, params: Mapping[str, Any]) -> None:
    ingest.bulk_append(run_params, ({"run": identity, "key": key, "value": value} for key, value in params.items()))


def put_tags(ingest: Ingest, identity: str, tags: Mapping[str, str]) -> None:
    ingest.execute(delete(run_tags).where(run_tags.c.run == identity, run_tags.c.key.in_(list(tags))))
    ingest.bulk_append(run_tags, ({"run": identity, "key": key, "value": value} for key, value in tags.items()))


def append_points(ingest: Ingest, identity: str, points: Sequence[Point]) -> None:
    ingest.bulk_append(
        metric_points,
        ({"run": identity, "key": p.key, "step": p.step, "at": p.at, "value": p.value} for p in points),
    )


def append_series(ingest: Ingest, identity: str, series: Iterable[Series]) -> None:
    ingest.bulk_append(
        metric_points,
        (
            row
            for each in series
            for row in zip(repeat(identity), repeat(each.key), each.steps, each.at_us, each.values, strict=False)
        ),
        columns=("run", "key", "step", "at", "value"),
    )


def latest_points(view: View, identity: str, keys: Iterable[str] | None = None) -> dict[str, Point]:
    query = select(run_metrics).where(run_metrics.c.run == identity)
    if keys is not None:
        query = query.where(run_metrics.c.key.in_(list(keys)))
    return {row.key: _point(row) for row in view.rows(query.order_by(run_metrics.c.key))}


def values_of_runs(view: View, what: str, identities: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Values of the ``what`` (params, metrics or tags) of many runs, by run and key."""
    table = {"params": run_params, "metrics": run_metrics, "tags": run_tags}[what]
    found: dict[str, dict[str, Any]] = {identity: {} for identity in identities}
    query = select(table.c.run, table.c.key, table.c.value).where(table.c.run.in_(identities))
    for row in view.rows(query.order_by(table.c.run, table.c.key)):
        found[row.run][row.key] = row.value
    return found


def put_latest(ingest: Ingest, identity: str, points: Mapping[str, Point]) -> None:
    ingest.execute(delete(run_metrics).where(run_metrics.c.run == identity, run_metrics.c.key.in_(list(points))))
    ingest.bulk_append(
        run_metrics,
        ({"run": identity, "key": p.key, "step": p.step, "at": p.at, "value": p.value} for p in points.values()),
    )


def points_of(
    view: View, identity: str, key: str | None, *, after: tuple[int, datetime, float] | None = None, limit: int | None
) -> list[Point]:
    """Each point once, in the order (key, step, at, value)."""
    c = metric_points.c
    query = select(c.key, c.step, c.at, c.value).where(c.run == identity).distinct()
    if key is not None:
        query = query.where(c.key == key)
    if after is not None:
        query = query.where(tuple_(c.step, c.at, c.value) > after)
    return [_point(row) for row in view.rows(query.order_by(c.key, c.step, c.at, c.value).limit(limit))]


def steps_and_values(
    view: View, identity: str, key: str, *, since: int | None, until: int | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two columns of a metric's points, by step; what is no number is NaN."""
    c = metric_points.c
    query = select(c.step, c.value).where(c.run == identity, c.key == key).order_by(c.step)
    if since is not None:
        query = query.where(c.step >= since)
    if until is not None:
        query = query.where(c.step <= until)
    found = view.rows(query)
    return (
        np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found)),
        np.array([row[1] for row in found], dtype=np.float64),
    )


def points_at(view: View, identity: str, key: str, steps: Sequence[int]) -> list[Point]:
    """Each point of some steps once, in the order (step, at, value)."""
    c = metric_points.c
    found: list[Point] = []
    for start in range(0, len(steps), 500):
        some = steps[start : start + 500]
        query = select(c.key, c.step, c.at, c.value).where(c.run == identity, c.key == key, c.step.in_(some)).distinct()
        found += [_point(row) for row in view.rows(query.order_by(c.step, c.at, c.value))]
    return found


def artifacts_of(view: View, identity: str) -> list[Artifact]:
    c = run_artifacts.c
    query = select(c.path, c.digest, c.size, c.media_type).where(c.run == identity).order_by(c.path)
    return [Artifact(**row._mapping) for row in view.rows(query)]


def put_artifact(ingest: Ingest, identity: str, new: Artifact) -> None:
    same = (run_artifacts.c.run == identity) & (run_artifacts.c.path == new.path)
    ingest.execute(delete(run_artifacts).where(same))
    ingest.insert(run_artifacts, run=identity, **asdict(new))


def links_of(view: View, identity: str) -> list[Link]:
    c = run_links.c
    query = select(c.way, c.kind, c.ref, c.name).where(c.run == identity).order_by(c.way, c.name, c.kind, c.ref)
    return [Link(**row._mapping) for row in view.rows(query)]


def put_links(ingest: Ingest, identity: str, links: Iterable[Link]) -> None:
    ingest.bulk_append(run_links, ({"run": identity, **asdict(link)} for link in links))


def rename_ref(ingest: Ingest, kind: str, before: str, after: str) -> None:
    ingest.execute(update(run_links).where(run_links.c.kind == kind, run_links.c.ref == before).values(ref=after))


def runs_linked(view: View, way: str, kind: str, ref: str) -> list[str]:
    c = run_links.c
    query = select(c.run).where(c.kind == kind, c.ref == ref, c.way == way).distinct().order_by(c.run.desc())
    return [row.run for row in view.rows(query)]


def search(view: View, query: Select[Any]) -> list[Run]:
    return [Run(**row._mapping) for row in view.rows(query)]


def newest_runs(
    *,
    kind: str | None,
    experiment: int | None,
    state: str | None,
    parent: str | None,
    after: str | None,
    limit: int,
) -> Select[Any]:
    """The question for runs, newest first, to which conditions can be added."""
    wanted = {"kind": kind, "experiment": experiment, "state": state, "parent": parent}
    query = select(runs).order_by(runs.c.id.desc()).limit(limit)
    query = query.where(*(runs.c[name] == value for name, value in wanted.items() if value is not None))
    return query if after is None else query.where(runs.c.id < after)


def where_attribute(query: Select[Any], name: str, operator: str, value: Any) -> Select[Any]:
    return query.where(_compared(runs.c[name], operator, value))


def where_metric(query: Select[Any], key: str, operator: str, value: float) -> Select[Any]:
    c = run_metrics.c
    return query.where(runs.c.id.in_(select(c.run).where(c.key == key, _compared(c.value, operator, value))))


def where_param(query: Select[Any], key: str, operator: str, values: Sequence[Any]) -> Select[Any]:
    """``=`` holds for any of ``values``, ``!=`` for none of them."""
    c = run_params.c
    same = c.value.in_(values)
    return query.where(runs.c.id.in_(select(c.run).where(c.key == key, same if operator == "=" else not_(same))))


def where_tag(query: Select[Any], key: str, operator: str, value: str) -> Select[Any]:
    c = run_tags.c
    return query.where(runs.c.id.in_(select(c.run).where(c.key == key, _compared(c.value, operator, value))))


def _compared(column: Any, operator: str, value: Any) -> Any:
    return {
        "=": lambda: column == value,
        "!=": lambda: column != value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
    }[operator]()


def _point(row: Row[Any]) -> Point:
    return Point(key=row.key, value=row.value, step=row.step, at=row.at)
