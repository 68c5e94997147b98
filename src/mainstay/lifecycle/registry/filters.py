# SPDX-License-Identifier: Apache-2.0
"""Filters of models and versions such as ``name like 'late-%' and tags.team = 'ops'``, and orders such as ``updated_at desc``.

In: text from anybody, and the `Words` it may use. Out: comparisons and terms of an order, each checked. The grammar is one line:
comparisons joined by ``and``, nothing nested. ``like`` heeds the case and ``ilike`` does not; ``%`` stands for any text. A word
that is not known is an error, never "all of them".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mainstay.domain.errors import Invalid
from mainstay.domain.search import EQUALITY, LISTS, ORDERED, PATTERNS, Comparison, Order

LONGEST_FILTER = 8_000
MOST_COMPARISONS = 100

_COMPARISON = re.compile(
    r"""\s*(?P<field>[A-Za-z_]+(?:\.(?:`[^`]+`|"[^"]+"|[\w.\-/]+))?|`[A-Za-z_]+`)
        \s*(?P<operator>!=|>=|<=|=|>|<|(?i:not\s+in|in|like|ilike)(?=[\s('"]))
        \s*(?P<value>'[^']*'|"[^"]*"|[+-]?[0-9]+|\([^()]*\))
        \s*(?P<rest>(?i:and\b)|$)""",
    re.VERBOSE,
)
_ITEM = re.compile(r"\s*('[^']*'|\"[^\"]*\"|[+-]?[0-9]+)\s*(?:,|$)")
_ORDER = re.compile(r"\s*(?P<field>[A-Za-z_`]+)(?:\s+(?P<way>(?i:asc|desc)))?\s*")
_ATTRIBUTES = ("attribute", "attributes", "attr")


class Words(NamedTuple):
    """What may be asked of one kind of thing: texts, whole numbers, and what gives an order."""

    texts: Sequence[str]
    numbers: Sequence[str]
    orders: Sequence[str]


MODELS = Words(("name", "owner", "tier", "kind"), (), ("name", "created_at", "updated_at"))
VERSIONS = Words(
    ("name", "run_id", "source", "state", "format", "actor", "kind"),
    ("number",),
    ("name", "number", "created_at", "updated_at"),
)


def parse(text: str, words: Words) -> list[Comparison]:
    """Read a filter.

    Raises:
        Invalid: naming the place that cannot be understood.

    >>> parse("name like 'late-%' and tags.team = 'ops'", MODELS)[1]
    Comparison(kind='tags', key='team', operator='=', value='ops')
    """
    if len(text) > LONGEST_FILTER:
        raise Invalid(f"the filter has {len(text)} characters; at most {LONGEST_FILTER} are allowed.")
    found = list(_read(text, words))
    if len(found) > MOST_COMPARISONS:
        raise Invalid(f"the filter has {len(found)} comparisons; at most {MOST_COMPARISONS} are allowed.")
    return found


def parse_order(clauses: Sequence[str], words: Words) -> list[Order]:
    """Read an order.

    Raises:
        Invalid: naming the clause that cannot be understood, or what is named twice.
    """
    orders: list[Order] = []
    for text in clauses:
        found = _ORDER.fullmatch(text)
        name = found["field"].strip("`") if found else ""
        if found is None or name not in words.orders:
            raise Invalid(
                f"the order {text[:60]!r} cannot be read; one of {', '.join(words.orders)} with ASC or DESC is expected."
            )
        if name in {order.key for order in orders}:
            raise Invalid(f"the order names {name!r} twice; once is enough.")
        orders.append(Order("attribute", name, (found["way"] or "").lower() == "desc"))
    return orders


def _read(text: str, words: Words) -> Iterator[Comparison]:
    place, goes_on = 0, bool(text.strip())
    while goes_on:
        found = _COMPARISON.match(text, place)
        if found is None:
            raise Invalid(
                f"the filter cannot be read at {text[place:][:60]!r}; comparisons such as name like 'late%' or "
                f"tags.team = 'ops', joined by 'and', are expected. Its fields: {_listed(words)}."
            )
        yield _comparison(found["field"], " ".join(found["operator"].upper().split()), found["value"], words)
        place, goes_on = found.end(), bool(found["rest"])


def _comparison(name: str, operator: str, text: str, words: Words) -> Comparison:
    kind, dot, key = name.strip("`").partition(".")
    if kind in _ATTRIBUTES and dot:
        kind, dot, key = key, "", ""
    if dot and kind not in ("tags", "tag"):
        raise Invalid(f"the filter asks for {name!r}; only tags have keys, as in tags.team = 'ops'.")
    if not dot and kind not in (*words.texts, *words.numbers):
        raise Invalid(f"the filter asks for {kind!r}; it can for {_listed(words)}.")
    is_number = not dot and kind in words.numbers
    allowed = (*(ORDERED if is_number else (*EQUALITY, *PATTERNS)), *LISTS)
    if operator not in allowed:
        raise Invalid(f"the filter compares {name} by {operator!r}; {', '.join(allowed)} are possible.")
    value = _value(name, operator, text, is_number=is_number)
    return (
        Comparison("tags", key.strip('`"'), operator, value) if dot else Comparison("attribute", kind, operator, value)
    )


def _value(name: str, operator: str, text: str, *, is_number: bool) -> Any:
    if (text[0] == "(") != (operator in LISTS):
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


def _listed(words: Words) -> str:
    return ", ".join((*words.texts, *words.numbers, "tags.*"))
