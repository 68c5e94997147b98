# SPDX-License-Identifier: Apache-2.0
"""Checks: a batch held against its contract.

In: a plain table, a contract, and the previous snapshot's values for the columns the batch lacks. Out: the table in
the contract's own column order and types with what was odd about it, or every problem there is, so that one round of
mending is enough. Columns that arrive under an accepted alias are renamed first. Types, nulls and rules are
checked by ``measures.contracts``, as they are for the result of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from mainstay.domain.contracts import Column, Contract
from mainstay.domain.data import Problem
from mainstay.lifecycle.data import renames
from mainstay.measures import columns, frames
from mainstay.measures import contracts as rules
from mainstay.measures.frames import Frame

# Values of a column that the batch lacks, from the newest snapshot that has it; None if there is none.
Before = Callable[[str], pa.ChunkedArray | None]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A batch after the checks. ``table`` is fit to be a snapshot if and only if ``problems`` is empty."""

    table: Frame
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_first(table: Frame) -> Checked:
    """What must hold before there is any contract: rows, and a value in every column."""
    problems = [
        *rules.no_rows(table),
        *(p for name in table.column_names for p in rules.no_value(name, table.column(name))),
    ]
    return Checked(table=table, problems=tuple(problems), warnings=())


def check(table: Frame, contract: Contract, before: Before, now: datetime) -> Checked:
    """Hold ``table`` against ``contract``; ``now`` is what freshness is counted from."""
    table = rename_aliases(table, contract)
    if empty := tuple(rules.no_rows(table)):
        return Checked(table=table, problems=(*_wrong_names(table, contract, before), *empty), warnings=())
    fitted, unfit = rules.fit(table, contract)
    if problems := (*_wrong_names(table, contract, before), *unfit):
        return Checked(table=table, problems=problems, warnings=())
    broken = list(rules.broken(fitted, contract, now))
    refused = tuple(problem for problem, severity in broken if severity == "refuse")
    warned = () if refused else tuple(problem for problem, _ in broken)
    return Checked(table=fitted, problems=refused, warnings=warned)


def rename_aliases(table: Frame, contract: Contract) -> Frame:
    """``table`` with every accepted alias replaced by the name it stands for, where that name is not there itself."""
    there = set(table.column_names)
    new_name = {
        alias: rule.name
        for rule in contract.columns
        if rule.name not in there
        for alias in [next((a for a in rule.aliases if a in there), None)]
        if alias is not None
    }
    return frames.rename(table, new_name)


def text_columns(contract: Contract) -> set[str]:
    """Every name under which a column of text may arrive."""
    return {name for rule in contract.columns if rule.type == "text" for name in (rule.name, *rule.aliases)}


def _wrong_names(table: Frame, contract: Contract, before: Before) -> Iterator[Problem]:
    missing = [rule for rule in contract.columns if rule.name not in table.column_names]
    unknown = [name for name in table.column_names if contract.column(name) is None]
    was = {rule.name: values for rule in missing if unknown and (values := before(rule.name)) is not None}
    found = renames.overlaps(was, {name: table.column(name) for name in unknown} if was else {})
    renamed: dict[str, str] = {}
    for rule in missing:
        problem = _missing(rule, found)
        if problem.likely_alias:
            renamed[problem.likely_alias.column] = rule.name
        yield problem
    for name in unknown:
        yield _unknown(name, frames.types(table)[name], contract, renamed.get(name))


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
        expected=rules.wanted(rule),
        sentence=sentence,
        likely_alias=alias,
    )


def _unknown(name: str, kind: pa.DataType, contract: Contract, renamed: str | None) -> Problem:
    looks = f", and looks like {renamed!r}" if renamed else ""
    return Problem(
        column=name,
        problem="unknown",
        found=f"a column of type {columns.type_of(kind) or 'unknown'}{looks}",
        expected=f"the {len(contract.columns)} columns of contract version {contract.version}",
        sentence=f"column {name!r} is not in the contract{looks}.",
    )
