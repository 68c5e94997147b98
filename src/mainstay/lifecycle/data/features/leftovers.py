# SPDX-License-Identifier: Apache-2.0
"""Leftovers: rows of online tables that nobody asks for any more, and how they go.

In: the rows as refreshes left them. Out: only those that a look-up can still need: of each entity the row that counts, and what
became others within the last hour, for gateways that have not taken up the newest table. What goes is what a newer row took
the place of, what a refresh wrote that died, entities that are gone, rows past their time to live by a day, and all rows of a
version that was *let go*, because no release needs it. Of that its tables remain, as files, and a gateway answers from
those; a refresh writes its rows anew. A sweep takes some thousand rows at a time and holds no lock for long.
"""

from __future__ import annotations

from datetime import timedelta

from mainstay.domain.errors import Conflict
from mainstay.domain.events.features import ViewFreed
from mainstay.features import definitions
from mainstay.lifecycle.data.features import tables, views
from mainstay.store import Change, Ingest, View
from mainstay.store.schema import microseconds_of

#: A gateway takes a newer table up within seconds; who is cut off for longer asks for nothing meanwhile.
KEPT = timedelta(hours=1)
#: So long a row that counts no more can be looked up all the same, and a version that nothing needs any more is kept by key.
KEPT_UNNEEDED = timedelta(days=1)
AT_ONCE = 5_000


def kept(view: View) -> list[tuple[str, int]]:
    """The versions of views of which rows are kept by key."""
    return [
        (name, version.number)
        for name in views.names(view)
        for version in views.versions(view, name)
        if tables.newest_row_sequence(view, name, version.number)
    ]


def count(view: View, name: str, number: int) -> int:
    """How many rows of a version are kept by key, those that will go with the next sweep among them."""
    return tables.count_all_rows(view, name, number)


def unneeded(view: View, needed: set[str]) -> list[tuple[str, int]]:
    """The versions that are kept by key and need not be: none of the ``needed`` ones (``spend/1``), not the newest of their view,
    and not refreshed for a day."""
    before = view.now() - KEPT_UNNEEDED
    found = []
    for name in views.names(view):
        for version in views.versions(view, name)[1:]:
            made = tables.newest_table(view, name, version.number)
            if made and made.changed is not None and made.made_at < before and version.id not in needed:
                found.append((name, version.number))
    return found


def let_go(change: Change, *, view: str, version: int) -> None:
    """Keep the rows of a version by key no longer. Its tables remain.

    Raises:
        NotFound: no such version.
    """
    found, made = views.get(change, view, version), views.table(change, view, version)
    if made is None or made.changed is None:
        return
    tables.let_go(change, view, version, made.sequence)
    change.record(ViewFreed(view=view, version=version, rows=tables.count_all_rows(change, view, found.number)))


def sweep(ingest: Ingest, name: str, number: int, after: str) -> str | None:
    """Take away what is left over of the next rows after a key; the key to go on from, or None at the end."""
    until = tables.key_behind(ingest, name, number, after, AT_ONCE)
    keys = (after, until)
    settled, floor = _settled(ingest, name, number), tables.floor(ingest, name, number)
    tables.forget_below(ingest, name, number, keys, floor)
    if settled:
        known = definitions.from_json(views.get(ingest, name, number).definition)
        tables.forget_superseded(ingest, name, number, keys, settled)
        # Only now: what is gone, or too old, hid what it had taken the place of.
        expired = None if known.ttl_us is None else microseconds_of(ingest.now() - KEPT_UNNEEDED) - known.ttl_us
        tables.forget_gone(ingest, name, number, keys, settled, expired)
    return until


def check(view: View, name: str, number: int, sequence: int) -> None:
    """Whether the rows of a table may be read by key.

    Raises:
        Conflict: a newer one has been there for so long that they may be gone, or they were let go.
    """
    if sequence < _settled(view, name, number) or sequence <= tables.floor(view, name, number):
        raise Conflict(
            f"table {sequence} of {name}/{number} is no longer kept by key; ask as of the newest, which the routing table names."
        )


def is_known(view: View, name: str, number: int, sequence: int) -> bool:
    """Whether every change after a table is still known."""
    return sequence >= max(_settled(view, name, number), tables.floor(view, name, number))


def _settled(view: View, name: str, number: int) -> int:
    """The newest table that was published an hour ago: who reads does so as of that or a later one."""
    return tables.newest_sequence_before(view, name, number, view.now() - KEPT)
