# SPDX-License-Identifier: Apache-2.0
"""Curves: a long history of a metric, thinned for the eye.

In: a run, a metric, how many points a picture has room for. Out: real points, the least and the greatest of each stretch
of steps, so that no spike is lost; all of them where they fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainstay.domain.tracking import Point
from mainstay.lifecycle.tracking import logs
from mainstay.store import View


def thinned(
    view: View, run: str, key: str, *, points: int, since: int | None = None, until: int | None = None
) -> list[Point]:
    """At most ``points`` of the metric's points whose step lies in ``since`` to ``until``, in the order of steps.

    Raises:
        NotFound: there is no such run.
    """
    found = [
        point
        for point in logs.history(view, run, key, limit=1_000_000)
        if (since is None or point.step >= since) and (until is None or point.step <= until)
    ]
    return found if len(found) <= points else list(_extremes(found, max(1, points // 2)))


def _extremes(points: Sequence[Point], stretches: int) -> Iterator[Point]:
    for number in range(stretches):
        stretch = points[len(points) * number // stretches : len(points) * (number + 1) // stretches]
        if stretch:
            ends = {id(p): p for p in (min(stretch, key=_value), max(stretch, key=_value))}
            yield from sorted(ends.values(), key=lambda point: point.step)


def _value(point: Point) -> float:
    return point.value
