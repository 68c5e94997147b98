# SPDX-License-Identifier: Apache-2.0
"""Rules: which values break what a contract asks of their column; the same code for a batch and for a request.

In: a contract's `Column` and values of its type. Out: for each broken rule a mask of the values that break it. Missing
values break none of these. Patterns are RE2's, which takes time linear in the text whatever the pattern is: neither a
contract nor a value can stop a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.clock import parse_duration
from mainstay.domain.contracts import Column
from mainstay.domain.errors import Invalid

Fault = Literal["range", "category", "pattern"]
Values = Any  # pa.Array or pa.ChunkedArray, which have no types of their own


def broken(rule: Column, values: Values) -> Iterator[tuple[Fault, Values]]:
    """For each rule about single values: its name, and which of ``values`` break it; none of those that hold."""
    masks: list[tuple[Fault, Values | None]] = [
        ("range", _out_of_range(rule, values)),
        ("category", _strange(rule, values)),
        ("pattern", _unlike(rule, values)),
    ]
    for fault, mask in masks:
        if mask is not None and pc.any(mask).as_py():
            yield fault, pc.fill_null(mask, False)


def check_pattern(rule: Column) -> None:
    """See that the pattern of ``rule`` is one.

    Raises:
        Invalid: it is not; what RE2 said is in the message.
    """
    if rule.pattern is None:
        return
    try:
        for written in (rule.pattern, _whole(rule.pattern)):  # alone too, or `a)(b` would pass
            pc.match_substring_regex(pa.array([""]), written)
    except pa.ArrowInvalid as error:
        said = " ".join(str(error).split())
        raise Invalid(
            f"column {rule.name!r} has the pattern {rule.pattern!r}, which is none ({said}); RE2 syntax is expected: no "
            "look-around and no back-references.",
            column=rule.name,
        ) from error


def too_old(rule: Column, values: Values, now: datetime) -> timedelta | None:
    """How old the newest value of a column of times is, if that is older than its freshness; else None.

    A time without a zone, and a date, are taken as UTC.
    """
    newest = pc.max(values.cast(pa.timestamp("us"))).as_py() if rule.freshness else None
    if newest is None:
        return None
    age: timedelta = now.replace(tzinfo=None) - newest
    return age if age > parse_duration(rule.freshness or "") else None


def _out_of_range(rule: Column, values: Values) -> Values | None:
    below = None if rule.minimum is None else pc.less(values, rule.minimum)
    above = None if rule.maximum is None else pc.greater(values, rule.maximum)
    return pc.or_(below, above) if below is not None and above is not None else below if above is None else above


def _strange(rule: Column, values: Values) -> Values | None:
    if rule.categories is None:
        return None
    known = pc.is_in(values, value_set=pa.array(rule.categories, pa.string()))
    return pc.and_(pc.invert(known), pc.is_valid(values))


def _unlike(rule: Column, values: Values) -> Values | None:
    return None if rule.pattern is None else pc.invert(pc.match_substring_regex(values, _whole(rule.pattern)))


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"
