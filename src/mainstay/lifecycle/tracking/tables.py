# SPDX-License-Identifier: Apache-2.0
"""The tables of runs and experiments, and the questions asked of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)

from mainstay.domain.digests import canonical_json
from mainstay.domain.search import Comparison, Order
from mainstay.domain.tracking import Experiment, Run
from mainstay.lifecycle.tracking.metrics.tables import count_points, run_metrics
from mainstay.store import Change, Ingest, Instant, Json, Prepared, View, metadata, pages
from mainstay.store.conditions import as_compared, compared, has, in_parts
from mainstay.store.pages import Term

# As long a beginning of a text as an index holds; the rest stands beside it. PostgreSQL's takes no long ones.
INDEXED = 200

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
    info={"of": "run:{id}"},
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
    Index(None, "experiment", "key", "number", "value"),
    info={"of": "run:{run}"},
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
    info={"of": "run:{run}"},
    sqlite_with_rowid=False,
)

run_artifacts = Table(
    "run_artifacts",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("path", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String, nullable=False),
    info={"of": "run:{run}"},
)


def experiment(view: View, identity: int) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.id == identity))
    return row and Experiment(**row._mapping)


def experiment_named(view: View, name: str) -> Experiment | None:
    row = view.first(select(experiments).where(experiments.c.name == name))
    return row and Experiment(**row._mapping)


def all_experiments(view: View, after: int, limit: int, deleted: bool | None) -> list[Experiment]:
    c = experiments.c
    query = select(experiments).where(c.id > after, *shown(c.deleted_at, deleted)).order_by(c.id).limit(limit)
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
    query = select(*experiments.c).where(*shown(experiments.c.deleted_at, deleted))
    query = query.where(*(_experiment_holds(comparison) for comparison in comparisons))
    terms = [Term(0, as_compared(experiments.c[order.key]), order.descending) for order in orders]
    terms += [Term(0, as_compared(experiments.c.updated_at), True), Term(0, experiments.c.id, True)]
    return [(place, Experiment(**values)) for place, values in pages.found(view, query, terms, after, limit)]


def _experiment_holds(comparison: Comparison) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(as_compared(experiments.c[key]), operator, value)
    return has(experiment_tags, experiment_tags.c.experiment == experiments.c.id, key, operator, value)


def delete_runs_of(change: Change, experiment: int, at: datetime) -> int:
    there = (runs.c.experiment == experiment) & runs.c.deleted_at.is_(None)
    return change.execute(update(runs).where(there).values(deleted_at=at))


def put_away(view: View, before: datetime) -> tuple[list[str], list[tuple[str, str]]]:
    """Runs that were deleted ``before``, and the steps of those, each with the run it belongs to."""
    gone = select(runs.c.id).where(runs.c.deleted_at <= before)
    steps = select(runs.c.id, runs.c.parent).where(runs.c.kind == "step", runs.c.parent.in_(gone))
    return [row.id for row in view.rows(gone)], [(row.id, row.parent) for row in view.rows(steps)]


def params_with(view: View, text: str) -> list[tuple[str, Any]]:
    """Parameters of runs in which ``text`` stands, each with its run."""
    c = run_params.c
    found = view.rows(select(c.run, c.value, c.more, c.is_text).where(c.value.contains(text) | c.more.contains(text)))
    return [(row.run, _param_value(row.value, row.more, row.is_text)) for row in found]


def restore_runs_of(change: Change, experiment: int, at: datetime) -> int:
    """Those that were put away at the very moment ``at``: with the experiment, not before it."""
    gone = (runs.c.experiment == experiment) & (runs.c.deleted_at == at)
    return change.execute(update(runs).where(gone).values(deleted_at=None))


def run(view: View, identity: str) -> Run | None:
    row = view.first(_RUN, {"wanted": identity})
    return row and Run(**row._mapping)


_RUN = select(runs).where(runs.c.id == bindparam("wanted"))


class Footing(NamedTuple):
    """What decides whether a run takes logs. A step's record is open as long as that of its pipeline's run."""

    experiment: int
    is_open: bool
    is_deleted: bool


def footing(view: View, identity: str) -> Footing | None:
    found = view.ask(_FOOTING, wanted=identity)
    if not found:
        return None
    [(experiment, kind, closed_at, deleted_at, outer_closed_at)] = found
    return Footing(experiment, (outer_closed_at if kind == "step" else closed_at) is None, deleted_at is not None)


_outer = runs.alias("outer")

_FOOTING = Prepared(
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


def newest(view: View, kind: str, name: str, besides: str, limit: int) -> list[Run]:
    rows = view.rows(_NEWEST, {"kind": kind, "name": name, "besides": besides, "most": limit})
    return [Run(**row._mapping) for row in rows]


_NEWEST = (
    select(runs)
    .where(
        runs.c.kind == bindparam("kind"),
        runs.c.name == bindparam("name"),
        runs.c.id != bindparam("besides"),
        runs.c.deleted_at.is_(None),
    )
    .order_by(runs.c.started_at.desc(), runs.c.id.desc())
    .limit(bindparam("most"))
)


def children(view: View, parent: str) -> list[Run]:
    return [Run(**row._mapping) for row in view.rows(select(runs).where(runs.c.parent == parent).order_by(runs.c.id))]


def steps_inside(view: View, parents: Sequence[str]) -> dict[str, list[str]]:
    """Ids of the runs of steps inside each of many runs, in the order in which they began."""
    c = runs.c
    found: dict[str, list[str]] = {parent: [] for parent in parents}
    for some in in_parts(parents):
        query = select(c.parent, c.id).where(c.parent.in_(some), c.kind == "step").order_by(c.id)
        for parent, identity in view.tuples(query):
            found[parent].append(identity)
    return found


def amended_before(view: View, moment: datetime) -> list[str]:
    c = runs.c
    return [row.id for row in view.rows(select(c.id).where(c.amended_at < moment).order_by(c.amended_at).limit(100))]


def put_run(change: Change, new: Run) -> None:
    change.insert(runs, **vars(new))


def put_runs(change: Change, new: Sequence[Run]) -> None:
    change.bulk_append(runs, [vars(each) for each in new])


def set_run(ingest: Ingest, identity: str, **values: Any) -> None:
    ingest.execute(update(runs).where(runs.c.id == identity).values(**values))


def environment(view: View, digest: str) -> dict[str, Any] | None:
    content: dict[str, Any] | None = view.scalar(select(environments.c.content).where(environments.c.digest == digest))
    return content


def put_environment(change: Change, digest: str, content: Mapping[str, Any]) -> None:
    if change.scalar(select(environments.c.digest).where(environments.c.digest == digest)) is None:
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


def values_of_runs(view: View, what: str, identities: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Values of the ``what`` (params or tags) of many runs, by run and key."""
    table, columns = {
        "params": (run_params, ("value", "more", "is_text")),
        "tags": (run_tags, ("value", "more")),
    }[what]
    found: dict[str, dict[str, Any]] = {identity: {} for identity in identities}
    for some in in_parts(identities):
        query = select(table.c.run, table.c.key, *(table.c[name] for name in columns)).where(table.c.run.in_(some))
        for run, key, *parts in view.tuples(query.order_by(table.c.run, table.c.key)):
            found[run][key] = _param_value(*parts) if what == "params" else parts[0] + (parts[1] or "")
    return found


def shown(deleted_at: Any, deleted: bool | None) -> list[ColumnElement[bool]]:
    if deleted is None:
        return []
    return [deleted_at.is_not(None) if deleted else deleted_at.is_(None)]


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


def imported_into(view: View, tag: str, source: str, experiment: int) -> list[str]:
    """Ids of the complete runs of an experiment that are marked as brought from ``source``."""
    query = _imported(tag, source).where(runs.c.experiment == experiment)
    return [row[0] for row in view.rows(query)]


def count_imported(view: View, tag: str, source: str) -> dict[str, int]:
    """How much is marked as brought from ``source``: of runs, only those whose record was closed."""
    whole = _imported(tag, source)
    series = select(run_metrics.c.series).where(run_metrics.c.run.in_(whole))
    marked = experiment_tags.c
    count = select(func.count())
    queries = {
        "experiments": count.select_from(experiment_tags).where(marked.key == tag, marked.value == source),
        "runs": count.select_from(whole.subquery()),
        "files": count.select_from(run_artifacts).where(run_artifacts.c.run.in_(whole)),
    }
    return {what: view.scalar(query) for what, query in queries.items()} | {"points": count_points(view, series)}


def _imported(tag: str, source: str) -> Select[Any]:
    brought = select(run_tags.c.run).where(run_tags.c.key == tag, run_tags.c.value == source)
    return select(runs.c.id).where(runs.c.id.in_(brought), runs.c.closed_at.is_not(None))
