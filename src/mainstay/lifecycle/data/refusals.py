# SPDX-License-Identifier: Apache-2.0
"""Refusals: the record of a batch that broke its contract.

A refusal is a result, not an exception: the record must be kept although nothing was published, so `record` commits
it and whoever asked shapes the error from it. The first bad rows are kept as a JSON blob, for the person who has to
mend them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainstay.domain import ids
from mainstay.domain.contracts import Contract
from mainstay.domain.data import Problem, Refused
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import NotFound
from mainstay.domain.events.data import BatchRefused
from mainstay.lifecycle.data import tables
from mainstay.measures import contracts, frames
from mainstay.measures.frames import Frame
from mainstay.store import Change, View
from mainstay.store.blobs import Blobs

SHOWN_ROWS = 20
_LONGEST_VALUE = 200


def record(
    change: Change,
    *,
    dataset: str,
    blob: str,
    format: str,
    source: str,
    contract_version: int,
    problems: Sequence[Problem],
    rows_blob: str,
) -> Refused:
    """Keep the refusal and tell the ledger, without any value of the data in it."""
    refused = Refused(
        id=ids.uuid7(),
        dataset=dataset,
        at=change.now(),
        actor=change.actor,
        blob=blob,
        format=format,
        source=source,
        contract_version=contract_version,
        problems=tuple(problems),
        rows_blob=rows_blob,
    )
    tables.put_refusal(change, refused)
    change.record(
        BatchRefused(
            dataset=dataset,
            refusal=refused.id,
            blob=blob,
            source=source,
            contract_version=contract_version,
            problems=[in_short(problem) for problem in problems],
            rows_blob=rows_blob,
        )
    )
    return refused


def get(view: View, identity: str) -> Refused:
    """One refusal.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.refusal(view, identity)
    if found is None:
        raise NotFound(f"there is no refusal {identity!r}; a dataset's page lists its own.")
    return found


def listed(view: View, *, dataset: str, limit: int = 100) -> list[Refused]:
    """Refusals of ``dataset``, newest first."""
    return tables.refusals_of(view, dataset, limit)


def unanswered(view: View) -> list[Refused]:
    """What owners of datasets should look at: the newest refusal of each that has had no snapshot since."""
    return tables.unanswered_refusals(view)


def in_short(problem: Problem) -> dict[str, Any]:
    """A problem for the ledger, which is for ever: names of columns, never what stands in them."""
    alias = problem.likely_alias and problem.likely_alias.column
    return {"column": problem.column, "problem": problem.problem, "likely_alias": alias}


def keep_rows(blobs: Blobs, table: Frame, contract: Contract | None) -> str:
    """Keep the first bad rows, or where no single row is at fault the first few; the digest of the JSON."""
    rows = _bad(table, contract) or list(range(min(5, table.num_rows)))
    shown = [
        {"row": row + 1, "values": _plain(values)}
        for row, values in zip(rows, frames.rows_at(table, rows), strict=True)
    ]
    digest, _ = blobs.put(canonical_json({"columns": table.column_names, "rows": shown}))
    return digest


def _bad(table: Frame, contract: Contract | None) -> list[int]:
    rules = [rule for rule in contract.columns if rule.name in table.column_names] if contract else []
    found = {row for rule in rules for row in contracts.bad_rows(rule, table.column(rule.name), SHOWN_ROWS)}
    if contract and not found:
        found = set(contracts.bad_keys(table, contract, SHOWN_ROWS))
    return sorted(found)[:SHOWN_ROWS]


def _plain(row: dict[str, Any]) -> dict[str, str | None]:
    # As text: infinities and times have no JSON of their own, and this is for eyes.
    return {name: None if value is None else str(value)[:_LONGEST_VALUE] for name, value in row.items()}
