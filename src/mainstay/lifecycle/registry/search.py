# SPDX-License-Identifier: Apache-2.0
"""Search over models and versions: comparisons, an order, and pages.

In: text in our own words (`filters`), or comparisons that another grammar has read. Out: models, or versions. A page token is
the place where the next page begins; what is added meanwhile may shift it, what stands still is seen once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mainstay.domain.registry import Model, Version
from mainstay.domain.search import Comparison, Order
from mainstay.lifecycle.registry import filters, tables
from mainstay.store import View


class Page(NamedTuple):
    """Some of what was found; ``next`` is where the rest begins, None at the end."""

    items: list[Any]
    next: int | None


def models(
    view: View,
    *,
    filter: str = "",
    order: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
    orders: Sequence[Order] = (),
    after: int = 0,
    limit: int = 100,
) -> Page:
    """Models that meet every condition, by name; unless one speaks of ``kind``, prompts are not among them.

    Args:
        comparisons, orders: further conditions and terms, as another grammar has read them.

    Raises:
        Invalid: the filter or the order cannot be understood.
    """
    conditions = _of_a_kind([*filters.parse(filter, filters.MODELS), *comparisons])
    by = _whole([*filters.parse_order(order, filters.MODELS), *orders], ties=[_by("name")])
    found: list[Model] = tables.search_models(view, conditions, by, after, limit + 1)
    return Page(found[:limit], after + limit if len(found) > limit else None)


def versions(
    view: View,
    *,
    filter: str = "",
    order: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
    orders: Sequence[Order] = (),
    after: int = 0,
    limit: int = 100,
) -> Page:
    """Versions that meet every condition, as `models`; by default those that changed last first.

    Raises:
        Invalid: the filter or the order cannot be understood.
    """
    conditions = _of_a_kind([*filters.parse(filter, filters.VERSIONS), *comparisons])
    asked = [*filters.parse_order(order, filters.VERSIONS), *orders] or [_by("updated_at", descending=True)]
    by = _whole(asked, ties=[_by("name"), _by("number", descending=True)])
    found: list[Version] = tables.search_versions(view, conditions, by, after, limit + 1)
    return Page(found[:limit], after + limit if len(found) > limit else None)


def _by(key: str, *, descending: bool = False) -> Order:
    return Order("attribute", key, descending)


def _of_a_kind(conditions: list[Comparison]) -> list[Comparison]:
    if any(each[:2] == ("attribute", "kind") for each in conditions):
        return conditions
    return [Comparison("attribute", "kind", "=", "model"), *conditions]


def _whole(orders: Sequence[Order], *, ties: Sequence[Order]) -> list[Order]:
    """The order asked for, and at last what tells any two apart: so pages never overlap."""
    there = {order.key for order in orders}
    return [*orders, *(tie for tie in ties if tie.key not in there)]
