# SPDX-License-Identifier: Apache-2.0
"""Logs: parameters, metrics, tags and artifacts of a run that goes on. The hot path.

A parameter is said once: the same value again is fine, another one is a conflict, for what ran under which value
would be unknown. A metric has points; its latest is the one with the greatest (step, at, value). A value that is not
finite is refused by name: no JSON reader could take it back, and a NaN in a comparison is true for nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, NotFound, TooLarge
from mainstay.domain.tracking import (
    LONGEST_PARAM,
    LONGEST_TAG,
    MOST_METRICS,
    MOST_PARAMS,
    MOST_POINTS,
    MOST_TAGS,
    Artifact,
    Point,
    Series,
    check_key,
    check_path,
    check_step,
    same_params,
    unknown_run,
)
from mainstay.lifecycle.tracking import tables
from mainstay.store import Ingest, View

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_US = 253_402_300_800_000_000


class Logged(NamedTuple):
    """What a run said, by key; of a metric, the latest value."""

    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]


def log(
    ingest: Ingest,
    run: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Sequence[Point] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Keep what a run says: all of it, or nothing.

    Raises:
        NotFound: no such run. Conflict: it has ended (tags may still come), or a parameter has another value already.
        Invalid: an unusable key, or a value that is not finite. TooLarge: more than one request may bring.
    """
    if params or metrics:
        must_run(ingest, run)
    elif tables.state_of(ingest, run) is None:
        raise unknown_run(run)
    put_params(ingest, run, params or {})
    put_points(ingest, run, metrics)
    put_tags(ingest, run, tags or {})


def must_run(view: View, run: str) -> None:
    """Pass if the run still takes logs; a step does so until the run of its pipeline ends.

    Raises:
        NotFound: there is none. Conflict: it has ended, and its record is closed.
    """
    is_open = tables.is_open(view, run)
    if is_open is None:
        raise unknown_run(run)
    if not is_open:
        raise Conflict(f"run {run} has ended, so its record is closed; start a new run for what comes after.")


def put_params(ingest: Ingest, run: str, params: Mapping[str, Any]) -> None:
    """Keep parameters that are new.

    Raises:
        Conflict: one has another value already. Invalid, TooLarge.
    """
    _check_count("parameters", len(params), MOST_PARAMS)
    for key, value in params.items():
        check_key("parameter", key)
        _check_param(key, value)
    if not params:
        return
    before = tables.params_of(ingest, run, params)
    if changed := same_params(before, params):
        key = changed[0]
        raise Conflict(
            f"run {run} has parameter {key!r} = {before[key]!r} and cannot have {params[key]!r} too; "
            "log a value that changes as a metric, or start another run.",
            key=key,
        )
    tables.put_params(ingest, run, {key: value for key, value in params.items() if key not in before})


def put_points(ingest: Ingest, run: str, points: Sequence[Point]) -> None:
    """Append points and keep the latest of each metric at hand.

    Raises:
        Invalid: a value is not finite, or a step does not fit in 64 bits. TooLarge.
    """
    _check_count("metrics", len(points), MOST_METRICS)
    newest: dict[str, Point] = {}
    for point in points:
        _check_point(point)
        newest[point.key] = max(point, newest.get(point.key, point), key=_order)
    if not points:
        return
    tables.append_points(ingest, run, points)
    _keep_latest(ingest, run, newest)


def put_series(ingest: Ingest, run: str, series: Sequence[Series]) -> int:
    """`put_points` for many points at once, column by column; how many they were.

    Raises:
        NotFound: no such run. Conflict: it has ended. Invalid: columns of different lengths, or as `put_points`.
        TooLarge.
    """
    must_run(ingest, run)
    count = sum(len(each.values) for each in series)
    _check_count("points", count, MOST_POINTS)
    newest: dict[str, Point] = {}
    for each in series:
        _check_series(each)
        if each.values:
            point = _newest(each)
            newest[each.key] = max(point, newest.get(each.key, point), key=_order)
    tables.append_series(ingest, run, series)
    _keep_latest(ingest, run, newest)
    return count


def put_tags(ingest: Ingest, run: str, tags: Mapping[str, str]) -> None:
    """Set tags; a tag that is there already takes the new value.

    Raises:
        Invalid, TooLarge.
    """
    _check_count("tags", len(tags), MOST_TAGS)
    for key, value in tags.items():
        check_key("tag", key)
        if len(value) > LONGEST_TAG:
            raise TooLarge(f"tag {key!r} has {len(value)} characters; at most {LONGEST_TAG} are kept. Log an artifact.")
    if tags:
        tables.put_tags(ingest, run, tags)


def add_artifact(ingest: Ingest, run: str, artifact: Artifact) -> Artifact:
    """Name a blob as a file of the run; the same path again means the newer bytes.

    Raises:
        NotFound: no such run or blob. Conflict: the run has ended. Invalid: an unusable path, or another size than
        said.
    """
    must_run(ingest, run)
    check_path(artifact.path)
    size = ingest.blobs.size(artifact.digest)
    if size is None:
        raise NotFound(f"artifact {artifact.path!r} names blob {artifact.digest}, which is not here; upload it first.")
    if size != artifact.size:
        raise Invalid(f"artifact {artifact.path!r} is said to have {artifact.size} bytes; its blob has {size}.")
    tables.put_artifact(ingest, run, artifact)
    return artifact


def of(view: View, run: str) -> Logged:
    """What a run logged."""
    return of_runs(view, [run])[run]


def artifacts_of(view: View, run: str) -> list[Artifact]:
    """The files of a run, by path."""
    return tables.artifacts_of(view, run)


def of_runs(view: View, runs: Sequence[str]) -> dict[str, Logged]:
    """What each of many runs logged, in three queries."""
    params, metrics, tags = (tables.values_of_runs(view, what, runs) for what in ("params", "metrics", "tags"))
    return {run: Logged(params=params[run], metrics=metrics[run], tags=tags[run]) for run in runs}


def history(
    view: View, run: str, key: str, *, after: tuple[int, datetime, float] | None = None, limit: int = 1000
) -> list[Point]:
    """Points of one metric, in the order (step, at, value), from behind ``after``; a point that was sent twice stands
    once.

    Raises:
        NotFound: there is no such run.
    """
    if tables.state_of(view, run) is None:
        raise unknown_run(run)
    return tables.points_of(view, run, key, after=after, limit=limit)


def _keep_latest(ingest: Ingest, run: str, newest: Mapping[str, Point]) -> None:
    before = tables.latest_points(ingest, run, newest)
    later = {key: p for key, p in newest.items() if key not in before or _order(p) > _order(before[key])}
    if later:
        tables.put_latest(ingest, run, later)


def _order(point: Point) -> tuple[int, datetime, float]:
    return point.step, point.at, point.value


def _check_count(what: str, found: int, most: int) -> None:
    if found > most:
        raise TooLarge(f"the request brings {found} {what}; at most {most} come in one. Send the rest in the next.")


def _check_param(key: str, value: Any) -> None:
    try:
        size = len(canonical_json(value).decode())
    except (ValueError, TypeError) as error:
        raise Invalid(f"parameter {key!r} is {value!r}, which JSON cannot hold; log it as text.") from error
    if size > LONGEST_PARAM:
        raise TooLarge(f"parameter {key!r} has {size} characters; at most {LONGEST_PARAM} are kept. Log an artifact.")


def _check_point(point: Point) -> None:
    check_key("metric", point.key)
    check_step(point.key, point.step)
    if not math.isfinite(point.value):
        _refuse_value(point.key, point.step, point.value)


def _check_series(series: Series) -> None:
    check_key("metric", series.key)
    if not len(series.steps) == len(series.at_us) == len(series.values):
        raise Invalid(
            f"metric {series.key!r} has {len(series.steps)} steps, {len(series.at_us)} times and {len(series.values)} "
            "values; as many of each are expected.",
            key=series.key,
        )
    if series.at_us and not 0 <= min(series.at_us) <= max(series.at_us) < _YEAR_10000_US:
        raise Invalid(
            f"metric {series.key!r} has a time outside of the years 1970 to 9999, in microseconds since 1970."
        )
    if not all(map(math.isfinite, series.values)):
        place = next(place for place, value in enumerate(series.values) if not math.isfinite(value))
        _refuse_value(series.key, series.steps[place], series.values[place])


def _newest(series: Series) -> Point:
    step, at_us, value = max(zip(series.steps, series.at_us, series.values, strict=True))
    return Point(key=series.key, step=step, at=_EPOCH + timedelta(microseconds=at_us), value=value)


def _refuse_value(key: str, step: int, value: float) -> NoReturn:
    raise Invalid(
        f"metric {key!r} is {value} at step {step}; only finite numbers are kept. "
        "Log a tag that says so, or leave the point out.",
        key=key,
    )
