# SPDX-License-Identifier: Apache-2.0
"""Series: the points of one metric of a run, all of them, a page, or as few as a chart can show.

`sampled` takes points evenly; `extremes` keeps the least and the greatest of each stretch, so that no spike is lost.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.lifecycle.tracking.metrics import points, tables
from mainstay.lifecycle.tracking.metrics.points import Points, Reading
from mainstay.store import View

MOST_DRAWN = 10_000


def of(view: View, run: str, key: str, *, since: int | None = None, until: int | None = None) -> Points:
    """Every point in the order (step, at, value), one that was sent twice once; none where there is no such metric.

    ``since`` and ``until`` are steps, both included.
    """
    found = tables.series_of(view, run, [key]).get(key)
    return points.read([]) if found is None else tables.points_of(view, found.series, since, until)


def page(view: View, run: str, key: str, *, after: Reading | None = None, limit: int) -> tuple[Points, bool]:
    """Points in the order (step, at, value) from behind ``after``, and whether there are more."""
    found = of(view, run, key, since=None if after is None else after[0])
    found = found if after is None else found.some(points.behind(found, after))
    return found.some(slice(limit)), found.size > limit


def page_by_time(
    view: View, run: str, key: str, *, after: Reading | None = None, limit: int | None = None
) -> tuple[Points, bool]:
    """Points in the order (at, step, value) from behind ``after``, and whether there are more."""
    found = points.by_time(of(view, run, key))
    found = found if after is None else found.some(points.behind(found, after, by_time=True))
    return found.some(slice(limit)), limit is not None and found.size > limit


def sampled(view: View, run: str, key: str, *, most: int, since: int | None = None, until: int | None = None) -> Points:
    """Points spread evenly over a metric, in the order (step, at, value); the first and the last are always among them.

    ``since`` and ``until`` are steps, both included. At most ``most`` are returned; where there are fewer, all.
    """
    every = of(view, run, key, since=since, until=until)
    return every if every.size <= most else every.some(_spread(every.size, most))


def extremes(
    view: View, run: str, key: str, *, most: int, since: int | None = None, until: int | None = None
) -> Points:
    """At most ``most`` points in the order (step, at, value): the least and the greatest of each stretch of them.

    Raises:
        Invalid: no such number of points can be drawn.
    """
    if not 2 <= most <= MOST_DRAWN:
        raise Invalid(f"'points' is {most}; from 2 to {MOST_DRAWN} is possible.")
    every = of(view, run, key, since=since, until=until)
    return every if every.size <= most else every.some(_extremes(every.values, most // 2))


def _extremes(values: np.ndarray[Any, Any], stretches: int) -> np.ndarray[Any, Any]:
    """Places of the least and the greatest value of each stretch; what is no number is neither, unless all are."""
    edges = np.linspace(0, len(values), stretches + 1).astype(int)
    low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
    return np.unique([(a + low[a:b].argmin(), a + high[a:b].argmax()) for a, b in pairwise(edges)])


def _spread(count: int, most: int) -> list[int]:
    """``most`` places among ``count``: the first of each of as many stretches, which differ by one at most; and the last place.

    >>> _spread(10, 5)
    [0, 2, 4, 6, 9]
    """
    length, longer = divmod(count, most)
    return [n * length + min(n, longer) for n in range(most - 1)] + [count - 1]
