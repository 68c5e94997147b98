# SPDX-License-Identifier: Apache-2.0
"""The tables of runs and the questions asked of them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid
from mainstay.domain.search import PRESENCE, Comparison, Order
from mainstay.domain.tracking import Artifact, Experiment, Link, LoggedModel, ModelMetric, Run, SeenDataset
from mainstay.store import Change, Ingest, Instant, Json, View, metadata
from mainstay.store.conditions import behind, compared

# As long a beginning of a text as an index holds; the rest stands beside it. PostgreSQL's takes no long ones.
INDEXED = 200
_MANY = 500  # ids in one question: databases have a limit for them

experiments = Table(
    "experiments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
)

experiment_tags = Table(
    "experiment_tags",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
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
    Column("claimed_by", String),
    Column("closed_at", Instant),
    Column("amended_at", Instant, index=True),
    Column("deleted_at", Instant),
    Index(None, "parent", "id"),
    Index(None, "kind", "started_at", "id"),
    Index(None, "experiment", "started_at", "id"),
    Index(None, "started_at", "id"),
)

# Hundreds of runs share one environment.
environments = Table(
    "environments",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", Json, nullable=False),
)

# ``experiment`` is repeated in what a run logged, so that an index leads through one experiment in the order of a value.
# ``value`` is the beginning of the text and ``more`` the rest; a value that is no text stands as its canonical JSON.
run_params = Table(
    "run_params",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("key", String, primary_key=True),
    Column("value", String(INDEXED), nullable=False),
    Column("more", Text),
    Column("is_text", Boolean, nullable=False),
    Column("number", Double),
    Index(None, "experiment", "key", "value"),
    Index(None, "experiment", "key", "number"),
    sqlite_with_rowid=False,
)

run_tags = Table(
    "run_tags",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("key", String, primary_key=True),
    Column("value", String(INDEXED), nullable=False),
    Column("more", Text),
    Index(None, "experiment", "key", "value"),
    sqlite_with_rowid=False,
)

# A metric of a run is a series with a number of its own, and here with its latest point: the greatest (step, at, value).
# A value that is no number is NULL: databases have no NaN in common.
run_metrics = Table(
    "run_metrics",
    metadata,
    Column("series", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("run", String(32), nullable=False),
    Column("experiment", Integer, nullable=False),
    Column("key", String, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("value", Double),
    UniqueConstraint("run", "key"),
    Index(None, "experiment", "key", "value", "run"),
)

# Every point as it came, as four numbers; one that was sent twice stands twice and is read once. ``at`` is in microseconds
# since 1970 and no `Instant`: points come and go by the hundred thousand, and nobody needs each of them as an object.
metric_points = Table(
    "metric_points",
    metadata,
    Column("series", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("value", Double),
    Index(None, "series", "step", "at", "value"),
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
    Column("place", Integer, nullable=False),
    Column("step", BigInteger),
    Column("context", Text),
    Column("tags", Json),
    Index(None, "kind", "ref"),
)

# What other tools tell of a dataset that a run read, once an experiment: a schema or a profile may be large.
seen_datasets = Table(
    "seen_datasets",
    metadata,
    Column("experiment", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text),
    Column("profile", Text),
)

logged_models = Table(
    "logged_models",
    metadata,
    Column("id", String(34), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("run", String(32), index=True),
    Column("actor", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Index(None, "experiment", "created_at", "id"),
)

logged_model_params = Table(
    "logged_model_params",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

logged_model_tags = Table(
    "logged_model_tags",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# A point of a run's metric that was measured of a model, on a dataset, or both.
logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("model", String(34)),
    Column("run", String(32), nullable=False),
    Column("key", String, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("value", Double),
    Column("dataset_name", String),
    Column("dataset_digest", String),
    Index(None, "model", "key"),
    Index(None, "run", "key"),
)

logged_model_artifacts = Table(
    "logged_model_artifacts",
    metadata,
    Column("model", String(34), primary_key=True),
    Column("path", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String, nullable=False),
)


def experiment(view: View, identity: int) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.id == identity))
    return row and Experiment(**row._mapping)


def experiment_named(view: View, name: str) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.name == name))
    return row and Experiment(**row._mapping)


def all_experiments(view: View, after: int, limit: int, deleted: bool | None) -> list[Experiment]:
    c = experiments.c
    query = select(experiments).where(c.id > after, *_shown(c.deleted_at, deleted)).order_by(c.id).limit(limit)
    return [Experiment(**row._mapping) for row in view.rows(query)]


def experiment_names(view: View, identities: Iterable[int]) -> dict[int, str]:
    query = select(experiments.c.id, experiments.c.name).where(experiments.c.id.in_(list(identities)))
    return {row.id: row.name for row in view.rows(query)}


def next_experiment(view: View) -> int:
    return int(view.scalar(select(func.coalesce(func.max(experiments.c.id) + 1, 0))))


def put_experiment(change: Change, new: Experiment) -> None:
    change.insert(experiments, **asdict(new))


def set_experiment(ingest: Ingest, identity: int, **values: Any) -> None:
    ingest.execute(update(experiments).where(experiments.c.id == identity).values(**values))


def experiment_tags_of(view: View, identities: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {identity: {} for identity in identities}
    c = experiment_tags.c
    for row in view.rows(select(c.experiment, c.key, c.value).where(c.experiment.in_(identities)).order_by(c.key)):
        found[row.experiment][row.key] = row.value
    return found


def put_experiment_tags(ingest: Ingest, identity: int, tags: Mapping[str, str]) -> None:
    remove_experiment_tags(ingest, identity, list(tags))
    rows = ({"experiment": identity, "key": key, "value": value} for key, value in tags.items())
    ingest.bulk_append(experiment_tags, rows)


def remove_experiment_tags(ingest: Ingest, identity: int, keys: Sequence[str]) -> int:
    c = experiment_tags.c
    return ingest.execute(delete(experiment_tags).where(c.experiment == identity, c.key.in_(keys)))


def find_experiments(
    view: View,
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    *,
    deleted: bool | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[tuple[list[Any], Experiment]]:
    """A page of experiments, each with its place in the order; the last changed first, where nothing else is asked."""
    query = select(*experiments.c).where(*_shown(experiments.c.deleted_at, deleted))
    query = query.where(*(_experiment_holds(comparison) for comparison in comparisons))
    terms = [Term(0, _column(experiments, order.key), order.descending) for order in orders]
    terms += [Term(0, _micros(experiments.c.updated_at), True), Term(0, experiments.c.id, True)]
    return [(place, Experiment(**values)) for place, values in _rows(view, query, terms, after, limit)]


def _experiment_holds(comparison: Comparison) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(_column(experiments, key), operator, value)
    return _has(experiment_tags, experiment_tags.c.experiment == experiments.c.id, key, operator, value)


def delete_runs_of(change: Change, experiment: int, at: datetime) -> int:
    there = (runs.c.experiment == experiment) & runs.c.deleted_at.is_(None)
    return change.execute(update(runs).where(there).values(deleted_at=at))


def restore_runs_of(change: Change, experiment: int, at: datetime) -> int:
    """Those that were put away at the very moment ``at``: with the experiment, not before it."""
    gone = (runs.c.experiment == experiment) & (runs.c.deleted_at == at)
    return change.execute(update(runs).where(gone).values(deleted_at=None))


def run(view: View, identity: str) -> Run | None:
    row = view.first(select(runs).where(runs.c.id == identity))
    return row and Run(**row._mapping)


class Footing(NamedTuple):
    """What decides whether a run takes logs. A step's record is open as long as that of its pipeline's run."""

    experiment: int
    is_open: bool
    is_deleted: bool


def footing(view: View, identity: str) -> Footing | None:
    row = view.first(_FOOTING, {"wanted": identity})
    if row is None:
        return None
    closed_at = row.outer_closed_at if row.kind == "step" else row.closed_at
    return Footing(row.experiment, closed_at is None, row.deleted_at is not None)


_outer = runs.alias("outer")
_FOOTING = (
    select(
        runs.c.experiment,
        runs.c.kind,
        runs.c.closed_at,
        runs.c.deleted_at,
        _outer.c.closed_at.label("outer_closed_at"),
    )
    .outerjoin(_outer, and_(_outer.c.id == runs.c.parent, runs.c.kind == "step"))
    .where(runs.c.id == bindparam("wanted"))
)


def children(view: View, parent: str) -> list[Run]:
    return [Run(**row._mapping) for row in view.rows(select(runs).where(runs.c.parent == parent).order_by(runs.c.id))]


def amended_before(view: View, moment: datetime) -> list[str]:
    c = runs.c
    return [row.id for row in view.rows(select(c.id).where(c.amended_at < moment).order_by(c.amended_at).limit(100))]


def put_run(change: Change, new: Run) -> None:
    change.insert(runs, **asdict(new))


def put_runs(change: Change, new: Sequence[Run]) -> None:
    change.bulk_append(runs, [vars(each) for each in new])


def set_run(ingest: Ingest, identity: str, **values: Any) -> None:
    ingest.execute(update(runs).where(runs.c.id == identity).values(**values))


def environment(view: View, digest: str) -> dict[str, Any] | None:
    content: dict[str, Any] | None = view.scalar(select(environments.c.content).where(environments.c.digest == digest))
    return content


def put_environment(change: Change, digest: str, content: Mapping[str, Any]) -> None:
    if environment(change, digest) is None:
        change.insert(environments, digest=digest, content=content)


def params_of(view: View, identity: str, keys: Iterable[str] | None = None) -> dict[str, Any]:
    c = run_params.c
    query = select(c.key, c.value, c.more, c.is_text).where(c.run == identity)
    if keys is not None:
        query = query.where(c.key.in_(list(keys)))
    return {row.key: _param_value(row.value, row.more, row.is_text) for row in view.rows(query.order_by(c.key))}


def put_params(ingest: Ingest, identity: str, experiment: int, params: Mapping[str, Any]) -> None:
    ingest.bulk_append(
        run_params, ({"run": identity, "experiment": experiment, "key": k, **_param(v)} for k, v in params.items())
    )


def tags_of(view: View, identity: str) -> dict[str, str]:
    return values_of_runs(view, "tags", [identity])[identity]


def put_tags(ingest: Ingest, identity: str, experiment: int, tags: Mapping[str, str]) -> None:
    remove_tags(ingest, identity, list(tags))
    rows = (
        {
            "run": identity,
            "experiment": experiment,
            "key": key,
            "value": value[:INDEXED],
            "more": value[INDEXED:] or None,
        }
        for key, value in tags.items()
    )
    ingest.bulk_append(run_tags, rows)


def remove_tags(ingest: Ingest, identity: str, keys: Sequence[str]) -> int:
    return ingest.execute(delete(run_tags).where(run_tags.c.run == identity, run_tags.c.key.in_(keys)))


Reading = tuple[int, int, float | None]
"""One point as it is stored: step, microseconds since 1970, and the value or None for what is no number."""


class Standing(NamedTuple):
    """How a metric of a run stands: the number of its series, and its latest reading."""

    series: int
    latest: Reading


def series_of(view: View, identity: str, keys: Collection[str] | None = None) -> dict[str, Standing]:
    if keys is not None and len(keys) == 1:  # as most calls have it: one metric, one point
        rows: Sequence[Any] = view.rows(_ONE_SERIES, {"wanted": identity, "one": next(iter(keys))})
    else:
        some = [] if keys is None else [run_metrics.c.key.in_(list(keys))]
        rows = view.rows(_SERIES.where(*some), {"wanted": identity})
    return {key: Standing(series, (step, at, value)) for key, series, step, at, value in rows}


_SERIES = (
    select(run_metrics.c.key, run_metrics.c.series, run_metrics.c.step, run_metrics.c.at, run_metrics.c.value)
    .where(run_metrics.c.run == bindparam("wanted"))
    .order_by(run_metrics.c.key)
)
_ONE_SERIES = _SERIES.where(run_metrics.c.key == bindparam("one"))


def begin_series(ingest: Ingest, identity: str, experiment: int, latest: Mapping[str, Reading]) -> dict[str, Standing]:
    """New series, each with its latest reading."""
    rows = [(identity, experiment, key, *reading) for key, reading in latest.items()]
    ingest.bulk_append(run_metrics, rows, columns=("run", "experiment", "key", "step", "at", "value"))
    return series_of(ingest, identity, latest)


def put_latest(ingest: Ingest, latest: Mapping[int, Reading]) -> None:
    rows = [{"which": which, "step": s, "at": at, "value": value} for which, (s, at, value) in latest.items()]
    ingest.execute(_PUT_LATEST, rows)


_PUT_LATEST = update(run_metrics).where(run_metrics.c.series == bindparam("which"))


def append_points(ingest: Ingest, readings: Mapping[int, Sequence[Reading]]) -> None:
    rows = [(series, *reading) for series, several in readings.items() for reading in several]
    ingest.bulk_append(metric_points, rows, columns=("series", "step", "at", "value"))


def readings_of(
    view: View,
    series: int,
    *,
    by_time: bool = False,
    after: Reading | None = None,
    since: int | None = None,
    until: int | None = None,
    limit: int | None = None,
) -> list[Reading]:
    """Readings in the order (step, at, value), or (at, step, value) where ``by_time``; what is no number first among equals.

    A reading that was sent twice is here twice. ``since`` and ``until`` are steps, both included.
    """
    c = metric_points.c
    order = (c.at, c.step) if by_time else (c.step, c.at)
    query = select(c.step, c.at, c.value).where(c.series == series).order_by(*order, c.value.nulls_first()).limit(limit)
    if since is not None:
        query = query.where(c.step >= since)
    if until is not None:
        query = query.where(c.step <= until)
    if after is not None:
        step, at, value = after
        place = (at, step, value) if by_time else (step, at, value)
        # The first term is said twice: by it alone the index can be entered where the page begins.
        query = query.where(order[0] >= place[0], behind([(one, False) for one in (*order, c.value)], place))
    return view.tuples(query)


def extent_of(view: View, series: int, since: int | None, until: int | None) -> tuple[int, int, int]:
    """How many readings a series has, and its least and greatest step; 0 of them: no readings."""
    c = metric_points.c
    bounds = [c.step >= since] if since is not None else []
    bounds += [c.step <= until] if until is not None else []
    query = select(func.count(), func.min(c.step), func.max(c.step)).where(c.series == series, *bounds)
    [(count, least, greatest)] = view.tuples(query)
    return count, least or 0, greatest or 0


def readings_at(view: View, series: int, steps: Sequence[int]) -> list[Reading]:
    """The readings of these steps, in the order (step, at, value)."""
    c = metric_points.c
    query = select(c.step, c.at, c.value).where(c.series == series, c.step.in_(steps))
    return view.tuples(query.order_by(c.step, c.at, c.value.nulls_first()))


def values_of_runs(view: View, what: str, identities: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Values of the ``what`` (params or tags) of many runs, by run and key."""
    table, columns = {
        "params": (run_params, ("value", "more", "is_text")),
        "tags": (run_tags, ("value", "more")),
    }[what]
    found: dict[str, dict[str, Any]] = {identity: {} for identity in identities}
    for some in _in_parts(identities):
        query = select(table.c.run, table.c.key, *(table.c[name] for name in columns)).where(table.c.run.in_(some))
        for run, key, *parts in view.tuples(query.order_by(table.c.run, table.c.key)):
            found[run][key] = _param_value(*parts) if what == "params" else parts[0] + (parts[1] or "")
    return found


def latest_of_runs(view: View, identities: Sequence[str]) -> dict[str, dict[str, Reading]]:
    """The latest reading of every metric of many runs, by run and key."""
    c = run_metrics.c
    found: dict[str, dict[str, Reading]] = {identity: {} for identity in identities}
    for some in _in_parts(identities):
        query = select(c.run, c.key, c.step, c.at, c.value).where(c.run.in_(some)).order_by(c.run, c.key)
        for run, key, step, at, value in view.tuples(query):
            found[run][key] = (step, at, value)
    return found


def artifacts_of(view: View, owner: str, *, below: str = "") -> list[Artifact]:
    """The files of a run or a logged model, by path; ``below`` is a folder that ends in ``/``."""
    table, column = _artifacts(owner)
    c = table.c
    query = select(c.path, c.digest, c.size, c.media_type).where(column == owner).order_by(c.path)
    if below:
        query = query.where(c.path > below, c.path < below[:-1] + "0")  # "0" is the character behind "/"
    return [Artifact(**row._mapping) for row in view.rows(query)]


def artifact(view: View, owner: str, path: str) -> Artifact | None:
    table, column = _artifacts(owner)
    c = table.c
    row = view.first(select(c.path, c.digest, c.size, c.media_type).where(column == owner, c.path == path))
    return row and Artifact(**row._mapping)


def put_artifact(ingest: Ingest, owner: str, new: Artifact) -> None:
    table, column = _artifacts(owner)
    ingest.execute(delete(table).where(column == owner, table.c.path == new.path))
    ingest.insert(table, **{column.key: owner}, **asdict(new))


def remove_artifacts(ingest: Ingest, owner: str, path: str) -> int:
    """Forget a file, or every file below a folder ("" is all of it); the bytes stay."""
    table, column = _artifacts(owner)
    inside = and_(table.c.path > path + "/", table.c.path < path + "0") if path else true()
    return ingest.execute(delete(table).where(column == owner, or_(table.c.path == path, inside)))


def _artifacts(owner: str) -> tuple[Table, Any]:
    """A logged model's id begins with ``m-``, which a run's cannot."""
    table = logged_model_artifacts if owner.startswith("m-") else run_artifacts
    return table, table.c.model if owner.startswith("m-") else table.c.run


def links_of(view: View, identity: str) -> list[Link]:
    return links_of_runs(view, [identity])[identity]


def links_of_runs(view: View, identities: Sequence[str]) -> dict[str, list[Link]]:
    c = run_links.c
    found: dict[str, list[Link]] = {identity: [] for identity in identities}
    for some in _in_parts(identities):
        query = select(c.run, c.way, c.kind, c.ref, c.name, c.step, c.context, c.tags).where(c.run.in_(some))
        query = query.order_by(c.run, c.way, c.place, c.name, c.kind, c.ref)
        rows: Sequence[Any] = view.rows(query)
        for run, way, kind, ref, name, step, context, tags in rows:
            found[run].append(Link(way=way, kind=kind, ref=ref, name=name, step=step, context=context, tags=tags))
    return found


def put_links(ingest: Ingest, identity: str, links: Sequence[Link]) -> None:
    first = ingest.scalar(select(func.count()).select_from(run_links).where(run_links.c.run == identity))
    rows = ({"run": identity, "place": first + n, **asdict(link)} for n, link in enumerate(links))
    ingest.bulk_append(run_links, rows)


def put_links_of_new(ingest: Ingest, links_by_run: Mapping[str, Sequence[Link]]) -> None:
    rows = [
        {"run": run, "place": place, **asdict(link)}
        for run, links in links_by_run.items()
        for place, link in enumerate(links)
    ]
    ingest.bulk_append(run_links, rows)


def rename_ref(ingest: Ingest, kind: str, before: str, after: str) -> None:
    ingest.execute(update(run_links).where(run_links.c.kind == kind, run_links.c.ref == before).values(ref=after))


def runs_linked(view: View, way: str, kind: str, ref: str) -> list[str]:
    c = run_links.c
    query = select(c.run).where(c.kind == kind, c.ref == ref, c.way == way).distinct().order_by(c.run.desc())
    return [row.run for row in view.rows(query)]


def see_datasets(ingest: Ingest, experiment: int, seen: Iterable[SeenDataset]) -> None:
    for one in seen:
        if seen_dataset(ingest, experiment, one.name, one.digest) is None:
            ingest.insert(seen_datasets, experiment=experiment, **asdict(one))


def seen_dataset(view: View, experiment: int, name: str, digest: str) -> SeenDataset | None:
    c = seen_datasets.c
    query = select(c.name, c.digest, c.source_type, c.source, c.schema, c.profile)
    row = view.first(query.where(c.experiment == experiment, c.name == name, c.digest == digest))
    return row and SeenDataset(**row._mapping)


def datasets_of_runs(view: View, identities: Sequence[str]) -> dict[tuple[int, str, str], SeenDataset]:
    """What is known of every dataset that these runs read, by experiment, name and digest."""
    d = seen_datasets.c
    found: dict[tuple[int, str, str], SeenDataset] = {}
    for some in _in_parts(identities):
        here = (run_links.c.kind == "dataset") & (run_links.c.name == d.name) & (run_links.c.ref == d.digest)
        read = exists().where(run_links.c.run == runs.c.id, here, runs.c.experiment == d.experiment)
        query = select(seen_datasets).where(exists().where(runs.c.id.in_(some), read))
        for experiment, *facts in view.tuples(query):
            seen = SeenDataset(**dict(zip(_SEEN, facts, strict=True)))
            found[experiment, seen.name, seen.digest] = seen
    return found


_SEEN = tuple(column.name for column in seen_datasets.c)[1:]


def dataset_summaries(view: View, experiments: Sequence[int], limit: int) -> list[tuple[int, str, str, str | None]]:
    """Which datasets the runs of experiments read, and in which context: each once."""
    c = run_links.c
    query = select(runs.c.experiment, c.name, c.ref, c.context).join(runs, runs.c.id == c.run)
    query = query.where(c.kind == "dataset", runs.c.experiment.in_(experiments), runs.c.deleted_at.is_(None))
    return [tuple(row) for row in view.rows(query.distinct().order_by(c.name, c.ref, c.context).limit(limit))]


# Searches. A search is answered in one of two ways. *Gather*: every run that meets the conditions, sorted. *Walk*: an index is
# followed in the order that was asked for until the page is full: first the runs with a value, then those whose value is no
# number, then those without one. A walk costs what it shows, if most of what it passes is wanted; so where a condition leaves
# few, they are gathered.

FEW = 5_000
_MISSING = 2


class Scope(NamedTuple):
    """Where to look: in these experiments (None: in all), what is put away or not (None: both), with these attributes."""

    experiments: Sequence[int] | None = None
    deleted: bool | None = False
    fixed: Mapping[str, Any] = {}


class Found(NamedTuple):
    """A run, and its place in the order."""

    place: list[Any]
    run: Run


class Term(NamedTuple):
    """One part of an order. ``rank`` tells what has a value (0) from what has none; a number: it is so for every row.
    ``value`` is None where no row has one."""

    rank: ColumnElement[Any] | int
    value: ColumnElement[Any] | None
    descending: bool = False


def find_runs(
    view: View,
    scope: Scope,
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    *,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Found]:
    """A page of runs, in the order asked for; among equals the newest first, then by id."""
    few = _few(view, scope, comparisons)
    if few is None and orders and orders[0].kind in _LOGGED and len(scope.experiments or ()) == 1:
        return _walk(view, scope, comparisons, orders, after, limit)
    query = select(*runs.c).where(*_conditions(scope, comparisons, few))
    query, terms = _ordered(query, orders)
    return _page(view, query, terms, after, limit)


def _walk(
    view: View,
    scope: Scope,
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    after: Sequence[Any] | None,
    limit: int,
) -> list[Found]:
    first, found = orders[0], list[Found]()
    table, column = _logged(first.kind)
    of_run = and_(table.c.run == runs.c.id, table.c.key == first.key)
    of_experiment = [table.c.experiment == experiment for experiment in scope.experiments or ()]
    # What compares the very value that is followed says where to begin and to end.
    own = [each for each in comparisons if each[:2] == first[:2] and each.operator not in PRESENCE]
    others = [each for each in comparisons if each not in own]
    for rank in (0, 1, _MISSING):
        if len(found) >= limit or (after is not None and after[0] > rank):
            continue
        query = select(*runs.c).where(*_conditions(scope, others, None))
        if rank == _MISSING and own:
            continue
        if rank == _MISSING:
            query = query.where(not_(exists().where(of_run)))
        else:
            valued = column.is_not(None) if rank == 0 else column.is_(None)
            said = [_said(kind, table, operator, value) for kind, _, operator, value in own]
            query = query.join(table, of_run).where(*of_experiment, valued, *said)
        query, rest = _ordered(query, orders[1:])
        terms = [Term(rank, column if rank == 0 else None, first.descending), *rest]
        if first.kind == "param_numbers" and rank == 1:
            terms.insert(1, Term(0, table.c.value, first.descending))
        elif first.kind == "param_numbers":
            terms.insert(1, Term(0, None))
        found += _page(view, query, terms, after if after and after[0] == rank else None, limit - len(found))
    return found


def _few(view: View, scope: Scope, comparisons: Sequence[Comparison]) -> Select[Any] | None:
    """A question for the ids of a few runs, among which are all that meet the conditions; None: they may be many."""
    for kind, key, operator, value in comparisons:
        if kind not in _LOGGED or operator not in _NARROW:
            continue
        table, _ = _logged(kind)
        query = select(table.c.run).where(table.c.key == key, _said(kind, table, operator, value))
        if scope.experiments is not None:
            query = query.where(table.c.experiment.in_(scope.experiments))
        if view.scalar(select(func.count()).select_from(query.limit(FEW + 1).subquery())) <= FEW:
            return query
    return None


def _conditions(scope: Scope, comparisons: Sequence[Comparison], few: Select[Any] | None) -> list[ColumnElement[bool]]:
    found = [runs.c[name] == value for name, value in scope.fixed.items()]
    found += _shown(runs.c.deleted_at, scope.deleted)
    if few is not None:
        found.append(runs.c.id.in_(few))
    elif scope.experiments is not None and len(scope.experiments) == 1:
        found.append(runs.c.experiment == scope.experiments[0])  # not IN: of one, an index knows the order
    elif scope.experiments is not None:
        found.append(runs.c.experiment.in_(scope.experiments))
    return found + [_holds(comparison) for comparison in comparisons]


def _holds(comparison: Comparison) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(_attribute(key), operator, value)
    if kind == "datasets":
        c = run_links.c
        column = {"name": c.name, "digest": c.ref, "context": c.context}[key]
        return exists().where(c.run == runs.c.id, c.kind == "dataset", compared(column, operator, value))
    table = _LOGGED[kind].alias()  # a walk may follow the same table, under another key
    there = exists().where(table.c.run == runs.c.id, table.c.key == key)
    if operator == "IS NULL":
        return not_(there)
    return there if operator == "IS NOT NULL" else there.where(_said(kind, table, operator, value))


def _said(kind: str, table: FromClause, operator: str, value: Any) -> ColumnElement[bool]:
    """Whether what a run logged under a key compares so."""
    c = table.c
    if kind in ("metrics", "param_numbers"):
        column = c.value if kind == "metrics" else c.number
        holds = compared(column, operator, value)
        return or_(holds, column.is_(None)) if operator == "!=" else holds  # no number differs from every number
    if operator in ("=", "IN"):
        return or_(false(), *(_is_text(c, each) for each in ([value] if operator == "=" else value)))
    return compared(c.value + func.coalesce(c.more, ""), operator, value)


def _is_text(c: Any, text: str) -> ColumnElement[bool]:
    rest = text[INDEXED:]
    return and_(c.value == text[:INDEXED], c.more == rest if rest else c.more.is_(None))


def _ordered(query: Select[Any], orders: Sequence[Order]) -> tuple[Select[Any], list[Term]]:
    """The query with what its order needs joined to it, and the order's terms; the last of them is the id."""
    terms: list[Term] = []
    for n, (kind, key, descending) in enumerate(orders):
        if kind == "attribute":
            column = _attribute(key)
            rank = case((column.is_(None), 1), else_=0) if key in _MAY_LACK else 0
            terms.append(Term(rank, column, descending))
            continue
        table = _LOGGED[kind].alias(f"order_{n}")
        query = query.outerjoin(table, and_(table.c.run == runs.c.id, table.c.key == key))
        column = table.c.number if kind == "param_numbers" else table.c.value
        terms.append(Term(case((table.c.run.is_(None), _MISSING), (column.is_(None), 1), else_=0), column, descending))
        if kind == "param_numbers":
            terms.append(Term(0, case((column.is_(None), table.c.value)), descending))
    terms += [Term(0, _micros(runs.c.started_at), True), Term(0, runs.c.id)]
    return query, terms


def _page(
    view: View, query: Select[Any], terms: Sequence[Term], after: Sequence[Any] | None, limit: int
) -> list[Found]:
    return [Found(place, Run(**values)) for place, values in _rows(view, query, terms, after, limit)]


def _rows(
    view: View, query: Select[Any], terms: Sequence[Term], after: Sequence[Any] | None, limit: int
) -> list[tuple[list[Any], dict[str, Any]]]:
    """A page of what ``query`` selects in the order of ``terms``: each row's place, and its values by name."""
    names = [str(column.key) for column in query.selected_columns]
    order: list[tuple[Any, bool]] = []
    for rank, value, descending in terms:
        order += [] if isinstance(rank, int) else [(rank, False)]
        order += [] if value is None else [(value, descending)]
    if after is not None:
        query = _from(query, terms, order, after)
    shown = [column.label(f"place_{n}") for n, (column, _) in enumerate(order)]
    query = query.add_columns(*shown).order_by(*(c.desc() if down else c for c, down in order)).limit(limit)
    width = len(names)
    return [(_place(terms, row[width:]), dict(zip(names, row[:width], strict=True))) for row in view.rows(query)]


def _from(
    query: Select[Any], terms: Sequence[Term], order: Sequence[tuple[Any, bool]], after: Sequence[Any]
) -> Select[Any]:
    if len(after) != 2 * len(terms):
        raise Invalid("the page token belongs to another search: its order has other parts. Begin again without it.")
    place = []
    for n, term in enumerate(terms):
        place += [] if isinstance(term.rank, int) else [after[2 * n]]
        place += [] if term.value is None else [after[2 * n + 1]]
    first = terms[0]
    if isinstance(first.rank, int) and first.value is not None and place[0] is not None:
        # Said twice: by the first term alone an index can be entered where the page begins.
        query = query.where(first.value <= place[0] if first.descending else first.value >= place[0])
    return query.where(behind(order, place))


def _place(terms: Sequence[Term], values: Sequence[Any]) -> list[Any]:
    rest, place = list(values), list[Any]()
    for term in terms:
        place.append(term.rank if isinstance(term.rank, int) else rest.pop(0))
        place.append(None if term.value is None else rest.pop(0))
    return place


def _logged(kind: str) -> tuple[Table, Any]:
    table = _LOGGED[kind]
    return table, table.c.number if kind == "param_numbers" else table.c.value


def _attribute(name: str) -> Any:
    if name == "user":
        return func.coalesce(runs.c.claimed_by, runs.c.actor)
    if name == "seconds":
        return (_micros(runs.c.ended_at) - _micros(runs.c.started_at)) / 1_000_000.0
    return _column(runs, name)


def _column(table: Table, name: str) -> Any:
    """A column as it is compared and sorted: moments as the numbers they are stored as."""
    column = table.c[name]
    return _micros(column) if isinstance(column.type, Instant) else column


def _micros(column: Any) -> Any:
    return type_coerce(column, BigInteger)


_LOGGED = {"metrics": run_metrics, "params": run_params, "param_numbers": run_params, "tags": run_tags}
_NARROW = frozenset({"=", "IN", ">", ">=", "<", "<="})
_MAY_LACK = frozenset({"ended_at", "seconds", "parent", "claimed_by", "error"})


# Logged models


def put_logged_model(ingest: Ingest, new: LoggedModel) -> None:
    ingest.insert(logged_models, **asdict(new))


def logged_model(view: View, identity: str) -> LoggedModel | None:
    row = view.first(select(logged_models).where(logged_models.c.id == identity))
    return row and LoggedModel(**row._mapping)


def set_logged_model(ingest: Ingest, identity: str, **values: Any) -> None:
    ingest.execute(update(logged_models).where(logged_models.c.id == identity).values(**values))


def logged_model_values(view: View, what: str, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    """The ``what`` (params or tags) of logged models, by model and key."""
    table = {"params": logged_model_params, "tags": logged_model_tags}[what]
    found: dict[str, dict[str, str]] = {identity: {} for identity in identities}
    for some in _in_parts(identities):
        query = select(table.c.model, table.c.key, table.c.value).where(table.c.model.in_(some))
        for model, key, value in view.tuples(query.order_by(table.c.model, table.c.key)):
            found[model][key] = value
    return found


def put_logged_model_values(ingest: Ingest, what: str, identity: str, values: Mapping[str, str]) -> None:
    table = {"params": logged_model_params, "tags": logged_model_tags}[what]
    ingest.execute(delete(table).where(table.c.model == identity, table.c.key.in_(list(values))))
    ingest.bulk_append(table, ({"model": identity, "key": key, "value": value} for key, value in values.items()))


def remove_logged_model_tag(ingest: Ingest, identity: str, key: str) -> int:
    c = logged_model_tags.c
    return ingest.execute(delete(logged_model_tags).where(c.model == identity, c.key == key))


def put_model_metrics(ingest: Ingest, measured: Iterable[ModelMetric]) -> None:
    ingest.bulk_append(logged_model_metrics, (asdict(one) for one in measured))


def model_metrics(view: View, identities: Sequence[str]) -> dict[str, list[ModelMetric]]:
    """What was measured of logged models, each reading once."""
    c = logged_model_metrics.c
    found: dict[str, list[ModelMetric]] = {identity: [] for identity in identities}
    columns = [column for column in c if column.name != "id"]
    for some in _in_parts(identities):
        query = select(*columns).where(c.model.in_(some)).distinct().order_by(c.model, c.key, c.step, c.at)
        for row in view.rows(query):
            found[row.model].append(ModelMetric(**row._mapping))
    return found


def find_logged_models(
    view: View,
    experiments: Sequence[int],
    comparisons: Sequence[Comparison],
    orders: Sequence[tuple[Order, str | None, str | None]],
    *,
    datasets: Sequence[tuple[str, str | None]],
    after: Sequence[Any] | None,
    limit: int,
) -> list[tuple[list[Any], LoggedModel]]:
    """A page of logged models that are not put away; each order may name a dataset that its metric was measured on."""
    models = logged_models.c
    query = select(*models).where(models.experiment.in_(experiments), models.deleted_at.is_(None))
    query = query.where(*(_model_holds(comparison, datasets) for comparison in comparisons))
    if datasets and not any(comparison.kind == "metrics" for comparison in comparisons):
        query = query.where(_measured(None, datasets))
    terms = [_model_term(*order) for order in orders]
    terms += [Term(0, _micros(models.created_at), True), Term(0, models.id)]
    return [(place, LoggedModel(**values)) for place, values in _rows(view, query, terms, after, limit)]


def _model_holds(comparison: Comparison, datasets: Sequence[tuple[str, str | None]]) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(_column(logged_models, key), operator, value)
    if kind == "metrics":
        return _measured(key, datasets, compared(logged_model_metrics.c.value, operator, value))
    table = {"params": logged_model_params, "tags": logged_model_tags}[kind]
    return _has(table, table.c.model == logged_models.c.id, key, operator, value)


def _has(table: Table, own: ColumnElement[bool], key: str, operator: str, value: Any) -> ColumnElement[bool]:
    """Whether what stands under ``key`` compares so; without the key nothing does, except IS NULL."""
    there = exists().where(own, table.c.key == key)
    if operator == "IS NULL":
        return not_(there)
    return there if operator == "IS NOT NULL" else there.where(compared(table.c.value, operator, value))


def _measured(
    key: str | None, datasets: Sequence[tuple[str, str | None]], *further: ColumnElement[bool]
) -> ColumnElement[bool]:
    c = logged_model_metrics.c
    there = exists().where(c.model == logged_models.c.id, *further)
    if key is not None:
        there = there.where(c.key == key)
    if datasets:
        there = there.where(or_(false(), *(_on_dataset(name, digest) for name, digest in datasets)))
    return there


def _on_dataset(name: str | None, digest: str | None) -> ColumnElement[bool]:
    c = logged_model_metrics.c
    wanted = [c.dataset_name == name] if name is not None else []
    wanted += [c.dataset_digest == digest] if digest is not None else []
    return and_(true(), *wanted)


def _model_term(order: Order, name: str | None, digest: str | None) -> Term:
    kind, key, descending = order
    c = logged_model_metrics.c
    if kind == "attribute":
        column = _column(logged_models, key)
        return Term(case((column.is_(None), 1), else_=0), column, descending)
    if kind == "metrics":
        newest = select(c.value).where(c.model == logged_models.c.id, c.key == key, _on_dataset(name, digest))
        value: Any = newest.order_by(c.at.desc(), c.id.desc()).limit(1).scalar_subquery()
    else:
        table = {"params": logged_model_params, "tags": logged_model_tags}[kind]
        value = select(table.c.value).where(table.c.model == logged_models.c.id, table.c.key == key).scalar_subquery()
    return Term(case((value.is_(None), 1), else_=0), value, descending)


def _shown(deleted_at: Any, deleted: bool | None) -> list[ColumnElement[bool]]:
    if deleted is None:
        return []
    return [deleted_at.is_not(None) if deleted else deleted_at.is_(None)]


def _in_parts(identities: Sequence[str]) -> Iterable[Sequence[str]]:
    return (identities[first : first + _MANY] for first in range(0, len(identities), _MANY))


def _param(value: Any) -> dict[str, Any]:
    is_text = isinstance(value, str)
    text = value if is_text else canonical_json(value).decode()
    return {"value": text[:INDEXED], "more": text[INDEXED:] or None, "is_text": is_text, "number": _number(value)}


def _number(value: Any) -> float | None:
    """What a parameter is as a number, also where it was logged as a text: other tools know no other kind."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _param_value(value: str, more: str | None, is_text: bool) -> Any:
    text = value + (more or "")
    return text if is_text else json.loads(text)


def imported_into(view: View, tag: str, source: str, experiment: int) -> tuple[list[str], list[str]]:
    """Ids of the complete runs and of the logged models of an experiment that are marked as brought from ``source``."""
    marked = select(run_tags.c.run).where(run_tags.c.key == tag, run_tags.c.value == source)
    whole = select(runs.c.id).where(
        runs.c.experiment == experiment, runs.c.id.in_(marked), runs.c.closed_at.is_not(None)
    )
    c = logged_model_tags.c
    models = select(c.model).join(logged_models, logged_models.c.id == c.model)
    models = models.where(c.key == tag, c.value == source, logged_models.c.experiment == experiment)
    return [row[0] for row in view.rows(whole)], [row[0] for row in view.rows(models)]


def count_imported(view: View, tag: str, source: str) -> dict[str, int]:
    """How much is marked as brought from ``source``: of runs, only those whose record was closed."""
    brought = select(run_tags.c.run).where(run_tags.c.key == tag, run_tags.c.value == source)
    whole = select(runs.c.id).where(runs.c.id.in_(brought), runs.c.closed_at.is_not(None))
    models = select(logged_model_tags.c.model).where(
        logged_model_tags.c.key == tag, logged_model_tags.c.value == source
    )
    series = select(run_metrics.c.series).where(run_metrics.c.run.in_(whole))
    c = metric_points.c
    once = select(c.series, c.step, c.at, c.value).where(c.series.in_(series)).distinct().subquery()
    files = [
        select(func.count()).select_from(run_artifacts).where(run_artifacts.c.run.in_(whole)),
        select(func.count()).select_from(logged_model_artifacts).where(logged_model_artifacts.c.model.in_(models)),
    ]
    marked = experiment_tags.c
    return {
        "experiments": view.scalar(
            select(func.count()).select_from(experiment_tags).where(marked.key == tag, marked.value == source)
        ),
        "runs": view.scalar(select(func.count()).select_from(whole.subquery())),
        "points": view.scalar(select(func.count()).select_from(once)),
        "files": sum(view.scalar(query) for query in files),
        "logged_models": view.scalar(select(func.count()).select_from(models.subquery())),
    }
