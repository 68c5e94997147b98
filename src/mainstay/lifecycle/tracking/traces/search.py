# SPDX-License-Identifier: Apache-2.0
"""Search: traces by a filter, in an order, page by page.

A page goes on from behind the last trace of the page before, not from a count: what arrives meanwhile neither repeats
nor hides anything. Traces that lack what they are ordered by come last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison, Order
from mainstay.domain.traces import Trace
from mainstay.lifecycle.tracking.traces import filters, tables
from mainstay.lifecycle.tracking.traces.filters import ATTRIBUTE
from mainstay.store import View

ORDERS = ("at", "duration_ms", "end", "state", "name", "id", "experiment", "run", "session")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST_MS = 200_000_000_000_000


def find(
    view: View,
    *,
    experiments: Sequence[int] | None = None,
    filter: Iterable[Comparison] = (),
    order: Sequence[Order] = (),
    after: str | None = None,
    limit: int = 100,
) -> list[Trace]:
    """Traces that meet every comparison, newest first unless ``order`` says otherwise, from behind the trace ``after``.

    Raises:
        Invalid: it asks for what there is not, or ``after`` has been deleted meanwhile.
    """
    columns = [(_column(each), each.descending) for each in order]
    said = {(each.kind, each.key) for each in order}
    columns += [(tables.field("at"), True)] if (ATTRIBUTE, "at") not in said else []
    columns += [(tables.field("id"), False)] if (ATTRIBUTE, "id") not in said else []
    conditions = where(experiments, filter)
    if after is not None:
        behind = tables.behind(view, after, columns)
        if behind is None:
            raise Invalid(
                f"the page is to go on behind trace {after[:80]!r}, which is gone; ask for the first page again."
            )
        conditions.append(behind)
    return tables.found(view, conditions, columns, limit)


def count(view: View, *, experiments: Sequence[int] | None = None, filter: Iterable[Comparison] = ()) -> int:
    """How many traces meet every comparison."""
    return tables.count(view, where(experiments, filter))


def where(experiments: Sequence[int] | None, filter: Iterable[Comparison]) -> list[tables.Condition]:
    """The conditions of a question. What is asked of spans must all be true of one and the same span."""
    conditions = [] if experiments is None else [tables.in_experiments(experiments)]
    of_span = []
    for comparison in map(filters.checked, filter):
        if comparison.kind == "span" or comparison[:2] == (ATTRIBUTE, "text"):
            of_span.append(_of_span(comparison))
        else:
            conditions.append(_condition(comparison))
    return conditions + ([tables.has_span(of_span)] if of_span else [])


def _condition(comparison: Comparison) -> tables.Condition:
    kind, key, operator, value = comparison
    if kind in ("tags", "metadata"):
        return _of_label(comparison)
    if kind == "issue":
        return tables.is_assessed("issue", str(value), None, only_valid=False)
    if kind in ("feedback", "expectation"):
        return _of_assessment(comparison)
    if key == "run" and operator == "=":
        return tables.either([tables.compared(tables.field("run"), "=", value), tables.is_linked("run", str(value))])
    if key == "prompt":
        return tables.is_linked("prompt", _prompt(value))
    if key == "at":
        return tables.compared(tables.field("at"), operator, _moment(value))
    if key == "end":
        return tables.compared(tables.field("end"), operator, int(_milliseconds(value) * 1000))
    return tables.compared(tables.field(key), operator, value)


def _of_label(comparison: Comparison) -> tables.Condition:
    kind, key, operator, value = comparison
    table = tables.trace_tags if kind == "tags" else tables.trace_metadata
    if operator in filters.NULL:
        there = tables.has_label(table, key, None)
        return tables.neither(there) if operator == "IS NULL" else there
    return tables.has_label(table, key, tables.compared(table.c.value, operator, value))


def _of_assessment(comparison: Comparison) -> tables.Condition:
    kind, key, operator, value = comparison
    if operator in filters.NULL:
        given = tables.is_assessed(kind, key, None)
        return tables.neither(given) if operator == "IS NULL" else given
    column, number = tables.assessments.c.value, tables.assessments.c.number
    if isinstance(value, int | float):
        test = tables.compared(number, operator, value)
    elif operator in filters.EQUAL:
        # A value is kept as JSON: 'yes' is asked for as "yes", true and 5 as what they are.
        same = tables.either(
            tables.compared(column, "=", each) for each in (value, json.dumps(value, ensure_ascii=False))
        )
        test = same if operator == "=" else tables.neither(same)
    else:
        test = tables.compared(column, operator, value)
    return tables.is_assessed(kind, key, test)


def _of_span(comparison: Comparison) -> tables.Condition:
    _, key, operator, value = comparison
    if key in ("content", "text"):
        return tables.span_says(lambda column: tables.compared(column, operator, value))
    if key in filters.SPAN_FIELDS:
        return tables.compared(tables.spans.c[key], operator, value)
    test = tables.compared(tables.span_attributes.c.value, operator, value)
    return tables.span_attribute(key.removeprefix("attributes."), test)


def _column(order: Order) -> Any:
    if order.kind in ("tags", "metadata"):
        return tables.label(tables.trace_tags if order.kind == "tags" else tables.trace_metadata, order.key)
    if order.kind != ATTRIBUTE or order.key not in ORDERS:
        raise Invalid(
            f"traces cannot be ordered by {order.key[:80]!r}; they can by {', '.join(ORDERS)}, tags.*, metadata.*."
        )
    return tables.field(order.key)


def _prompt(value: Any) -> str:
    if str(value).count("/") != 1:
        raise Invalid(f"the filter asks for prompt {value!r}; a name and a version such as 'greeting/2' are expected.")
    return str(value)


def _milliseconds(value: Any) -> float:
    # Far enough for any comparison to come out right, near enough for the calendar and for 64 bits.
    return max(-_FARTHEST_MS, min(_FARTHEST_MS, float(value)))


def _moment(value: Any) -> datetime:
    return _EPOCH + timedelta(milliseconds=max(-62_000_000_000_000, _milliseconds(value)))
