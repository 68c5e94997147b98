# SPDX-License-Identifier: Apache-2.0
"""Figures: how many traces, spans or assessments there are, how long they took and what they used; in groups, and over time.

In: a question. Out: groups, each with the values that whoever asks adds up as they like. A value that is missing counts nowhere,
and neither does what lacks that by which it would be grouped. The time of a span or an assessment is that of its trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison
from mainstay.lifecycle.tracking.traces import search, tables
from mainstay.store import View

MOST_ROWS = 1_000_000
LONGEST_STRETCH_S = 400 * 86_400

# What is counted -> its figures, each with the column that it is read from, and by what it can be grouped.
FIGURES: dict[str, dict[str, str]] = {
    "traces": {"count": "id", "sessions": "session", "duration_ms": "duration_ms", "usage": "usage", "cost": "cost"},
    "spans": {"count": "id", "duration_ms": "started_ns", "usage": "usage", "cost": "cost"},
    "assessments": {"count": "id", "value": "number"},
}
GROUPS = {"traces": ("name", "state"), "spans": ("name", "kind", "state"), "assessments": ("name", "kind", "value")}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The values of one group. ``since``: where its stretch of time begins, None without stretches."""

    by: tuple[str, ...]
    since: datetime | None
    values: Sequence[float]


def of(
    view: View,
    *,
    what: str,
    figure: str,
    part: str = "",
    experiments: Sequence[int] | None = None,
    by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    filter: Iterable[Comparison] = (),
    every_s: int | None = None,
) -> list[Group]:
    """Values of ``figure`` in groups, in the order of time and names.

    Args:
        what: traces, spans or assessments. part: which number of ``usage`` or ``cost``, such as ``input_tokens``.
        by: what makes the groups. only: what must be true of each thing that is counted, by the same words.
        filter: which traces. every_s: cut time into stretches of so many seconds, from 1970 on.

    Raises:
        Invalid: there is no such figure or group, or too much to look through.
    """
    column = _column(what, figure, [*by, *(only or {})])
    if every_s is not None and not 1 <= every_s <= LONGEST_STRETCH_S:
        raise Invalid(f"a stretch of {every_s} seconds cannot be had; from 1 to {LONGEST_STRETCH_S} are possible.")
    names = GROUPS[what]
    columns = [column, *(["ended_ns"] if column == "started_ns" else []), *names]
    rows = tables.told_of(view, what, columns, search.where(experiments, filter), MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise Invalid(f"there are more than {MOST_ROWS} {what} to look through; ask for a shorter time.")
    found: dict[tuple[int | None, tuple[str, ...]], list[Any]] = {}
    for row in rows:
        told = dict(zip(names, row[-len(names) :], strict=True))
        value, group = _value(figure, part, row), tuple(told[name] for name in by)
        if value is None or None in group or any(told[name] != wanted for name, wanted in (only or {}).items()):
            continue
        stretch = None if every_s is None else int((row[0] - _EPOCH).total_seconds()) // every_s * every_s
        found.setdefault((stretch, group), []).append(value)
    return [_group(figure, *key, found[key]) for key in sorted(found, key=lambda each: (each[0] or 0, each[1]))]


def _column(what: str, figure: str, names: Sequence[str]) -> str:
    if what not in FIGURES or figure not in FIGURES[what]:
        there = ", ".join(f"{figure} of {what}" for what, figures in FIGURES.items() for figure in figures)
        raise Invalid(f"there is no figure {figure[:60]!r} of {what[:60]!r}; there are {there}.")
    if odd := next((name for name in names if name not in GROUPS[what]), None):
        raise Invalid(f"{what} have no {odd[:60]!r} to be told apart by; they have {', '.join(GROUPS[what])}.")
    return FIGURES[what][figure]


def _value(figure: str, part: str, row: Any) -> Any:
    if figure == "count":
        return 1.0
    if figure in ("usage", "cost"):
        return (row[1] or {}).get(part)
    if "started_ns" in row._fields:
        return None if row.ended_ns is None else (row.ended_ns - row.started_ns) // 1_000_000
    return row[1]


def _group(figure: str, stretch: int | None, by: tuple[str, ...], values: list[Any]) -> Group:
    since = None if stretch is None else _EPOCH + timedelta(seconds=stretch)
    return Group(by=by, since=since, values=[1.0] * len(set(values)) if figure == "sessions" else values)
