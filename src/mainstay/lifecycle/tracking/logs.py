# SPDX-License-Identifier: Apache-2.0
"""Logs: parameters, metrics, tags and artifacts of a run that goes on. The hot path.

A parameter is said once: the same value again is fine, another one is a conflict, for what ran under which value
would be unknown. A metric has points; its latest is the one with the greatest (step, at, value). NaN and infinity are kept,
for training that goes astray must be seen and not stopped; among equals, what is no number comes first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

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
from mainstay.lifecycle.tracking.metrics import series as curves
from mainstay.lifecycle.tracking.metrics import tables as measured
from mainstay.lifecycle.tracking.metrics.points import Points, Reading
from mainstay.lifecycle.tracking.metrics.tables import Standing
from mainstay.lifecycle.tracking.tables import Footing
from mainstay.store import Ingest, View, files

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_10000_US = 253_402_300_800_000_000


class Closed(Conflict):
    """The run's record is closed; its end can be reopened, or the record amended."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run} has ended, so its record is closed; reopen it, or start a new run for what comes after.",
            run=run,
        )


class Logged(NamedTuple):
    """What a run said, by key; of a metric, the latest value, which may be NaN or infinite."""

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
        NotFound: no such run. Closed: it has ended (tags may still come). Conflict: a parameter has another value already.
        Invalid: an unusable key, or the run is put away. TooLarge: more than one request may bring.
    """
    _check_count("metrics", len(metrics), MOST_METRICS)
    put(ingest, run, params=params or {}, readings=readings(metrics), tags=tags or {})


def put(
    ingest: Ingest,
    run: str,
    *,
    params: Mapping[str, Any],
    readings: Mapping[str, Sequence[Reading]],
    tags: Mapping[str, str],
) -> None:
    """`log`, for whoever has the points of each metric as they are stored."""
    footing = must_run(ingest, run) if params or readings else must_be(ingest, run)
    put_params(ingest, run, footing, params)
    put_readings(ingest, run, footing, readings)
    put_tags(ingest, run, footing, tags)


def readings(points: Iterable[Point]) -> dict[str, list[Reading]]:
    """Points of metrics as they are stored, by key."""
    found: dict[str, list[Reading]] = {}
    for point in points:
        value = None if math.isnan(point.value) else point.value
        found.setdefault(point.key, []).append((point.step, (point.at - _EPOCH) // _MICROSECOND, value))
    return found


def put_series(ingest: Ingest, run: str, series: Sequence[Series]) -> int:
    """Keep many points of metrics, column by column; how many they were.

    Raises:
        NotFound: no such run. Closed: it has ended. Invalid: columns of different lengths, an unusable key, or a time that
        cannot be. TooLarge.
    """
    count = sum(len(each.values) for each in series)
    _check_count("points", count, MOST_POINTS)
    footing = must_run(ingest, run)
    found: dict[str, list[Reading]] = {}
    for each in series:
        _check_series(each)
        values = [None if value != value else value for value in each.values]
        if values:
            found.setdefault(each.key, []).extend(zip(each.steps, each.at_us, values, strict=True))
    put_readings(ingest, run, footing, found)
    return count


def must_run(view: View, run: str) -> Footing:
    """Pass if the run still takes logs; a step does so until the run of its pipeline ends.

    Raises:
        NotFound: there is none. Closed: it has ended, and its record is closed. Invalid: it is put away.
    """
    footing = must_be(view, run)
    if not footing.is_open:
        raise Closed(run)
    return footing


def must_be(view: View, run: str) -> Footing:
    """Pass if the run is there, ended or not.

    Raises:
        NotFound: there is none. Invalid: it is put away.
    """
    footing = tables.footing(view, run)
    if footing is None:
        raise unknown_run(run)
    if footing.is_deleted:
        raise deleted(run)
    return footing


def deleted(run: str) -> Invalid:
    """The error for a run that is put away."""
    return Invalid(f"The run {run} must be in the 'active' state for that, and it is deleted; restore it first.")


def put_params(ingest: Ingest, run: str, footing: Footing, params: Mapping[str, Any]) -> None:
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
            found=before[key],
        )
    tables.put_params(ingest, run, footing.experiment, {k: value for k, value in params.items() if k not in before})


def put_readings(ingest: Ingest, run: str, footing: Footing, readings: Mapping[str, Sequence[Reading]]) -> None:
    """Append points and keep the latest of each metric at hand.

    Raises:
        Invalid: an unusable key, or a step that does not fit in 64 bits.
    """
    if not readings:
        return
    for key, several in readings.items():
        check_key("metric", key)
        steps = [step for step, _, _ in several]
        check_step(key, min(steps))
        check_step(key, max(steps))
    before = measured.series_of(ingest, run, readings)
    now = {key: _standing(several, before.get(key)) for key, several in readings.items()}
    if begun := {key: one for key, one in now.items() if key not in before}:
        before |= measured.begin_series(ingest, run, footing.experiment, begun)
    measured.append_points(
        ingest,
        ((before[key].series, now[key].points - len(several), several) for key, several in readings.items()),
    )
    if later := [one for key, one in now.items() if key not in begun]:
        measured.put_standing(ingest, later)


def put_tags(ingest: Ingest, run: str, footing: Footing, tags: Mapping[str, str]) -> None:
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
        tables.put_tags(ingest, run, footing.experiment, tags)


def remove_tag(ingest: Ingest, run: str, key: str) -> None:
    """Forget a tag.

    Raises:
        NotFound: no such run, or no such tag. Invalid: the run is put away.
    """
    must_be(ingest, run)
    if not tables.remove_tags(ingest, run, [key]):
        raise NotFound(f"No tag with name: {key[:80]} in run {run}; look at the tags it has.")


def add_artifact(ingest: Ingest, run: str, artifact: Artifact) -> Artifact:
    """Name a blob as a file of the run; the same path again means the newer bytes.

    Raises:
        NotFound: no such run or blob. Closed: the run has ended. Invalid: an unusable path, or another size than
        said.
    """
    must_run(ingest, run)
    check_artifact(ingest, artifact)
    files.put(ingest, tables.run_artifacts, run, artifact)
    return artifact


def check_artifact(view: View, artifact: Artifact) -> None:
    """Let pass a usable path for bytes that are here.

    Raises:
        NotFound: no such blob. Invalid: an unusable path, or another size than said.
    """
    check_path(artifact.path)
    size = view.blobs.size(artifact.digest)
    if size is None:
        raise NotFound(f"artifact {artifact.path!r} names blob {artifact.digest}, which is not here; upload it first.")
    if size != artifact.size:
        raise Invalid(f"artifact {artifact.path!r} is said to have {artifact.size} bytes; its blob has {size}.")


def remove_artifacts(ingest: Ingest, run: str, path: str) -> int:
    """Forget a file of the run, or every file below a folder; how many. Their bytes stay, for others may have the same.

    Raises:
        NotFound: no such run. Closed: the run has ended.
    """
    must_run(ingest, run)
    return files.remove(ingest, tables.run_artifacts, run, path)


def params_of(view: View, run: str, keys: Iterable[str]) -> dict[str, Any]:
    """Those of ``keys`` that a run has as parameters."""
    return tables.params_of(view, run, keys)


def of(view: View, run: str) -> Logged:
    """What a run logged."""
    return of_runs(view, [run])[run]


def artifacts_of(view: View, run: str, *, below: str = "") -> list[Artifact]:
    """The files of a run, by path; ``below``: only those in a folder, which ends in ``/``."""
    return files.listed(view, tables.run_artifacts, run, below=below)


def artifact_of(view: View, run: str, path: str) -> Artifact | None:
    """One file of a run."""
    return files.found(view, tables.run_artifacts, run, path)


def of_runs(view: View, runs: Sequence[str]) -> dict[str, Logged]:
    """What each of many runs logged, in three queries."""
    params, tags = (tables.values_of_runs(view, what, runs) for what in ("params", "tags"))
    latest = measured.latest_of_runs(view, runs)
    return {
        run: Logged(
            params=params[run], metrics={key: _number(one[2]) for key, one in latest[run].items()}, tags=tags[run]
        )
        for run in runs
    }


def said_by_runs(view: View, runs: Sequence[str]) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Parameters and tags of many runs, for whoever has the metrics from `latest_of_runs`."""
    params, tags = (tables.values_of_runs(view, what, runs) for what in ("params", "tags"))
    return {run: (params[run], tags[run]) for run in runs}


def latest_of_runs(view: View, runs: Sequence[str]) -> dict[str, dict[str, Reading]]:
    """The latest reading of every metric of many runs, as it is stored."""
    return measured.latest_of_runs(view, runs)


def history(
    view: View, run: str, key: str, *, after: tuple[int, datetime, float] | None = None, limit: int = 1000
) -> list[Point]:
    """Points of one metric, in the order (step, at, value), from behind ``after``; a point that was sent twice stands
    once.

    Raises:
        NotFound: there is no such run.
    """
    place = None
    if after is not None:
        step, at, value = after
        place = (step, (at - _EPOCH) // _MICROSECOND, None if math.isnan(value) else value)
    if tables.footing(view, run) is None:
        raise unknown_run(run)
    page, _ = curves.page(view, run, key, after=place, limit=limit)
    return _points(key, page.readings())


def curve(view: View, run: str, key: str, *, since: int | None = None, until: int | None = None) -> Points:
    """Every point of one metric, as columns; ``since`` and ``until`` are steps, both included.

    Raises:
        NotFound: there is no such run.
    """
    if tables.footing(view, run) is None:
        raise unknown_run(run)
    return curves.of(view, run, key, since=since, until=until)


def drawn(
    view: View, run: str, key: str, *, most: int, since: int | None = None, until: int | None = None
) -> list[Point]:
    """As many points of one metric as a picture has room for: the least and the greatest of each stretch of them.

    Raises:
        NotFound: there is no such run. Invalid: no such number of points can be drawn.
    """
    if tables.footing(view, run) is None:
        raise unknown_run(run)
    return _points(key, curves.extremes(view, run, key, most=most, since=since, until=until).readings())


def _points(key: str, readings: Sequence[Reading]) -> list[Point]:
    return [
        Point(key=key, step=step, at=_EPOCH + at * _MICROSECOND, value=_number(value)) for step, at, value in readings
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _standing(several: Sequence[Reading], before: Standing | None) -> Standing:
    """How a series stands with ``several`` readings more."""
    try:
        newest = max(several)
    except TypeError:  # at the same moment a number and what is none: those tuples have no order of their own
        newest = max(several, key=_order)
    if before is None:
        return Standing(0, newest, len(several))
    latest = max(before.latest, newest, key=_order)
    return Standing(before.series, latest, before.points + len(several))


def _order(reading: Reading) -> tuple[int, int, bool, float]:
    step, at, value = reading
    return step, at, value is not None, value or 0.0


def _check_count(what: str, found: int, most: int) -> None:
    if found > most:
        raise TooLarge(f"the request brings {found} {what}; at most {most} come in one. Send the rest in the next.")


def _check_series(series: Series) -> None:
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


def _check_param(key: str, value: Any) -> None:
    try:
        size = len(canonical_json(value).decode())
    except (ValueError, TypeError) as error:
        raise Invalid(f"parameter {key!r} is {value!r}, which JSON cannot hold; log it as text.") from error
    if (len(value) if isinstance(value, str) else size) > LONGEST_PARAM:
        raise TooLarge(f"parameter {key!r} has {size} characters; at most {LONGEST_PARAM} are kept. Log an artifact.")
