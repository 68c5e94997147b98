# SPDX-License-Identifier: Apache-2.0
"""Series: the points of one metric of a run as they are stored, all of them or as few as a chart can show.

`sampled` takes points evenly; `extremes` keeps the least and the greatest of each stretch, so that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.lifecycle.tracking.metrics import tables
from mainstay.lifecycle.tracking.metrics.tables import Reading
from mainstay.store import View

MOST_DRAWN = 10_000


def readings(
    view: View,
    run: str,
    key: str,
    *,
    by_time: bool = False,
    after: Reading | None = None,
    since: int | None = None,
    until: int | None = None,
    limit: int | None = None,
) -> list[Reading]:
    """Readings in the order (step, at, value) or, ``by_time``, (at, step, value); none where there is no such metric.

    A reading that was sent twice is here twice, side by side. ``since`` and ``until`` are steps, both included.
    """
    found = tables.series_of(view, run, [key]).get(key)
    if found is None:
        return []
    return tables.readings_of(view, found.series, by_time=by_time, after=after, since=since, until=until, limit=limit)


def once(readings: Sequence[Reading], before: Reading | None = None) -> list[Reading]:
    """Each reading once, and not ``before``, which was the last of the page before."""
    return [one for one, last in zip(readings, [before, *readings], strict=False) if one != last]


def sampled(
    view: View, run: str, key: str, *, most: int, since: int | None = None, until: int | None = None
) -> list[Reading]:
    """Readings spread evenly over a metric, in the order (step, at, value); the first and the last are always among them.

    ``since`` and ``until`` are steps, both included. About ``most`` are returned; where there are fewer, all.
    """
    found = tables.series_of(view, run, [key]).get(key)
    if found is None:
        return []
    if steps := _regular(*tables.extent_of(view, found.series, since, until), most):
        chosen = tables.readings_at(view, found.series, steps)
        if len(chosen) == len(steps):
            return chosen
    every = once(tables.readings_of(view, found.series, since=since, until=until))
    if len(every) <= most:
        return every
    return [every[place] for place in _spread(len(every), most)]


def extremes(
    view: View, run: str, key: str, *, most: int, since: int | None = None, until: int | None = None
) -> list[Reading]:
    """At most ``most`` readings in the order (step, at, value): the least and the greatest of each stretch of them.

    Raises:
        Invalid: no such number of points can be drawn.
    """
    if not 2 <= most <= MOST_DRAWN:
        raise Invalid(f"'points' is {most}; from 2 to {MOST_DRAWN} is possible.")
    found = once(readings(view, run, key, since=since, until=until))
    if len(found) <= most:
        return found
    values = np.array([value for _, _, value in found], dtype=np.float64)
    return [found[place] for place in _extremes(values, most // 2)]


def _extremes(values: np.ndarray[Any, Any], stretches: int) -> np.ndarray[Any, Any]:
    """Places of the least and the greatest value of each stretch; what is no number is neither, unless all are."""
    edges = np.linspace(0, len(values), stretches + 1).astype(int)
    low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
    return np.unique([(a + low[a:b].argmin(), a + high[a:b].argmax()) for a, b in pairwise(edges)])


def _regular(count: int, first: int, last: int, most: int) -> list[int] | None:
    """Steps spread evenly over a series that has a reading every so many steps, as most have: nobody needs to read them all
    then. None: it has not, or is short."""
    if not 2 <= most < count or last == first or (last - first) % (count - 1):
        return None
    stride = (last - first) // (count - 1)
    return [first + place * stride for place in _spread(count, most)]


def _spread(count: int, most: int) -> list[int]:
    """``most`` places among ``count``: the first of each of as many stretches, which differ by one at most; and the last place.

    >>> _spread(10, 5)
    [0, 2, 4, 6, 9]
    """
    length, longer = divmod(count, most)
    return [n * length + min(n, longer) for n in range(most - 1)] + [count - 1]
