# SPDX-License-Identifier: Apache-2.0
"""The queue of leased jobs: work that the control plane wants done, and that a worker's death must not lose.

A worker leases a job for some seconds and renews the lease while it works. A lease that runs out puts the job back; after
`MOST_ATTEMPTS` it is failed, so that a job which kills its worker cannot do so for ever. At least once, then: what a job
publishes is committed by its own idempotent requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, case, func, null, select, type_coerce, update

from mainstay.domain import ids
from mainstay.domain.errors import Conflict, NotFound
from mainstay.store.change import Ingest, View
from mainstay.store.schema import Json
from mainstay.store.tables import jobs

MOST_ATTEMPTS = 3
LONGEST_IN_A_LIST = 4096  # characters of a result; a longer one is told by its job alone


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work. ``state`` is queued, leased, done or failed.

    ``subject``: what it is about, such as ``pipeline:late``. ``progress``: what the worker last said of how far it is.
    """

    id: str
    kind: str
    body: dict[str, Any]
    state: str
    attempt: int
    created_at: datetime
    created_by: str
    because: int | None
    worker: str | None
    leased_until: datetime | None
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: str | None
    subject: str | None = None
    leased_at: datetime | None = None
    progress: dict[str, Any] | None = None


def enqueue(
    ingest: Ingest,
    *,
    kind: str,
    body: dict[str, Any],
    by: str,
    because: int | None = None,
    subject: str | None = None,
) -> Job:
    """Ask for work. Inside a `Change` the job exists if and only if the change does."""
    identity = ids.uuid7()
    ingest.insert(
        jobs,
        id=identity,
        kind=kind,
        body=body,
        state="queued",
        attempt=0,
        created_at=ingest.now(),
        created_by=by,
        because=because,
        subject=subject,
    )
    return get(ingest, identity)


def get(view: View, identity: str) -> Job:
    """One job.

    Raises:
        NotFound: there is none of that id.
    """
    row = view.first(select(jobs).where(jobs.c.id == identity))
    if row is None:
        raise NotFound(f"there is no job {identity!r}; `mainstay jobs list` shows them.")
    return Job(**row._mapping)


def unfinished(view: View) -> list[Job]:
    """Jobs that wait, or are under way."""
    return [Job(**row._mapping) for row in view.rows(select(jobs).where(jobs.c.state.in_(("queued", "leased"))))]


def listed(
    view: View,
    *,
    state: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
    limit: int = 100,
) -> Sequence[Job]:
    """Jobs, newest first, without results that are long."""
    is_long = func.length(type_coerce(jobs.c.result, Text)) > LONGEST_IN_A_LIST
    short = type_coerce(case((is_long, null()), else_=type_coerce(jobs.c.result, Text)), Json).label("result")
    columns = [short if each is jobs.c.result else each for each in jobs.c]
    query = select(*columns).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
    for column, wanted in ((jobs.c.state, state), (jobs.c.kind, kind), (jobs.c.subject, subject)):
        if wanted:
            query = query.where(column == wanted)
    return [Job(**row._mapping) for row in view.rows(query)]


def ahead_of(view: View, job: Job) -> int:
    """How many jobs wait that were asked for before ``job``."""
    before = (jobs.c.created_at < job.created_at) | ((jobs.c.created_at == job.created_at) & (jobs.c.id < job.id))
    return view.scalar(select(func.count()).where(jobs.c.state == "queued", before)) or 0


def busy_workers(view: View) -> list[str]:
    """The names of the workers that have a job in hand, in order."""
    query = select(jobs.c.worker).where(jobs.c.state == "leased", jobs.c.leased_until >= view.now()).distinct()
    return sorted(row.worker for row in view.rows(query))


def lease(ingest: Ingest, *, worker: str, kinds: Sequence[str], seconds: float) -> Job | None:
    """Give the oldest waiting job of ``kinds`` to ``worker``, or None."""
    reclaim(ingest)
    waiting = (
        select(jobs.c.id)
        .where(jobs.c.state == "queued", jobs.c.kind.in_(kinds))
        .order_by(jobs.c.created_at, jobs.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    identity = ingest.scalar(waiting)
    if identity is None:
        return None
    until = ingest.now() + timedelta(seconds=seconds)
    ingest.execute(
        update(jobs)
        .where(jobs.c.id == identity)
        .values(
            state="leased",
            worker=worker,
            leased_at=ingest.now(),
            leased_until=until,
            attempt=jobs.c.attempt + 1,
            progress=None,
        )
    )
    return get(ingest, identity)


def renew(ingest: Ingest, identity: str, *, worker: str, seconds: float, progress: dict[str, Any] | None = None) -> Job:
    """Keep a lease alive, and note how far the work is if that is said.

    Raises:
        Conflict: the lease ran out and the job is no longer this worker's.
    """
    _held_by(ingest, identity, worker)
    told = {} if progress is None else {"progress": progress}
    until = ingest.now() + timedelta(seconds=seconds)
    ingest.execute(update(jobs).where(jobs.c.id == identity).values(leased_until=until, **told))
    return get(ingest, identity)


def finish(
    ingest: Ingest, identity: str, *, worker: str, result: dict[str, Any] | None = None, error: str | None = None
) -> Job:
    """End a job: done, or failed with one sentence.

    Raises:
        Conflict: the job is no longer this worker's.
    """
    _held_by(ingest, identity, worker)
    ingest.execute(
        update(jobs)
        .where(jobs.c.id == identity)
        .values(
            state="failed" if error else "done",
            result=result,
            error=error,
            finished_at=ingest.now(),
            leased_until=None,
        )
    )
    return get(ingest, identity)


def withdraw(ingest: Ingest, identity: str, *, why: str) -> None:
    """End a job that is not wanted any more: one that waits is not begun, and whoever works on it loses the lease."""
    ingest.execute(
        update(jobs)
        .where(jobs.c.id == identity, jobs.c.state.in_(["queued", "leased"]))
        .values(state="failed", error=why, finished_at=ingest.now(), leased_until=None)
    )


def reclaim(ingest: Ingest) -> None:
    """Put jobs whose lease ran out back into the queue; fail those that were tried often enough."""
    late = (jobs.c.state == "leased") & (jobs.c.leased_until < ingest.now())
    ingest.execute(
        update(jobs)
        .where(late & (jobs.c.attempt >= MOST_ATTEMPTS))
        .values(
            state="failed",
            error=f"given up: {MOST_ATTEMPTS} workers took it and none came back",
            finished_at=ingest.now(),
            leased_until=None,
        )
    )
    ingest.execute(update(jobs).where(late).values(state="queued", worker=None, leased_until=None))


def _held_by(view: View, identity: str, worker: str) -> Job:
    job = get(view, identity)
    if job.state != "leased" or job.worker != worker:
        raise Conflict(
            f"job {identity} is {job.state} and not leased to {worker!r}; its lease ran out or it has ended. Drop the work."
        )
    return job


def any_waiting(view: View, kinds: Sequence[str]) -> bool:
    """Whether some job of ``kinds`` could be leased now."""
    overdue = (jobs.c.state == "leased") & (jobs.c.leased_until < view.now())
    waiting = ((jobs.c.state == "queued") | overdue) & jobs.c.kind.in_(kinds)
    return view.first(select(jobs.c.id).where(waiting).limit(1)) is not None


def any_open(view: View) -> bool:
    """Whether some job waits for a worker, or has one."""
    return view.first(select(jobs.c.id).where(jobs.c.state.in_(["queued", "leased"])).limit(1)) is not None


def any_overdue(view: View) -> bool:
    """Whether some worker let its lease run out."""
    return view.first(select(jobs.c.id).where(jobs.c.state == "leased", jobs.c.leased_until < view.now())) is not None
