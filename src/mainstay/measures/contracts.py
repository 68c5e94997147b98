# SPDX-License-Identifier: Apache-2.0
"""Contracts held against a table: every problem there is, so that one round of mending is enough.

In: a plain table (``columns``) and a contract, of a dataset or of a step's result. Out: the named columns in the contract's
types, and every problem with what follows from it. What a broken rule does, refuse or warn, the contract says
(``Column.severity``); which values break it, ``rules`` and ``keys`` do. What to make of missing and unknown names is the
caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import Column, Contract, Violation
from mainstay.domain.data import Problem
from mainstay.measures import columns, frames, keys, rules
from mainstay.measures.frames import Frame

# What may silently become what, where no value is changed by it. Whole numbers in a column of doubles, and the
# reverse, are how pandas writes integers with gaps; a date may be a time at midnight.
_CASTS = {
    ("integer", "number"),
    ("number", "integer"),
    ("date", "local_time"),
    ("local_time", "date"),
    ("date", "time"),
}
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


def fit(table: Frame, contract: Contract | Intent) -> tuple[Frame, list[Problem]]:
    """The contract's columns that ``table`` has, in its order and types; and those that hold another type, no value at
    all, or nulls where none may be."""
    types: dict[str, pa.DataType] = {}
    problems: list[Problem] = []
    there = set(table.column_names)
    for rule in contract.columns:
        if rule.name in there:
            fitted, found = _fit(rule, table.column(rule.name))
            types[rule.name] = fitted.type
            problems.extend(found)
    return frames.select(table, types), problems


def broken(table: Frame, contract: Contract | Intent, now: datetime) -> Iterator[tuple[Problem, Violation]]:
    """Every rule that a fitted table breaks, each with what follows; ``now`` is what freshness is counted from."""
    for problem in _odd_rows(table, contract):
        yield problem, contract.on_rows or "warn"
    for rule in contract.columns:
        for problem in _broken_by(rule, table.column(rule.name), now):
            yield problem, rule.severity(problem.problem)
    for key in contract.keys:
        if repeats := int(np.count_nonzero(keys.repeated([table.column(name) for name in key]))):
            yield _repeated(key, repeats, table.num_rows), "refuse"


def no_rows(table: Frame) -> Iterator[Problem]:
    if table.num_rows == 0:
        yield Problem(
            column=None, problem="rows", found="0 rows", expected="at least 1 row", sentence="it holds no rows at all."
        )


def no_value(name: str, values: pa.ChunkedArray) -> Iterator[Problem]:
    if len(values) and values.null_count == len(values):
        yield Problem(
            column=name,
            problem="all_null",
            found=f"{len(values)} nulls",
            expected="values",
            sentence=f"column {name!r} holds no value in any of its {len(values)} rows.",
        )


def _fit(rule: Column, values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Problem]]:
    if problems := list(no_value(rule.name, values)):
        return values, problems
    fitted = _cast(rule, values)
    if fitted is None:
        return values, [_wrong_type(rule, values)]
    if fitted.null_count and not rule.nullable:
        return fitted, [_nulls(rule, fitted)]
    return fitted, []


def _cast(rule: Column, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    wanted, found = columns.ARROW_TYPES[rule.type], columns.type_of(values.type)
    if found == rule.type:
        return values
    if (found, rule.type) not in _CASTS:
        return None
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        return None


def _wrong_type(rule: Column, values: pa.ChunkedArray) -> Problem:
    found = columns.type_of(values.type)
    row = next(iter(bad_rows(rule, values, 1)), None)
    example = "" if row is None else f", such as {_shown(values[row].as_py())} in row {row + 1}"
    return Problem(
        column=rule.name,
        problem="type",
        found=f"{found}{example}",
        expected=rule.type,
        sentence=f"column {rule.name!r} holds {found}{example}, where {rule.type} is expected.",
    )


def _nulls(rule: Column, values: pa.ChunkedArray) -> Problem:
    row = next(iter(bad_rows(rule, values, 1)))
    return Problem(
        column=rule.name,
        problem="null",
        found=f"{values.null_count} of {len(values)} values are null, the first in row {row + 1}",
        expected=wanted(rule),
        sentence=f"column {rule.name!r} has no value in {values.null_count} of {len(values)} rows (the first is row "
        f"{row + 1}), and the contract allows none to be missing.",
    )


def bad_rows(rule: Column, values: pa.ChunkedArray, most: int) -> list[int]:
    """The first rows, counted from 0, whose value is why ``rule`` refuses; nothing for a type that is wrong as a whole."""
    if columns.type_of(values.type) == rule.type:
        return _first_of(_bad_values(rule, values), most)
    if rule.type in ("integer", "number") and pa.types.is_string(values.type):
        return _first(pc.invert(pc.fill_null(pc.match_substring_regex(values, _NUMBER), True)), most)
    if rule.type == "integer" and pa.types.is_floating(values.type):
        return _first(pc.fill_null(pc.not_equal(values, pc.round(values)), False), most)
    return []


def bad_keys(table: Frame, contract: Contract | Intent, most: int) -> list[int]:
    """The first rows that repeat a key of the contract."""
    whole = [key for key in contract.keys if set(key) <= set(table.column_names)]
    return _first_of((pa.array(keys.repeated([table.column(name) for name in key])) for key in whole), most)


def _bad_values(rule: Column, values: pa.ChunkedArray) -> Iterator[rules.Values]:
    if not rule.nullable:
        yield pc.is_null(values)
    for fault, mask in rules.broken(rule, values):
        if rule.severity(fault) == "refuse":
            yield mask
    if rule.unique and rule.severity("unique") == "refuse":
        yield pa.array(keys.repeated([values]))


def _first_of(masks: Iterator[rules.Values], most: int) -> list[int]:
    return sorted({row for mask in masks for row in _first(mask, most)})[:most]


def _first(mask: rules.Values, most: int) -> list[int]:
    rows: list[int] = pc.indices_nonzero(mask)[:most].to_pylist()
    return rows


def _broken_by(rule: Column, values: pa.ChunkedArray, now: datetime) -> Iterator[Problem]:
    for fault, mask in rules.broken(rule, values):
        yield _TOLD[fault](rule, values, mask)
    if rule.unique and (repeats := int(np.count_nonzero(keys.repeated([values])))):
        yield _repeated((rule.name,), repeats, len(values))
    if (age := rules.too_old(rule, values, now)) is not None:
        old = f"{age.days} d" if age.days else f"{age.seconds // 60} min"
        yield Problem(
            column=rule.name,
            problem="freshness",
            found=f"the newest value is {old} old",
            expected=f"at most {rule.freshness}",
            sentence=f"column {rule.name!r} is stale: its newest value is {old} old, where at most {rule.freshness} "
            "is allowed.",
        )


def _odd_rows(table: Frame, contract: Contract | Intent) -> Iterator[Problem]:
    low, high = contract.rows_low or 0, contract.rows_high
    if table.num_rows < low or (high is not None and table.num_rows > high):
        expected = f"{low} to {high} rows" if high is not None else f"{low} rows or more"
        usual = "are allowed" if contract.on_rows == "refuse" else "are usual"
        yield Problem(
            column=None,
            problem="rows",
            found=f"{table.num_rows} rows",
            expected=expected,
            sentence=f"it holds {table.num_rows} rows, where {expected} {usual}.",
        )


def _out_of_range(rule: Column, values: pa.ChunkedArray, mask: rules.Values) -> Problem:
    ends = pc.min_max(values)
    found, expected = (
        f"{ends['min'].as_py():g} to {ends['max'].as_py():g}",
        f"{_end(rule.minimum)} to {_end(rule.maximum)}",
    )
    usual = "is usual" if rule.severity("range") == "warn" else "is allowed"
    return Problem(
        column=rule.name,
        problem="range",
        found=found,
        expected=expected,
        sentence=f"column {rule.name!r} reaches from {found}, where {expected} {usual}.",
    )


def _new_categories(rule: Column, values: pa.ChunkedArray, mask: rules.Values) -> Problem:
    fresh = values.filter(mask)
    names = sorted(pc.unique(fresh).to_pylist())
    shown = ", ".join(_shown(name) for name in names[:5]) + (" …" if len(names) > 5 else "")
    return Problem(
        column=rule.name,
        problem="category",
        found=f"{len(names)} new in {len(fresh)} rows: {shown}",
        expected=f"one of {len(rule.categories or ())} known values",
        sentence=f"column {rule.name!r} holds values that the contract does not list: {shown}.",
    )


def _unlike(rule: Column, values: pa.ChunkedArray, mask: rules.Values) -> Problem:
    row, count = _first(mask, 1)[0], pc.sum(mask).as_py()
    example = f"{_shown(values[row].as_py())} in row {row + 1}"
    return Problem(
        column=rule.name,
        problem="pattern",
        found=f"{count} of {len(values)} values do not match, such as {example}",
        expected=f"the pattern {rule.pattern}",
        sentence=f"column {rule.name!r} holds {count} values that do not match {rule.pattern!r}, such as {example}.",
    )


def _repeated(key: Sequence[str], repeats: int, rows: int) -> Problem:
    what = f"column {key[0]!r}" if len(key) == 1 else f"the key ({', '.join(key)})"
    return Problem(
        column=key[0] if len(key) == 1 else None,
        problem="unique",
        found=f"{repeats} of {rows} rows repeat a value",
        expected="each value once",
        sentence=f"{what} must be unique, and {repeats} of {rows} rows repeat an earlier one.",
    )


_TOLD = {"range": _out_of_range, "category": _new_categories, "pattern": _unlike}


def wanted(rule: Column) -> str:
    return rule.type + (" or null" if rule.nullable else "")


def _end(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
