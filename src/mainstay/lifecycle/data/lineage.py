# SPDX-License-Identifier: Apache-2.0
"""Lineage: who made a snapshot, and who used it.

The rooms downstream know that they used a snapshot, so they say so here when it happens (`use`); nothing is inferred
later.
"""

from __future__ import annotations

from typing import NamedTuple

from mainstay.domain.data import Snapshot
from mainstay.lifecycle.data import snapshots, tables
from mainstay.store import Ingest, View


class Use(NamedTuple):
    """``subject`` (``run:…``, ``version:…``) used ``snapshot`` (``flights@3``) as ``role`` (input, train, holdout
    …)."""

    subject: str
    snapshot: str
    role: str


def use(ingest: Ingest, *, snapshot: str, subject: str, role: str) -> Snapshot:
    """Note that ``subject`` used ``snapshot``; the same use twice is one.

    Raises:
        NotFound: there is no such snapshot.
    """
    used = snapshots.named(ingest, snapshot)
    tables.put_use(ingest, dataset=used.dataset, number=used.number, subject=subject, role=role, at=ingest.now())
    return used


def rename_user(ingest: Ingest, *, before: str, after: str) -> None:
    """Let what ``before`` used be what ``after`` used: the same thing has another name now."""
    tables.rename_user(ingest, before, after)


def used_by(view: View, *, dataset: str, number: int | None = None, limit: int = 100) -> list[Use]:
    """Who used the dataset, or one snapshot of it; newest first."""
    rows = tables.uses(view, dataset, number, limit)
    return [Use(row.subject, f"{row.dataset}@{row.number}", row.role) for row in rows]


def used_in(view: View, subject: str) -> list[Use]:
    """Which snapshots ``subject`` used."""
    return [Use(subject, f"{row.dataset}@{row.number}", row.role) for row in tables.used_by_subject(view, subject)]


def made_by(view: View, run_id: str) -> list[Snapshot]:
    """The snapshots that a run produced."""
    return tables.snapshots_made_by(view, run_id)
