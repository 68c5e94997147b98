# SPDX-License-Identifier: Apache-2.0
"""Filters of runs such as ``metrics.auc > 0.7 and params.depth = 6 and tags.team = 'growth'``, and orders such as
``metrics.auc desc, started_at``.

In: text from anybody. Out: comparisons and terms of an order, each checked. The grammar is one line: comparisons joined by
``and``, nothing nested, so that no filter can cost more than its length. Keys with odd characters stand in backticks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Invalid
from mainstay.domain.search import EQUALITY, LISTS, ORDERED, PATTERNS, Comparison, Order

LONGEST_FILTER = 4_000
TEXTS = ("id", "name", "state", "kind", "actor", "user", "parent", "error")
TIMES = ("started_at", "ended_at")
NUMBERS = ("seconds",)
ATTRIBUTES = (*TEXTS, *TIMES, *NUMBERS)
DATASET = ("name", "digest", "context")

_KINDS = {
    "metrics": "metrics", "metric": "metrics",
    "params": "params", "param": "params",
    "tags": "tags", "tag": "tags",
    "datasets": "datasets", "dataset": "datasets",
}  # fmt: skip
_STRING = r"'[^']*'|\"[^\"]*\""
_FIELD = r"(?:(?P<prefix>[a-z]+)\.(?P<key>`[^`]+`|[\w\-./:]+)|(?P<name>[a-z_]+))"
_TOKEN = re.compile(
    rf"\s*{_FIELD}\s*(?:(?P<presence>is\s+(?:not\s+)?null)|(?P<list>(?:not\s+)?in)\s*\((?P<items>[^()]*)\)|"
    rf"(?P<operator>!=|>=|<=|=|>|<|i?like\b)\s*(?P<value>{_STRING}|[^\s'\"]+))\s*(?P<rest>and\s|$)",
    re.IGNORECASE,
)
_ITEM = re.compile(rf"\s*(?P<value>{_STRING}|[^\s'\",]+)\s*(?:,|$)")
_ORDER = re.compile(rf"\s*{_FIELD}(?:\s+(?P<direction>asc|desc))?\s*(?P<rest>,|$)", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def parse(text: str) -> list[Comparison]:
    """Read a filter.

    Raises:
        Invalid: naming the place where it stops making sense.

    >>> parse("metrics.auc >= 0.7 and tags.team = 'a b'")[1]
    Comparison(kind='tags', key='team', operator='=', value='a b')
    """
    if len(text) > LONGEST_FILTER:
        raise Invalid(f"the filter has {len(text)} characters; at most {LONGEST_FILTER} are read.")
    return list(_comparisons(text)) if text.strip() else []


def parse_order(text: str) -> list[Order]:
    """Read an order.

    Raises:
        Invalid: naming the place where it stops making sense.

    >>> parse_order("metrics.auc desc, name")
    [Order(kind='metrics', key='auc', descending=True), Order(kind='attribute', key='name', descending=False)]
    """
    if len(text) > LONGEST_FILTER:
        raise Invalid(f"the order has {len(text)} characters; at most {LONGEST_FILTER} are read.")
    orders: list[Order] = []
    place, goes_on = 0, bool(text.strip())
    while goes_on:
        found = _ORDER.match(text, place)
        if found is None:
            raise Invalid(
                f"the order cannot be read from {text[place : place + 40]!r}; such as metrics.auc desc, started_at is expected."
            )
        kind, key = _field(found, "order")
        if kind == "datasets":
            raise Invalid(f"the order asks for {found[0].strip()!r}; a run may have read several datasets.")
        orders.append(
            Order("param_numbers" if kind == "params" else kind, key, (found["direction"] or "").lower() == "desc")
        )
        place, goes_on = found.end(), found["rest"] == ","
    return orders


def _comparisons(text: str) -> Iterator[Comparison]:
    place, goes_on = 0, True
    while goes_on:
        found = _TOKEN.match(text, place)
        if found is None:
            raise Invalid(
                f"the filter cannot be read from {text[place : place + 40]!r}; comparisons such as metrics.auc > 0.7, "
                "params.depth = 6, tags.team = 'a' or state = 'failed', joined by 'and', are expected."
            )
        yield _comparison(found)
        place, goes_on = found.end(), bool(found["rest"].strip())


def _comparison(found: re.Match[str]) -> Comparison:
    kind, key = _field(found, "filter")
    if found["presence"]:
        if kind == "datasets":
            raise Invalid(f"the filter asks whether datasets.{key} is null; ask for a name, a digest or a context.")
        return Comparison(kind, key, " ".join(found["presence"].upper().split()), None)
    if found["list"]:
        operator = " ".join(found["list"].upper().split())
        return _typed(kind, key, operator, _items(found["items"]))
    return _typed(kind, key, found["operator"].upper(), [found["value"]])


def _field(found: re.Match[str], what: str) -> tuple[str, str]:
    if found["name"]:
        if found["name"].lower() not in ATTRIBUTES:
            there = ", ".join(ATTRIBUTES)
            raise Invalid(f"the {what} asks for {found['name']!r}; it can for metrics.*, params.*, tags.*, {there}.")
        return "attribute", found["name"].lower()
    kind, key = _KINDS.get(found["prefix"].lower()), found["key"].strip("`")
    if kind is None or (kind == "datasets" and key not in DATASET):
        raise Invalid(
            f"the {what} asks for {found['prefix']}.{key}; it can for metrics.*, params.*, tags.*, "
            f"{', '.join(f'datasets.{name}' for name in DATASET)}."
        )
    return kind, key


def _typed(kind: str, key: str, operator: str, texts: Sequence[str]) -> Comparison:
    """A comparison with values of the kind that its field has."""
    name = key if kind == "attribute" else f"{kind}.{key}"
    if kind == "metrics" or key in NUMBERS:
        _check_operator(name, operator, ORDERED, "a metric is compared with a number")
        return Comparison(kind, key, operator, _number(name, texts[0]))
    if kind == "attribute" and key in TIMES:
        _check_operator(name, operator, ORDERED, "a time has no patterns")
        return Comparison(kind, key, operator, _micros(name, texts[0]))
    if kind == "params" and operator in ORDERED:
        return _of_param(key, operator, texts[0])
    _check_operator(name, operator, (*EQUALITY, *PATTERNS, *LISTS), "only numbers and times have an order")
    values = [_unquoted(text) for text in texts]
    return Comparison(kind, key, operator, values if operator in LISTS else values[0])


def _of_param(key: str, operator: str, text: str) -> Comparison:
    """6 is what was logged as 6, as 6.0 and as "6"; a text is compared as a text."""
    value = _literal(text)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return Comparison("param_numbers", key, operator, float(value))
    _check_operator(f"params.{key}", operator, EQUALITY, "only numbers have an order")
    if isinstance(value, str):
        return Comparison("params", key, operator, value)
    said = [text.lower(), text.capitalize() if value is not None else "None"]
    return Comparison("params", key, "IN" if operator == "=" else "NOT IN", said)


def _check_operator(name: str, operator: str, known: Sequence[str], why: str) -> None:
    if operator not in known:
        raise Invalid(f"the filter compares {name} by {operator}; {why}, use one of {', '.join(known)}.")


def _items(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(text):
        item = _ITEM.match(text, place)
        if item is None:
            break
        found.append(item["value"])
        place = item.end()
    if not found or place < len(text):
        raise Invalid(
            f"the filter has a list that cannot be read: ({text[:40]}); values such as ('a', 'b') are expected."
        )
    return found


def _number(name: str, text: str) -> float:
    value = _literal(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise Invalid(f"the filter compares {name} with {text}; a number is expected.")
    return float(value)


def _micros(name: str, text: str) -> int:
    moment = from_wire(_unquoted(text), what=f"the time that the filter compares {name} with")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _literal(text: str) -> str | float | bool | None:
    """What a value means: only words and numbers without quotes mean anything but a text. A number in quotes is one too, for
    some clients log every parameter as a text."""
    words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    try:
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:
        return _unquoted(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') else text
