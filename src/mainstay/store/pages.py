# SPDX-License-Identifier: Apache-2.0
"""Pages: what a question finds, in an order, from the place where the page before ended.

In: a query, the terms of its order, the place of the last row seen. Out: rows, each with its own place. What has no value comes
last, whichever way the order goes; the last term must tell any two rows apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, select

from mainstay.domain.errors import Invalid
from mainstay.store.change import View
from mainstay.store.conditions import behind


class Term(NamedTuple):
    """One part of an order. ``rank`` tells what has a value (0) from what has none; a number: it is so for every row.
    ``value`` is None where no row has one."""

    rank: ColumnElement[Any] | int
    value: ColumnElement[Any] | None
    descending: bool = False


def found(
    view: View,
    query: Select[Any],
    terms: Sequence[Term],
    after: Sequence[Any] | None,
    limit: int,
    *,
    whole: Table | None = None,
) -> list[tuple[list[Any], dict[str, Any]]]:
    """A page of what ``query`` selects in the order of ``terms``, from behind the place ``after``: each row's place, and its
    values by name. Where ``query`` selects ids alone, the rows of the table ``whole`` are read for those on the page only.

    Raises:
        Invalid: the place is one of another order.
    """
    order: list[tuple[Any, bool]] = []
    for rank, value, descending in terms:
        order += [] if isinstance(rank, int) else [(rank, False)]
        order += [] if value is None else [(value, descending)]
    if after is not None:
        query = _from(query, terms, order, after)
    # Sorted by the names of the places: what stands there is then worked out once.
    shown = [(column.label(f"place_{n}"), down) for n, (column, down) in enumerate(order)]
    query = _sorted(query.add_columns(*(column for column, _ in shown)), shown).limit(limit)
    names = [str(column.key) for column in query.selected_columns][: -len(shown)]
    if whole is not None:
        page, names = query.subquery("page"), [column.name for column in whole.c]
        shown = [(page.c[column.name], down) for column, down in shown]
        query = select(*whole.c, *(column for column, _ in shown)).join(page, page.c.id == whole.c.id)
        query = _sorted(query, shown)
    width = len(names)
    return [(_place(terms, row[width:]), dict(zip(names, row[:width], strict=True))) for row in view.rows(query)]


def _sorted(query: Select[Any], order: Sequence[tuple[Any, bool]]) -> Select[Any]:
    return query.order_by(*(column.desc() if down else column for column, down in order))


def _from(
    query: Select[Any], terms: Sequence[Term], order: Sequence[tuple[Any, bool]], after: Sequence[Any]
) -> Select[Any]:
    if len(after) != 2 * len(terms):
        raise Invalid("the page token belongs to another search: its order has other parts. Begin again without it.")
    place = []
    for n, term in enumerate(terms):
        place += [] if isinstance(term.rank, int) else [after[2 * n]]
        place += [] if term.value is None else [after[2 * n + 1]]
    first = next(term for term in terms if term.value is not None or not isinstance(term.rank, int))
    if isinstance(first.rank, int) and first.value is not None and place[0] is not None:
        # Said twice: by the first value alone an index can be entered where the page begins.
        query = query.where(first.value <= place[0] if first.descending else first.value >= place[0])
    return query.where(behind(order, place))


def _place(terms: Sequence[Term], values: Sequence[Any]) -> list[Any]:
    rest, place = list(values), list[Any]()
    for term in terms:
        place.append(term.rank if isinstance(term.rank, int) else rest.pop(0))
        place.append(None if term.value is None else rest.pop(0))
    return place
