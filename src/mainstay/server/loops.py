# SPDX-License-Identifier: Apache-2.0
"""What happens without a request: each loop looks at the record and does what is due.

A loop is a function of the store that returns whether it did anything. It keeps no state of its own, so a kill at any
moment costs nothing but time: the next look finds the same work. One thread runs them all, woken by every commit; where
several servers share a database, the one that leads, and when it is gone another within `LOOK_AT_LEAST_EVERY_S`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from mainstay.domain.errors import Conflict
from mainstay.lifecycle.governance import tokens
from mainstay.lifecycle.monitoring import watch
from mainstay.lifecycle.pipelines import leases
from mainstay.lifecycle.pipelines.scheduling import backfills, schedules
from mainstay.lifecycle.serving import watching
from mainstay.lifecycle.tracking import runs
from mainstay.lifecycle.triggers import following
from mainstay.server import deliveries
from mainstay.store import Store, jobs, requests

log = logging.getLogger("mainstay.server.loops")

LOOK_AT_LEAST_EVERY_S = 1.0
PAUSE = 19  # times as long as the look took

Loop = Callable[[Store], bool]


def keep_house(store: Store) -> bool:
    """Put back jobs whose worker is gone; forget old answers, links and sessions."""
    with store.view() as view:
        due = jobs.any_overdue(view) or requests.any_old(view) or tokens.any_stale(view)
    if due:
        with store.ingest() as ingest:
            jobs.reclaim(ingest)
            requests.forget_old(ingest)
            tokens.forget_stale(ingest)
    return due


def close_records(store: Store) -> bool:
    """Close the records of runs that were amended a while ago."""
    with store.view() as view:
        due = runs.to_close(view)
    for run in due:
        with store.change(actor="system", reason="nothing more came after the end") as change:
            runs.close(change, run)
    return bool(due)


def end_lost_runs(store: Store) -> bool:
    """End the runs of pipelines whose process gave no sign of life."""
    with store.view() as view:
        found = [(lease, runs.get(view, lease.run_id).state) for lease in leases.lost(view)]
    for lease, state in found:
        if state == "running":
            with (
                contextlib.suppress(Conflict),
                store.change(actor="system", reason="its process gave no sign of life") as change,
            ):
                leases.end(change, lease)
        else:
            with store.ingest() as ingest:
                leases.let_go(ingest, lease)
    return bool(found)


class Loops:
    """The thread that runs every loop while the server is up; of many servers on one database, one leads and runs them."""

    def __init__(self, store: Store, *further: Loop) -> None:
        self.store = store
        self._further = further
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mainstay-loops", daemon=True)

    def start(self) -> None:
        """Begin looking, as soon as this server leads."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the present look."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            began = time.thread_time()
            if not self.store.leads():
                self._stopping.wait(LOOK_AT_LEAST_EVERY_S)
            elif not any([self._look(loop) for loop in (*every_loop(), *self._further)]):
                # A thousand commits a second must not be a thousand looks: what a look costs is a small share of the time.
                self._stopping.wait(min((time.thread_time() - began) * PAUSE, LOOK_AT_LEAST_EVERY_S))
                seen = self.store.wait_for_commit(seen, LOOK_AT_LEAST_EVERY_S)

    def _look(self, loop: Loop) -> bool:
        try:
            return loop(self.store)
        except Exception:  # a loop must survive what it looks at; the next look tries again
            log.exception("loop %s failed", loop.__name__)
            self._stopping.wait(LOOK_AT_LEAST_EVERY_S)
            return False


def every_loop() -> list[Loop]:
    """The loops, upstream first."""
    return [
        keep_house,
        close_records,
        end_lost_runs,
        schedules.fire_due,
        backfills.carry_on,
        watching.judge_releases,
        watching.move_rollouts,
        watch.loop,
        following.loop,
        deliveries.loop,
    ]
