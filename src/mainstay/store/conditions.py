# SPDX-License-Identifier: Apache-2.0
"""Conditions: the comparisons of a search as the database understands them, the same on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Table, and_, exists, false, not_, or_, type_coerce

from mainstay.store.schema import Instant

# Patterns know no escape: a backslash is a character like any other, for which PostgreSQL must be told of another.
_NO_ESCAPE = "\x1f"
_MANY = 500  # ids in one question: databases have a limit for them

_MEANINGS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    "LIKE": lambda column, value: column.like(value, escape=_NO_ESCAPE),
    "ILIKE": lambda column, value: column.ilike(value, escape=_NO_ESCAPE),
    "RLIKE": lambda column, value: column.regexp_match(value),
    "IN": lambda column, value: column.in_(list(value)),
    "NOT IN": lambda column, value: column.not_in(list(value)),
    "IS NULL": lambda column, value: column.is_(None),
    "IS NOT NULL": lambda column, value: column.is_not(None),
}


def compared(column: Any, operator: str, value: Any) -> ColumnElement[bool]:
    """``column operator value``; LIKE tells cases apart and ILIKE does not; RLIKE takes a regular expression (`patterns`)."""
    return _MEANINGS[operator](column, value)


def behind(terms: Sequence[tuple[Any, bool]], place: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row stands behind ``place`` in the order of ``terms``: columns, each with whether it descends.

    A None in ``place`` is a value that is missing there; what is missing comes before what is not.
    """
    found: list[ColumnElement[bool]] = []
    ties: list[ColumnElement[bool]] = []
    for (column, descends), value in zip(terms, place, strict=True):
        if value is None:
            further, tie = column.is_not(None), column.is_(None)
        else:
            further, tie = column < value if descends else column > value, column == value
        found.append(and_(*ties, further))
        ties.append(tie)
    return or_(false(), *found)


def has(table: Table, own: ColumnElement[bool], key: str, operator: str, value: Any) -> ColumnElement[bool]:
    """Whether what stands in a table of keys and values under ``key`` compares so; without the key nothing does, except
    IS NULL. ``own`` tells whose rows count."""
    there = exists().where(own, table.c.key == key)
    if operator == "IS NULL":
        return not_(there)
    return there if operator == "IS NOT NULL" else there.where(compared(table.c.value, operator, value))


def as_compared(column: Any) -> Any:
    """A column as it is compared and sorted: moments as the numbers they are stored as."""
    return type_coerce(column, BigInteger) if isinstance(column.type, Instant) else column


def in_parts(identities: Sequence[str]) -> Iterable[Sequence[str]]:
    """Ids, as many at a time as one question may name."""
    return (identities[first : first + _MANY] for first in range(0, len(identities), _MANY))
