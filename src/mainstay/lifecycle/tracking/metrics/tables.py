# SPDX-License-Identifier: Apache-2.0
"""The tables of metrics and the questions asked of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    select,
    update,
)

from mainstay.lifecycle.tracking.metrics import points
from mainstay.lifecycle.tracking.metrics.points import Points, Reading
from mainstay.store import Ingest, Prepared, View, metadata
from mainstay.store.conditions import in_parts

# A metric of a run is a series with a number of its own, and here with its latest point: the greatest (step, at, value); and how
# many points it has, those that were sent twice counted twice.
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
    Column("points", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("run", "key"),
    Index(None, "experiment", "key", "value", "run"),
)

# Points as they came (see `points`): those of a series that one request brought are one row; one that was sent twice stands twice
# and is read once. ``place`` is how many came before; with it, rows of one step stand apart.
metric_points = Table(
    "metric_points",
    metadata,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("first_step", BigInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("last_step", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


class Standing(NamedTuple):
    """How a metric of a run stands: the number of its series, its latest reading, and how many points were kept."""

    series: int
    latest: Reading
    points: int


def series_of(view: View, identity: str, keys: Collection[str] | None = None) -> dict[str, Standing]:
    if keys is not None and len(keys) == 1:  # as most calls have it: one metric, one point
        rows: Sequence[Any] = view.ask(_ONE_SERIES, wanted=identity, one=next(iter(keys)))
    elif keys is not None:
        rows = view.rows(_SOME_SERIES, {"wanted": identity, "some": list(keys)})
    else:
        rows = view.rows(_SERIES, {"wanted": identity})
    return {key: Standing(series, (step, at, value), points) for key, series, step, at, value, points in rows}


_c = run_metrics.c
_SERIES = (
    select(_c.key, _c.series, _c.step, _c.at, _c.value, _c.points).where(_c.run == bindparam("wanted")).order_by(_c.key)
)
_ONE_SERIES = Prepared(_SERIES.where(_c.key == bindparam("one")))
_SOME_SERIES = _SERIES.where(_c.key.in_(bindparam("some", expanding=True)))


def series_of_runs(view: View, identities: Sequence[str]) -> dict[str, dict[str, int]]:
    """The numbers of the series of many runs, by run and key."""
    found: dict[str, dict[str, int]] = {identity: {} for identity in identities}
    for some in in_parts(identities):
        query = select(_c.run, _c.key, _c.series).where(_c.run.in_(some)).order_by(_c.run, _c.key)
        for run, key, series in view.tuples(query):
            found[run][key] = series
    return found


def begin_series(ingest: Ingest, identity: str, experiment: int, new: Mapping[str, Standing]) -> dict[str, Standing]:
    """New series; how they stand, with their numbers."""
    rows = [(identity, experiment, key, *one.latest, one.points) for key, one in new.items()]
    ingest.bulk_append(run_metrics, rows, columns=("run", "experiment", "key", "step", "at", "value", "points"))
    return series_of(ingest, identity, new)


def put_standing(ingest: Ingest, now: Iterable[Standing]) -> None:
    """How series stand now."""
    for series, (step, at, value), many in now:
        ingest.tell(_PUT_STANDING, which=series, step=step, at=at, value=value, points=many)


_PUT_STANDING = Prepared(
    update(run_metrics)
    .where(_c.series == bindparam("which"))
    .values({name: bindparam(name) for name in ("step", "at", "value", "points")})
)


_step = itemgetter(0)


def append_points(ingest: Ingest, readings: Iterable[tuple[int, int, Sequence[Reading]]]) -> None:
    """Readings of series: the number of each, how many points it had before, and those that came."""
    rows = [
        (series, min(several, key=_step)[0], place, max(several, key=_step)[0], points.kept(several))
        for series, place, several in readings
    ]
    ingest.bulk_append(metric_points, rows, columns=("series", "first_step", "place", "last_step", "data"))


def points_of(view: View, series: int, since: int | None = None, until: int | None = None) -> Points:
    """The points of a series; ``since`` and ``until`` are steps, both included."""
    c = metric_points.c
    query = select(c.data).where(c.series == series).order_by(c.first_step, c.place)
    if since is not None:
        query = query.where(c.last_step >= since)
    if until is not None:
        query = query.where(c.first_step <= until)
    found = points.read(data for (data,) in view.tuples(query))
    first = 0 if since is None else found.steps.searchsorted(since)
    last = found.size if until is None else found.steps.searchsorted(until, side="right")
    return found.some(slice(first, last))


def count_points(view: View, series: Select[Any]) -> int:
    """How many points many series have, one that was sent twice counted once."""
    c = metric_points.c
    rows = view.tuples(select(c.series, c.data).where(c.series.in_(series)).order_by(c.series))
    return sum(points.read(data for _, data in parts).size for _, parts in groupby(rows, key=itemgetter(0)))


def latest_of_runs(view: View, identities: Sequence[str]) -> dict[str, dict[str, Reading]]:
    """The latest reading of every metric of many runs, by run and key."""
    c = run_metrics.c
    found: dict[str, dict[str, Reading]] = {identity: {} for identity in identities}
    for some in in_parts(identities):
        query = select(c.run, c.key, c.step, c.at, c.value).where(c.run.in_(some)).order_by(c.run, c.key)
        for run, key, step, at, value in view.tuples(query):
            found[run][key] = (step, at, value)
    return found
