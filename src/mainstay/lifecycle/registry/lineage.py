# SPDX-License-Identifier: Apache-2.0
"""Lineage: what versions came from, and who used them.

The rooms downstream know that they used a version, so they say so here when it happens (`use`); nothing is inferred
later.
"""

from __future__ import annotations

from mainstay.domain.registry import Version
from mainstay.lifecycle.registry import tables, versions
from mainstay.store import Ingest, View


def use(ingest: Ingest, *, model: str, number: int, subject: str) -> None:
    """Note that ``subject`` (``release:flights#2``) used a version; the same use twice is one.

    Raises:
        NotFound: there is no such version.
    """
    versions.get(ingest, model, number)
    tables.put_use(ingest, model=model, number=number, subject=subject, at=ingest.now())


def users(view: View, *, model: str, number: int | None = None, kind: str | None = None) -> list[tuple[int, str]]:
    """(number, name) of whoever used the model's versions, oldest first; of one ``kind``, such as ``release``."""
    pairs = ((used, subject.partition(":")) for used, subject in tables.uses(view, model, number))
    return [(used, name if kind else f"{found}:{name}") for used, (found, _, name) in pairs if kind in (None, found)]


def versions_of_run(view: View, run_id: str) -> list[Version]:
    """The versions registered from a run."""
    return tables.versions_of_run(view, run_id)


def versions_using_snapshot(view: View, snapshot: str) -> list[tuple[Version, str]]:
    """The versions that came from ``flights@3``, each with the role that the snapshot played."""
    return [(versions.get(view, model, number), role) for model, number, role in tables.versions_using(view, snapshot)]
