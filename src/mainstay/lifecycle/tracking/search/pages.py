# SPDX-License-Identifier: Apache-2.0
"""Pages: the runs that a search finds, a screenful at a time.

In: conditions and an order. Out: a page of runs. A run without the metric, parameter or tag does not match, whatever the
comparison, except ``is null``; in an order it comes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mainstay.domain.search import Comparison, Order
from mainstay.domain.tracking import Run
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.search import filters, tables
from mainstay.store import View


class Page(NamedTuple):
    """Runs in order; ``next`` is the place behind which the following page begins, None where this is the last."""

    runs: list[Run]
    next: list[Any] | None


def find(
    view: View,
    *,
    experiment: str | None = None,
    experiments_in: Sequence[int] | None = None,
    filter: str = "",
    order_by: str = "",
    comparisons: Sequence[Comparison] = (),
    orders: Sequence[Order] = (),
    deleted: bool | None = False,
    after: Sequence[Any] | None = None,
    limit: int = 100,
    **fixed: str | None,
) -> Page:
    """Runs that meet every condition, in order; by default the newest first.

    Args:
        experiments_in: numbers of the experiments to look in; or ``experiment``, by its name.
        comparisons, orders: further conditions and terms, as another grammar has read them. Moments are microseconds.
        deleted: those put away (True), those not (False), or both (None).
        fixed: ``kind``, ``state``, ``parent`` of every run that is found.

    Raises:
        Invalid: the filter or the order cannot be read. NotFound: no such experiment.
    """
    if experiment is not None:
        experiments_in = [experiments.named(view, experiment).id]
    wanted: Mapping[str, Any] = {name: value for name, value in fixed.items() if value is not None}
    found = tables.find_runs(
        view,
        tables.Scope(experiments_in, deleted, wanted),
        [*filters.parse(filter), *comparisons],
        [*filters.parse_order(order_by), *orders],
        after=after,
        limit=limit + 1,
    )
    page = found[:limit]
    return Page([each.run for each in page], page[-1].place if page and len(found) > limit else None)
