# SPDX-License-Identifier: Apache-2.0
"""Contracts: what a dataset's columns must satisfy; inferred once from the first snapshot, changed by people after
that.

In: the first table, or somebody's decision. Out: numbered contracts, never edited. What the first batch cannot prove
is not demanded: a ``number`` column may always hold nulls (a measurement that failed), and ranges, categories and row
counts only warn, until somebody says that they refuse. ``checks`` applies a contract to a batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain import contract_toml
from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import (
    Column,
    Contract,
    check_columns,
    check_violation,
    contract_content,
    read_column,
)
from mainstay.domain.data import Snapshot
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.data import ContractChanged
from mainstay.lifecycle.data import batches, datasets, tables
from mainstay.measures import rules
from mainstay.measures.columns import type_of
from mainstay.measures.frames import Frame
from mainstay.store import Change, View

# Values may lie this share of the first batch's width outside it before anybody is told.
SLACK = 0.25
# More distinct texts than this are not categories, and neither are texts that hardly repeat.
MOST_CATEGORIES = 64
ROWS_FACTOR = 10
_WIDEST = 2**53
MOST_ROWS = 2**53  # no bound at all


def get(view: View, dataset: str, version: int | None = None) -> Contract:
    """A contract, by default the one in force.

    Raises:
        NotFound: the dataset has no snapshot yet, or never had that version.
    """
    found = find(view, dataset, version)
    if found is None:
        datasets.get(view, dataset)
        which = "contract yet; the first snapshot yields it" if version is None else f"contract version {version}"
        raise NotFound(f"dataset {dataset!r} has no {which}.")
    return found


def find(view: View, dataset: str, version: int | None = None) -> Contract | None:
    """A contract, by default the one in force; None where there is none yet."""
    return tables.contract(view, dataset, version)


def infer(change: Change, dataset: str, table: Frame) -> Contract:
    """The first contract: what ``table`` (plain, not empty) shows."""
    return _put(change, dataset, _inferred(table), change_kind="inferred")


def shown_by(view: View, snapshot: Snapshot) -> Intent:
    """The contract that would be inferred from ``snapshot`` if it were the first; nothing is written.

    Raises:
        Invalid: it is no table. NotFound, Corrupt: its rows are gone or damaged.
    """
    if not snapshot.parts:
        raise Invalid(
            f"{snapshot.id} is of kind {snapshot.kind}; a contract is inferred from a table whose content is here."
        )
    return _inferred(batches.read(view.blobs.path(snapshot.blob), format="parquet"))


def versions(view: View, dataset: str, limit: int = 100) -> list[Contract]:
    """Every contract that the dataset had, newest first.

    Raises:
        NotFound: there is no such dataset.
    """
    datasets.get(view, dataset)
    return tables.contracts_of(view, dataset, limit)


def to_toml(contract: Contract) -> str:
    """The contract as people edit it; `apply` takes it back."""
    intent = Intent(
        columns=contract.columns,
        rows_low=contract.rows_low,
        rows_high=contract.rows_high,
        on_rows=contract.on_rows,
        keys=contract.keys,
    )
    return contract_toml.write(contract.dataset, intent, title=f"Contract version {contract.version}.")


def apply(change: Change, *, dataset: str, toml: str) -> Contract:
    """Make the section ``[contract.NAME]`` of a TOML file the contract; the same content twice is one version.

    Raises:
        Malformed, Invalid: the message names the key.
    """
    intent = contract_toml.read(toml, dataset)
    datasets.lock(change, dataset)
    for rule in intent.columns:
        rules.check_pattern(rule)
    return _put(change, dataset, _with_rows(dataset, intent, find(change, dataset)), change_kind="revised")


def accept_alias(change: Change, *, dataset: str, column: str, alias: str) -> Contract:
    """From now on ``column`` may arrive under the name ``alias``. Accepting it twice is once.

    Raises:
        NotFound: the contract has no such column. Conflict: ``alias`` already means another column.
    """
    datasets.lock(change, dataset)
    before = get(change, dataset)
    rule = before.column(column)
    if rule is None:
        there = ", ".join(c.name for c in before.columns[:20])
        raise NotFound(f"the contract of dataset {dataset!r} has no column {column!r}; it has {there}.")
    for other in before.columns:
        if alias == other.name or (alias in other.aliases and other is not rule):
            raise Conflict(
                f"{alias!r} already means column {other.name!r} of dataset {dataset!r}; it cannot mean {column!r} too."
            )
    names = rule.aliases if alias in rule.aliases else (*rule.aliases, alias)
    after = tuple(replace(c, aliases=names) if c is rule else c for c in before.columns)
    intent = _with_rows(dataset, Intent(columns=after, keys=before.keys), before)
    return _put(change, dataset, intent, change_kind="alias", column=column, alias=alias)


def revise(
    change: Change,
    *,
    dataset: str,
    columns: Sequence[Mapping[str, Any]],
    rows_low: int | None = 1,
    rows_high: int | None = None,
    on_rows: str | None = None,
    keys: Sequence[Sequence[str]] = (),
) -> Contract:
    """Replace the contract by one that somebody wrote: for a column that is new, gone, or of another type from now on.

    What is None stays as it is; a dataset that has no contract yet gets its first.

    Raises:
        Invalid: a column without a type, of an unknown type, named twice, or none at all; a rule that is none.
    """
    datasets.lock(change, dataset)
    found = tuple(_read(column) for column in columns)
    check_columns(dataset, found, keys)
    for rule in found:
        rules.check_pattern(rule)
    severity = None if on_rows is None else check_violation(on_rows, "on_rows")
    named = tuple(map(tuple, keys))
    intent = Intent(columns=found, rows_low=rows_low, rows_high=rows_high, on_rows=severity, keys=named)
    return _put(change, dataset, _with_rows(dataset, intent, find(change, dataset)), change_kind="revised")


def infer_column(name: str, values: pa.ChunkedArray) -> Column:
    """What one column of the first batch shows."""
    kind = type_of(values.type)
    assert kind is not None, "a column without any value is refused before a contract is inferred"
    low, high = _range(values) if kind in ("integer", "number") else (None, None)
    return Column(
        name=name,
        type=kind,
        nullable=kind == "number" or values.null_count > 0,
        minimum=low,
        maximum=high,
        categories=_categories(values) if kind == "text" else None,
    )


def _range(values: pa.ChunkedArray) -> tuple[float | None, float | None]:
    finite = values.filter(pc.is_finite(values))
    ends = pc.min_max(finite)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    # One value throughout proves nothing of others; whole numbers beyond 2**53 (keys, hashes) JSON readers would round.
    if low is None or low == high or max(abs(low), abs(high)) > _WIDEST:
        return None, None
    room = (high / 2 - low / 2) * 2 * SLACK
    below, above = low - room, high + room
    if low >= 0:
        below = max(below, 0)  # what was never negative is odd when it is
    if isinstance(low, int):
        return math.floor(below), math.ceil(above)
    return below, above


def _categories(values: pa.ChunkedArray) -> tuple[str, ...] | None:
    present = len(values) - values.null_count
    distinct = pc.count_distinct(values).as_py()
    if distinct > MOST_CATEGORIES or distinct * 2 > present:
        return None
    return tuple(sorted(pc.unique(values.drop_null()).to_pylist()))


def _read(column: Mapping[str, Any]) -> Column:
    try:
        return read_column(dict(column))
    except TypeError as error:
        raise Invalid(f"a contract's column has name, type and nullable; {sorted(column)} was found.") from error


def _inferred(table: Frame) -> Intent:
    rows = table.num_rows
    return Intent(
        columns=tuple(infer_column(name, table.column(name)) for name in table.column_names),
        rows_low=max(1, rows // ROWS_FACTOR),
        rows_high=rows * ROWS_FACTOR,
        on_rows="warn",
    )


def _with_rows(dataset: str, intent: Intent, before: Contract | None) -> Intent:
    """``intent`` with what it does not say of rows as it was before, or without bounds if there was nothing before."""
    low, high, severity = (before.rows_low, before.rows_high, before.on_rows) if before else (1, MOST_ROWS, "warn")
    whole = replace(
        intent,
        rows_low=low if intent.rows_low is None else intent.rows_low,
        rows_high=high if intent.rows_high is None else intent.rows_high,
        on_rows=intent.on_rows or severity,
    )
    if not 1 <= (whole.rows_low or 0) <= (whole.rows_high or 0) <= MOST_ROWS:
        raise Invalid(
            f"dataset {dataset!r} cannot expect {whole.rows_low} to {whole.rows_high} rows; from 1 to {MOST_ROWS}, "
            "and low before high."
        )
    return whole


def _put(
    change: Change,
    dataset: str,
    intent: Intent,
    *,
    change_kind: str,
    column: str | None = None,
    alias: str | None = None,
) -> Contract:
    before = tables.contract(change, dataset)
    low, high, severity = intent.rows_low or 1, intent.rows_high or MOST_ROWS, intent.on_rows or "warn"
    digest = digest_of(contract_content(intent.columns, low, high, severity, intent.keys))
    new = Contract(
        dataset=dataset,
        version=before.version + 1 if before else 1,
        columns=intent.columns,
        rows_low=low,
        rows_high=high,
        digest=digest,
        created_at=change.now(),
        actor=change.actor,
        on_rows=severity,
        keys=intent.keys,
    )
    if before and before.digest == digest:
        new = before
    else:
        tables.put_contract(change, new)
    change.record(
        ContractChanged(
            dataset=dataset, version=new.version, digest=digest, change=change_kind, column=column, alias=alias
        )
    )
    return new
