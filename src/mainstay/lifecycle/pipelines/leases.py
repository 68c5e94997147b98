# SPDX-License-Identifier: Apache-2.0
"""Leases: who carries a pipeline's run out, and what happens when nobody does any more.

In: the process that carries a run out says so when it begins, and again every few seconds. Out: a lease that ran out
while its run goes on: the process died, and the run ends as killed. It can be resumed: the same run, in another process,
with everything that it has on record taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, NotFound, TooLarge
from mainstay.domain.events.pipelines import RunResumed
from mainstay.domain.pipelines import Lease
from mainstay.domain.tracking import Run
from mainstay.lifecycle.pipelines import tables
from mainstay.lifecycle.tracking import runs
from mainstay.store import Change, Ingest, View

LONGEST_S = 3600.0
LARGEST_OUTLINE = 2 << 20


def begin(
    ingest: Ingest,
    run_id: str,
    *,
    worker: str,
    seconds: float,
    executor: str,
    params: Mapping[str, str] | None,
    outline: Sequence[Mapping[str, Any]] = (),
) -> Lease:
    """Note who carries a new run out.

    Raises:
        Invalid: a lease that is too long. TooLarge: what it means to do does not fit.
    """
    new = Lease(
        run_id=run_id,
        worker=worker,
        leased_until=ingest.now() + _duration(seconds),
        executor=executor,
        params=None if params is None else dict(params),
        outline=_fitting(outline),
        running=(),
    )
    tables.put_lease(ingest, new)
    return new


def renew(
    ingest: Ingest,
    run_id: str,
    *,
    worker: str,
    seconds: float,
    running: Sequence[str] = (),
    outline: Sequence[Mapping[str, Any]] | None = None,
) -> Lease:
    """A sign of life, with what is under way; and with what it means to do, when more of that is known.

    Raises:
        NotFound: the run was never leased. Conflict: it is another's now, or it has ended.
    """
    held = must_hold(ingest, run_id, worker)
    until = ingest.now() + _duration(seconds)
    plan = held.outline if outline is None else _fitting(outline)
    tables.set_lease(ingest, run_id, leased_until=until, running=list(running), outline=list(plan))
    return replace(held, leased_until=until, running=tuple(running), outline=plan)


def must_hold(view: View, run_id: str, worker: str, run: Run | None = None) -> Lease:
    """Pass if ``worker`` still carries the run out; ``run``, if it has been read already.

    Raises:
        NotFound: the run was never leased. Conflict: it is another's now, or it has ended.
    """
    held = get(view, run_id)
    state = (run or runs.get(view, run_id)).state
    if held.worker != worker or state != "running":
        raise Conflict(
            f"run {run_id} is {state} and carried out by {held.worker}, not by {worker}: it went on without this process. "
            "Drop the work; what was committed is kept."
        )
    return held


def get(view: View, run_id: str) -> Lease:
    """Who carries a run out, or did.

    Raises:
        NotFound: it was never leased.
    """
    found = tables.lease(view, run_id)
    if found is None:
        runs.get(view, run_id)
        raise NotFound(
            f"run {run_id} was not begun by `mainstay run`; nobody carries it out, and it cannot be resumed."
        )
    return found


def find(view: View, run_id: str) -> Lease | None:
    """Who carries a run out, or did; None where that was never said."""
    return tables.lease(view, run_id)


def resume(
    change: Change,
    run_id: str,
    *,
    worker: str,
    seconds: float,
    executor: str | None = None,
    instead_of: str | None = None,
) -> Run:
    """Let ``worker`` carry on a run that failed, was killed, or lost its process.

    Args:
        instead_of: the holder that the asker has seen dead; its lease need not be waited for.

    Raises:
        NotFound: no such run, or it was never leased. Conflict: it has succeeded, or somebody carries it out.
    """
    held, run = get(change, run_id), runs.get_active(change, run_id)
    if run.state == "succeeded":
        raise Conflict(f"run {run_id} has succeeded; there is nothing to resume. `mainstay run` runs it anew.")
    is_alive = held.leased_until is not None and held.leased_until >= change.now()
    if run.state == "running" and is_alive and held.worker not in (worker, instead_of):
        raise Conflict(
            f"run {run_id} is being carried out by {held.worker}; stop that process, or wait until its lease runs out.",
            worker=held.worker,
        )
    if run.state != "running":
        runs.go_on(change, run_id)
    until = change.now() + _duration(seconds)
    chosen = executor or held.executor
    tables.set_lease(change, run_id, worker=worker, leased_until=until, executor=chosen, running=[])
    change.record(RunResumed(run=run_id, before=run.state, worker=worker))
    return runs.get(change, run_id)


def lost(view: View) -> list[Lease]:
    """Leases that ran out: their processes gave no sign of life, or their runs have ended."""
    return tables.overdue(view, view.now())


def end(change: Change, lease: Lease) -> None:
    """End the run of a process that died. Asked again, or of a run that has ended, it does nothing more.

    Raises:
        Conflict: it was resumed, or gave a sign of life, meanwhile.
    """
    found = get(change, lease.run_id)
    if found.worker != lease.worker or found.leased_until != lease.leased_until:
        raise Conflict(f"run {lease.run_id} goes on: {found.worker} gave a sign of life.")
    tables.set_lease(change, lease.run_id, leased_until=None, running=[])
    said = f"interrupted: its process ({lease.worker}) gave no sign of life; `mainstay resume {lease.run_id}` goes on"
    runs.finish(change, lease.run_id, state="killed", error=said, ended_at=lease.leased_until)


def let_go(ingest: Ingest, lease: Lease) -> None:
    """Forget when the lease of a run that has ended would have run out."""
    tables.set_lease(ingest, lease.run_id, leased_until=None, running=[])


def _duration(seconds: float) -> timedelta:
    if not 0 < seconds <= LONGEST_S:
        raise Invalid(f"a lease of {seconds} seconds is not possible; up to {LONGEST_S:.0f} are.")
    return timedelta(seconds=seconds)


def _fitting(outline: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    if (size := len(canonical_json([dict(each) for each in outline]))) > LARGEST_OUTLINE:
        raise TooLarge(f"the outline of a run takes {size} bytes; at most {LARGEST_OUTLINE} are kept. Send less.")
    return tuple(dict(each) for each in outline)
