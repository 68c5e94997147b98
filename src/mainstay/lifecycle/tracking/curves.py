# SPDX-License-Identifier: Apache-2.0
"""Curves: a long history of a metric, thinned for the eye.

In: a run, a metric, how many points a picture has room for. Out: real points, the least and the greatest of each stretch
of steps, so that no spike is lost; all of them where they fit.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.domain.tracking import Point, unknown_run
from mainstay.lifecycle.tracking import tables
from mainstay.store import View

MOST_POINTS = 10_000


def thinned(
    view: View, run: str, key: str, *, points: int, since: int | None = None, until: int | None = None
) -> list[Point]:
    """At most ``points`` of the metric's points whose step lies in ``since`` to ``until``, in the order of steps.

    Raises:
        NotFound: there is no such run. Invalid: no such number of points can be drawn.
    """
    if not 2 <= points <= MOST_POINTS:
        raise Invalid(f"'points' is {points}; from 2 to {MOST_POINTS} is possible.")
    if tables.state_of(view, run) is None:
        raise unknown_run(run)
    # Steps and values alone: to make 100,000 moments of the times of points that nobody sees takes longer than all else.
    steps, values = tables.steps_and_values(view, run, key, since=since, until=until)
    if len(steps) > points:
        steps = steps[_extremes(values, points // 2)]
    return tables.points_at(view, run, key, [int(step) for step in np.unique(steps)])[:points]


def _extremes(values: np.ndarray[Any, Any], stretches: int) -> np.ndarray[Any, Any]:
    """The places of the least and the greatest value of each stretch; what is no number is neither, unless all are."""
    edges = np.linspace(0, len(values), stretches + 1).astype(int)
    low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
    pairs = [(a + low[a:b].argmin(), a + high[a:b].argmax()) for a, b in pairwise(edges)]
    return np.unique(np.array(pairs))
