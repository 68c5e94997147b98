# SPDX-License-Identifier: Apache-2.0
"""Refused attempts of known people, on the record: one event an actor, route and minute.

In: each 403 that a route gives. Out: an ``access.refused`` event, or only a count that the next event carries, so that
someone who tries a thousand times a second cannot fill the disk. The counts are kept in memory: they are lost at a stop.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from mainstay.domain.errors import Forbidden
from mainstay.domain.events.governance import AccessRefused
from mainstay.store import Store

log = logging.getLogger("mainstay.server")

AT_MOST_EVERY = timedelta(minutes=1)


class Refusals:
    """What was refused at one route."""

    def __init__(self, store: Store, *, route: str, permission: str) -> None:
        self.store = store
        self.route = route
        self.permission = permission
        self._lock = threading.Lock()
        self._since_by_actor: dict[str, tuple[datetime, int]] = {}

    def note(self, actor: str, error: Forbidden) -> None:
        """Record or count one refusal. It never fails: the refusal itself must reach the asker in any case."""
        before = self._uncounted(actor)
        if before is None:
            return
        try:
            with self.store.change(actor=actor, reason=error.message) as change:
                change.record(AccessRefused(name=actor, permission=self.permission, route=self.route, before=before))
        except Exception:
            log.exception("a refusal of %s at %s is not on record", actor, self.route)

    def _uncounted(self, actor: str) -> int | None:
        """How many tries since the last event have none of their own; None while that event is young."""
        now = self.store.clock()
        with self._lock:
            last, missed = self._since_by_actor.get(actor, (None, 0))
            # A clock that was set back must not silence this until it has caught up.
            if last is not None and timedelta(0) <= now - last < AT_MOST_EVERY:
                self._since_by_actor[actor] = (last, missed + 1)
                return None
            self._since_by_actor[actor] = (now, 0)
            return missed
