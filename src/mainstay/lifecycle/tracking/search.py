# SPDX-License-Identifier: Apache-2.0
"""Search: runs by a filter such as ``metrics.auc > 0.7 and params.depth = 6 and tags.team = 'growth'``.

In: text from anybody. Out: runs, newest first. The grammar is one line: comparisons joined by ``and``, nothing
nested, so that no filter can cost more than its length. A run without the metric, parameter or tag does not match,
whatever the comparison. Keys with odd characters stand in backticks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mainstay.domain.errors import Invalid
from mainstay.domain.tracking import Run
from mainstay.lifecycle.tracking import experiments, tables
from mainstay.store import View

LONGEST_FILTER = 4_000
ATTRIBUTES = ("name", "state", "kind", "actor")

_TOKEN = re.compile(
    r"\s*(?:(?P<field>(?:metrics|params|tags)\.(?:`[^`]+`|[\w\-./:]+)|[a-z]+)\s*(?P<operator>!=|>=|<=|=|>|<)\s*"
    r"(?P<value>'[^']*'|\"[^\"]*\"|[^\s'\"]+))\s*(?P<rest>and\s|$)",
    re.IGNORECASE,
)


class Comparison(NamedTuple):
    """One part of a filter. ``kind`` is metrics, params, tags or attribute."""

    kind: str
    key: str
    operator: str
    value: str | float | bool | None


def find(
    view: View,
    *,
    kind: str | None = None,
    experiment: str | None = None,
    state: str | None = None,
    parent: str | None = None,
    filter: str = "",
    after: str | None = None,
    limit: int = 100,
) -> list[Run]:
    """Runs that meet every condition, newest first, from behind the id ``after``.

    Raises:
        Invalid: the filter cannot be read. NotFound: no such experiment.
    """
    number = experiments.named(view, experiment).id if experiment is not None else None
    query = tables.newest_runs(kind=kind, experiment=number, state=state, parent=parent, after=after, limit=limit)
    narrow: dict[str, Callable[..., Any]] = {
        "metrics": tables.where_metric,
        "params": tables.where_param,
        "tags": tables.where_tag,
        "attribute": tables.where_attribute,
    }
    for comparison in parse(filter):
        value = _as_logged(comparison.value) if comparison.kind == "params" else comparison.value
        query = narrow[comparison.kind](query, comparison.key, comparison.operator, value)
    return tables.search(view, query)


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


def _comparisons(text: str) -> Iterator[Comparison]:
    place, goes_on = 0, True
    while goes_on:
        found = _TOKEN.match(text, place)
        if found is None:
            raise Invalid(
                f"the filter cannot be read from {text[place : place + 40]!r}; comparisons such as metrics.auc > 0.7, "
                "params.depth = 6, tags.team = 'a' or state = 'failed', joined by 'and', are expected."
            )
        yield _comparison(found["field"], found["operator"], found["value"])
        place, goes_on = found.end(), bool(found["rest"].strip())


def _comparison(field: str, operator: str, text: str) -> Comparison:
    kind, dot, key = field.partition(".")
    value = _literal(text)
    if not dot:
        if field not in ATTRIBUTES:
            there = ", ".join(ATTRIBUTES)
            raise Invalid(f"the filter asks for {field!r}; it can for metrics.*, params.*, tags.*, {there}.")
        kind, key = "attribute", field
    if kind == "metrics":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid(f"the filter compares {field} with {text}; a metric is compared with a number.")
    elif operator not in ("=", "!="):
        raise Invalid(f"the filter compares {field} by {operator}; only metrics have an order, use = or !=.")
    return Comparison(kind, key.strip("`"), operator, value if kind in ("metrics", "params") else str(_unquoted(text)))


def _literal(text: str) -> str | float | bool | None:
    if text[0] in "'\"":
        return text[1:-1]
    words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    try:
        return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)
    except ValueError:
        return text


def _unquoted(text: str) -> str:
    return text[1:-1] if text[0] in "'\"" else text


def _as_logged(value: str | float | bool | None) -> list[Any]:
    """The values that a parameter may have been logged as: 6 by one client, "6" or 6.0 by another."""
    if isinstance(value, str):
        number = _literal(value) if value and value[0] not in "'\"" else value
        return [value] if isinstance(number, str) or number != number else [value, number]
    if isinstance(value, bool) or value is None:
        return [value, str(value), str(value).lower()]
    return [value, str(value), float(value)]
