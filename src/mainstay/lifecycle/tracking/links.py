# SPDX-License-Identifier: Apache-2.0
"""Links: what a run read and what it made, by name and digest. Stored when it happens, never inferred later."""

from __future__ import annotations

from collections.abc import Sequence

from mainstay.domain.tracking import Link
from mainstay.lifecycle.tracking import tables
from mainstay.store import Ingest, View


def add(ingest: Ingest, run: str, links: Sequence[Link]) -> None:
    """Keep links of a run; one that is there already stays as it is. Whoever calls has checked that their ends
    exist."""
    there = set(tables.links_of(ingest, run)) if links else set()
    tables.put_links(ingest, run, dict.fromkeys(link for link in links if link not in there))


def rename(ingest: Ingest, *, kind: str, before: str, after: str) -> None:
    """Let links that name ``before`` name ``after``: the same thing has another name now."""
    tables.rename_ref(ingest, kind, before, after)


def of(view: View, run: str) -> list[Link]:
    """What a run read and made."""
    return tables.links_of(view, run)


def runs_that_read(view: View, *, kind: str, ref: str) -> list[str]:
    """Ids of the runs with ``ref`` among their inputs, newest first."""
    return tables.runs_linked(view, "in", kind, ref)


def runs_that_made(view: View, *, kind: str, ref: str) -> list[str]:
    """Ids of the runs with ``ref`` among their outputs, newest first."""
    return tables.runs_linked(view, "out", kind, ref)
