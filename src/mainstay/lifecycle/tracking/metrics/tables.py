# SPDX-License-Identifier: Apache-2.0
"""The tables of metrics and the questions asked of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    select,
    update,
)

from mainstay.store import Ingest, View, metadata
from mainstay.store.conditions import behind, in_parts

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


def latest_of_runs(view: View, identities: Sequence[str]) -> dict[str, dict[str, Reading]]:
    """The latest reading of every metric of many runs, by run and key."""
    c = run_metrics.c
    found: dict[str, dict[str, Reading]] = {identity: {} for identity in identities}
    for some in in_parts(identities):
        query = select(c.run, c.key, c.step, c.at, c.value).where(c.run.in_(some)).order_by(c.run, c.key)
        for run, key, step, at, value in view.tuples(query):
            found[run][key] = (step, at, value)
    return found
