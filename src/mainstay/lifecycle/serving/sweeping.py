# SPDX-License-Identifier: Apache-2.0
"""Sweeping: what is left over of online tables goes, in passes an hour apart and some thousand rows a look.

In: the releases, which say what views may yet be answered from. Out: versions of views that none of them needs, let go, and fewer
rows. How far a pass has come is only known here: whoever leads after a kill begins one anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mainstay.lifecycle.data.features import leftovers
from mainstay.lifecycle.release import releases
from mainstay.store import Store

EVERY = timedelta(hours=1)


class Sweep:
    """The passes over one store."""

    def __init__(self) -> None:
        self._due: datetime | None = None
        self._left: list[tuple[str, int]] = []
        self._after = ""

    def look(self, store: Store) -> bool:
        """Go one stretch further, if a pass is under way or due; never at once again, so that others have their turn."""
        if not self._left:
            if self._due is None or store.clock() >= self._due:
                self._begin(store)
            return False
        view, version = self._left.pop()
        with store.ingest() as ingest:
            after = leftovers.sweep(ingest, view, version, self._after)
        self._after = after or ""
        if after is not None:
            self._left.append((view, version))
        return False

    def _begin(self, store: Store) -> None:
        self._due = store.clock() + EVERY
        with store.view() as view:
            unneeded = leftovers.unneeded(view, releases.needed_views(view))
        for name, version in unneeded:
            with store.change(actor="system", reason="no release needs it") as change:
                leftovers.let_go(change, view=name, version=version)
        with store.view() as view:
            self._left = leftovers.kept(view)
