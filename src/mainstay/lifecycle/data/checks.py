# SPDX-License-Identifier: Apache-2.0
"""Checks: a batch held against its contract.

In: a plain table, a contract, and the previous snapshot's values for the columns the batch lacks. Out: the table in
the contract's own column order and types with what was odd about it, or every problem there is, so that one round of
mending is enough. Columns that arrive under an accepted alias are renamed first. What a broken rule does, refuse or
warn, the contract says (``Column.severity``); which values break it, ``measures.rules`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.contracts import Column, Contract, Violation
from mainstay.domain.data import Problem
from mainstay.lifecycle.data import batches, renames
from mainstay.measures import keys, rules

# Values of a column that the batch lacks, from the newest snapshot that has it; None if there is none.
Before = Callable[[str], pa.ChunkedArray | None]

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


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A batch after the checks. ``table`` is fit to be a snapshot if and only if ``problems`` is empty."""

    table: pa.Table
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_first(table: pa.Table) -> Checked:
    """What must hold before there is any contract: rows, and a value in every column."""
    problems = [*_no_rows(table), *(p for name in table.column_names for p in _no_value(name, table.column(name)))]
    return Checked(table=table, problems=tuple(problems), warnings=())


def check(table: pa.Table, contract: Contract, before: Before, now: datetime) -> Checked:
    """Hold ``table`` against ``contract``; ``now`` is what freshness is counted from."""
    table = rename_aliases(table, contract)
    if empty := tuple(_no_rows(table)):
        return Checked(table=table, problems=(*_wrong_names(table, contract, before), *empty), warnings=())
    problems = list(_wrong_names(table, contract, before))
    fitted: dict[str, pa.ChunkedArray] = {}
    for rule in contract.columns:
        if rule.name in table.column_names:
            values, found = _fit(rule, table.column(rule.name))
            problems.extend(found)
            fitted[rule.name] = values
    if problems:
        return Checked(table=table, problems=tuple(problems), warnings=())
    table = pa.table(fitted)
    broken = list(_broken(table, contract, now))
    refused = tuple(problem for problem, severity in broken if severity == "refuse")
    warned = () if refused else tuple(problem for problem, _ in broken)
    return Checked(table=table, problems=refused, warnings=warned)


def rename_aliases(table: pa.Table, contract: Contract) -> pa.Table:
    """``table`` with every accepted alias replaced by the name it stands for, where that name is not there itself."""
    there = set(table.column_names)
    new_name = {
        alias: rule.name
        for rule in contract.columns
        if rule.name not in there
        for alias in [next((a for a in rule.aliases if a in there), None)]
        if alias is not None
    }
    return table.rename_columns([new_name.get(name, name) for name in table.column_names])


def text_columns(contract: Contract) -> set[str]:
    """Every name under which a column of text may arrive."""
    return {name for rule in contract.columns if rule.type == "text" for name in (rule.name, *rule.aliases)}


def _no_rows(table: pa.Table) -> Iterator[Problem]:
    if table.num_rows == 0:
        yield Problem(
            column=None, problem="rows", found="0 rows", expected="at least 1 row", sentence="it holds no rows at all."
        )


def _no_value(name: str, values: pa.ChunkedArray) -> Iterator[Problem]:
    if len(values) and values.null_count == len(values):
        yield Problem(
            column=name,
            problem="all_null",
            found=f"{len(values)} nulls",
            expected="values",
            sentence=f"column {name!r} holds no value in any of its {len(values)} rows.",
        )


def _wrong_names(table: pa.Table, contract: Contract, before: Before) -> Iterator[Problem]:
    missing = [rule for rule in contract.columns if rule.name not in table.column_names]
    unknown = [name for name in table.column_names if contract.column(name) is None]
    was = {rule.name: values for rule in missing if unknown and (values := before(rule.name)) is not None}
    found = renames.overlaps(was, {name: table.column(name) for name in unknown})
    renamed: dict[str, str] = {}
    for rule in missing:
        problem = _missing(rule, found)
        if problem.likely_alias:
            renamed[problem.likely_alias.column] = rule.name
        yield problem
    for name in unknown:
        yield _unknown(name, table.column(name).type, contract, renamed.get(name))


def _missing(rule: Column, found: Mapping[tuple[str, str], float]) -> Problem:
    alias, nearest = renames.likely(rule.name, found), renames.closest(rule.name, found)
    hint = nearest and f"the closest unknown column is {nearest.column!r}, {nearest.overlap:.0%} the same distribution"
    sentence = f"column {rule.name!r} is missing."
    if alias:
        sentence = (
            f"column {rule.name!r} is missing, and {alias.column!r} holds what looks like its values "
            f"({alias.overlap:.1%} the same distribution): accept it as an alias, or rename it back."
        )
    return Problem(
        column=rule.name,
        problem="missing",
        found=f"no such column; {hint}" if hint else "no such column",
        expected=_wanted(rule),
        sentence=sentence,
        likely_alias=alias,
    )


def _unknown(name: str, kind: pa.DataType, contract: Contract, renamed: str | None) -> Problem:
    looks = f", and looks like {renamed!r}" if renamed else ""
    return Problem(
        column=name,
        problem="unknown",
        found=f"a column of type {batches.type_of(kind) or 'unknown'}{looks}",
        expected=f"the {len(contract.columns)} columns of contract version {contract.version}",
        sentence=f"column {name!r} is not in the contract{looks}.",
    )


def _fit(rule: Column, values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[Problem]]:
    if problems := list(_no_value(rule.name, values)):
        return values, problems
    fitted = _cast(rule, values)
    if fitted is None:
        return values, [_wrong_type(rule, values)]
    if fitted.null_count and not rule.nullable:
        return fitted, [_nulls(rule, fitted)]
    return fitted, []


def _cast(rule: Column, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    wanted, found = batches.ARROW_TYPES[rule.type], batches.type_of(values.type)
    if found == rule.type:
        return values
    if (found, rule.type) not in _CASTS:
        return None
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        return None


def _wrong_type(rule: Column, values: pa.ChunkedArray) -> Problem:
    found = batches.type_of(values.type)
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
        expected=_wanted(rule),
        sentence=f"column {rule.name!r} has no value in {values.null_count} of {len(values)} rows (the first is row "
        f"{row + 1}), and the contract allows none to be missing.",
    )


def bad_rows(rule: Column, values: pa.ChunkedArray, most: int) -> list[int]:
    """The first rows, counted from 0, whose value is why ``rule`` refuses; nothing for a type that is wrong as a whole."""
    if batches.type_of(values.type) == rule.type:
        return _first_of(_bad_values(rule, values), most)
    if rule.type in ("integer", "number") and pa.types.is_string(values.type):
        return _first(pc.invert(pc.fill_null(pc.match_substring_regex(values, _NUMBER), True)), most)
    if rule.type == "integer" and pa.types.is_floating(values.type):
        return _first(pc.fill_null(pc.not_equal(values, pc.round(values)), False), most)
    return []


def bad_keys(table: pa.Table, contract: Contract, most: int) -> list[int]:
    """The first rows that repeat a key of the contract."""
    whole = [key for key in contract.keys if set(key) <= set(table.column_names)]
    return _first_of((pa.array(keys.repeated([table[name] for name in key])) for key in whole), most)


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


def _broken(table: pa.Table, contract: Contract, now: datetime) -> Iterator[tuple[Problem, Violation]]:
    """Every rule that the table breaks, each with what follows."""
    for problem in _odd_rows(table, contract):
        yield problem, contract.on_rows
    for rule in contract.columns:
        for problem in _broken_by(rule, table[rule.name], now):
            yield problem, rule.severity(problem.problem)
    for key in contract.keys:
        if repeats := int(np.count_nonzero(keys.repeated([table[name] for name in key]))):
            yield _repeated(key, repeats, table.num_rows), "refuse"


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


def _odd_rows(table: pa.Table, contract: Contract) -> Iterator[Problem]:
    if not contract.rows_low <= table.num_rows <= contract.rows_high:
        expected = f"{contract.rows_low} to {contract.rows_high} rows"
        usual = "are usual" if contract.on_rows == "warn" else "are allowed"
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


def _wanted(rule: Column) -> str:
    return rule.type + (" or null" if rule.nullable else "")


def _end(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
