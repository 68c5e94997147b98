# SPDX-License-Identifier: Apache-2.0
"""Search over models and versions: comparisons joined by ``and``, an order, and pages.

In: ``name like 'late-%' and tags.team = 'ops'``. Out: models, or versions. A word that is not known is an error, never
"all of them". ``like`` heeds the case and ``ilike`` does not; ``%`` stands for any text. A page token is the place where the
next page begins; what is added meanwhile may shift it, what stands still is seen once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Model, Version
from mainstay.lifecycle.registry import tables
from mainstay.store import View

LONGEST_FILTER = 8_000
MOST_COMPARISONS = 100

# What a filter may call a field -> the column; and those that are numbers.
MODEL_FIELDS = {"name": "name", "owner": "owner", "tier": "tier", "kind": "kind"}
VERSION_FIELDS = {
    "name": "model",
    "number": "number",
    "run_id": "said_run",
    "source": "source",
    "state": "state",
    "format": "format",
    "actor": "actor",
    "kind": "kind",
}
MODEL_ORDERS = {"name": "name", "created_at": "created_at", "updated_at": "updated_at"}
VERSION_ORDERS = {"name": "model", "number": "number", "created_at": "created_at", "updated_at": "updated_at"}
_NUMBERS = frozenset({"number"})
_TEXT_OPERATORS = frozenset({"=", "!=", "like", "ilike", "in", "not in"})
_NUMBER_OPERATORS = frozenset({"=", "!=", ">", ">=", "<", "<=", "in", "not in"})

_COMPARISON = re.compile(
    r"""\s*(?P<field>[A-Za-z_]+(?:\.(?:`[^`]+`|"[^"]+"|[\w.\-/]+))?|`[A-Za-z_]+`)
        \s*(?P<operator>!=|>=|<=|=|>|<|(?i:not\s+in|in|like|ilike)(?=[\s('"]))
        \s*(?P<value>'[^']*'|"[^"]*"|[+-]?[0-9]+|\([^()]*\))
        \s*(?P<rest>(?i:and\b)|$)""",
    re.VERBOSE,
)
_ITEM = re.compile(r"\s*('[^']*'|\"[^\"]*\"|[+-]?[0-9]+)\s*(?:,|$)")
_ORDER = re.compile(r"\s*(?P<field>[A-Za-z_`]+)(?:\s+(?P<way>(?i:asc|desc)))?\s*")


class Comparison(NamedTuple):
    """One condition. ``field`` is a column, or ``tags`` with a ``key``."""

    field: str
    key: str
    operator: str
    value: Any


class Page(NamedTuple):
    """Some of what was found; ``next`` is where the rest begins, None at the end."""

    items: list[Any]
    next: int | None


def models(
    view: View,
    *,
    filter: str = "",
    where: Sequence[Comparison] = (),
    order: Sequence[str] = (),
    after: int = 0,
    limit: int = 100,
    fields: Mapping[str, str] = MODEL_FIELDS,
    orders: Mapping[str, str] = MODEL_ORDERS,
) -> Page:
    """Models that meet ``filter`` and ``where``; unless these speak of ``kind``, prompts are not among them.

    Raises:
        Invalid: the filter or the order cannot be understood.
    """
    conditions = _of_a_kind([*comparisons(filter, fields), *where])
    by = _order(order, orders, usual=(), ties=[("name", False)])
    found: list[Model] = tables.search_models(view, conditions, by, after, limit + 1)
    return Page(found[:limit], after + limit if len(found) > limit else None)


def versions(
    view: View,
    *,
    filter: str = "",
    where: Sequence[Comparison] = (),
    order: Sequence[str] = (),
    after: int = 0,
    limit: int = 100,
    fields: Mapping[str, str] = VERSION_FIELDS,
    orders: Mapping[str, str] = VERSION_ORDERS,
) -> Page:
    """Versions that meet ``filter`` and ``where``, by default those that changed last first.

    Raises:
        Invalid: the filter or the order cannot be understood.
    """
    conditions = _of_a_kind([*comparisons(filter, fields), *where])
    by = _order(order, orders, usual=[("updated_at", True)], ties=[("model", False), ("number", True)])
    found: list[Version] = tables.search_versions(view, conditions, by, after, limit + 1)
    return Page(found[:limit], after + limit if len(found) > limit else None)


def comparisons(text: str, fields: Mapping[str, str]) -> list[Comparison]:
    """What a filter asks for. ``fields``: what it may call a field -> its column.

    Raises:
        Invalid: naming the place that cannot be understood.
    """
    if len(text) > LONGEST_FILTER:
        raise Invalid(f"the filter has {len(text)} characters; at most {LONGEST_FILTER} are allowed.")
    found = list(_read(text, fields))
    if len(found) > MOST_COMPARISONS:
        raise Invalid(f"the filter has {len(found)} comparisons; at most {MOST_COMPARISONS} are allowed.")
    return found


def _read(text: str, fields: Mapping[str, str]) -> Iterator[Comparison]:
    place, goes_on = 0, bool(text.strip())
    while goes_on:
        found = _COMPARISON.match(text, place)
        if found is None:
            names = ", ".join(fields)
            raise Invalid(
                f"the filter cannot be read at {text[place:][:60]!r}; comparisons such as name like 'late%' or "
                f"tags.team = 'ops', joined by 'and', are expected. Its fields: {names}, tags.*."
            )
        yield _comparison(found["field"], " ".join(found["operator"].lower().split()), found["value"], fields)
        place, goes_on = found.end(), bool(found["rest"])


def _comparison(name: str, operator: str, text: str, fields: Mapping[str, str]) -> Comparison:
    kind, dot, key = name.strip("`").partition(".")
    if kind in ("attribute", "attributes", "attr") and dot:
        kind, dot, key = key, "", ""
    if dot and kind not in ("tags", "tag"):
        raise Invalid(f"the filter asks for {name!r}; only tags have keys, as in tags.team = 'ops'.")
    if not dot and kind not in fields:
        raise Invalid(f"the filter asks for {kind!r}; it can for {', '.join(fields)} and tags.*.")
    column = "tags" if dot else fields[kind]
    allowed = _NUMBER_OPERATORS if column in _NUMBERS else _TEXT_OPERATORS
    if operator not in allowed:
        raise Invalid(f"the filter compares {name} by {operator!r}; {', '.join(sorted(allowed))} are possible.")
    return Comparison(column, key.strip('`"'), operator, _value(name, operator, text, is_number=column in _NUMBERS))


def _value(name: str, operator: str, text: str, *, is_number: bool) -> Any:
    if (text[0] == "(") != (operator in ("in", "not in")):
        raise Invalid(f"the filter compares {name} with {text[:60]}; a list goes with 'in', one value with the rest.")
    if text[0] != "(":
        return _one(name, text, is_number=is_number)
    place, items, inner = 0, [], text[1:-1]
    while place < len(inner):
        found = _ITEM.match(inner, place)
        if found is None:
            raise Invalid(f"the filter's list {text[:60]} cannot be read; ('a', 'b') is expected.")
        items.append(_one(name, found[1], is_number=is_number))
        place = found.end()
    if not items:
        raise Invalid(f"the filter's list for {name} is empty; ('a', 'b') is expected.")
    return items


def _one(name: str, text: str, *, is_number: bool) -> Any:
    is_quoted = text[0] in "'\""
    inner = text[1:-1] if is_quoted else text
    if is_number:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", inner):
            raise Invalid(f"the filter compares {name} with {text[:60]}; a whole number is expected.")
        return int(inner)
    if not is_quoted:
        raise Invalid(f"the filter compares {name} with {text[:60]}; a text in quotes is expected.")
    return inner


def _of_a_kind(conditions: list[Comparison]) -> list[Comparison]:
    if any(condition.field == "kind" for condition in conditions):
        return conditions
    return [Comparison("kind", "", "=", "model"), *conditions]


def _order(
    asked: Sequence[str],
    known: Mapping[str, str],
    *,
    usual: Sequence[tuple[str, bool]],
    ties: Sequence[tuple[str, bool]],
) -> list[tuple[str, bool]]:
    """The order asked for, or the usual one, and at last what tells any two apart: so pages never overlap."""
    order: list[tuple[str, bool]] = []
    for text in asked:
        found = _ORDER.fullmatch(text)
        name = found["field"].strip("`") if found else ""
        if found is None or name not in known:
            raise Invalid(
                f"the order {text[:60]!r} cannot be read; one of {', '.join(known)} with ASC or DESC is expected."
            )
        if known[name] in {column for column, _ in order}:
            raise Invalid(f"the order names {name!r} twice; once is enough.")
        order.append((known[name], (found["way"] or "").lower() == "desc"))
    order = order or list(usual)
    there = {column for column, _ in order}
    return order + [(column, is_down) for column, is_down in ties if column not in there]
