# SPDX-License-Identifier: Apache-2.0
"""What release and serving do without being asked: judge finished evidence, and move canaries on or back.

Each look finds its work in the record, so a kill at any moment is repaired by the next look.
"""

from __future__ import annotations

from contextlib import suppress

from mainstay.domain.errors import Conflict, MainstayError, NotFound
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import traffic
from mainstay.store import Store, jobs

SYSTEM = "system"


def judge_releases(store: Store) -> bool:
    """Ask the gates of every release whose evidence is there."""
    with store.view() as view:
        ready = []
        for release in release_tables.releases_in_states(view, ["judging"]):
            try:
                job = jobs.get(view, release.job or "")
            except NotFound:
                continue
            if job.state in ("done", "failed"):
                ready.append((release, job))
    for release, job in ready:
        try:
            with store.change(actor=SYSTEM, because=release.because) as change:
                releases.judge(change, release=release, job=job)
        except MainstayError as error:
            # Evidence that cannot be read ends this release; those behind it must not wait for it for ever.
            with store.change(actor=SYSTEM, because=release.because) as change:
                releases.fail(change, release=release, error=error.message)
    return bool(ready)


def move_rollouts(store: Store) -> bool:
    """Note where new steps begin, and carry out what the judge has decided."""
    with store.view() as view:
        unmarked, ripe = traffic.unmarked(view), traffic.ripe(view)
    if unmarked:
        with store.ingest() as ingest:
            for rollout in unmarked:
                traffic.mark(ingest, rollout)
    for rollout in ripe:
        # Who asked for it by hand may have been quicker: then there is nothing left to do.
        with suppress(Conflict), store.change(actor=SYSTEM, reason="the judge of the canary decided") as change:
            traffic.advance(change, rollout)
    return bool(unmarked or ripe)
