# SPDX-License-Identifier: Apache-2.0
"""Leased jobs, over HTTP: work that is asked for, and the workers that take it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.errors import Invalid
from mainstay.lifecycle.pipelines import work
from mainstay.server import waiting
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Change, Ingest, Store, View, jobs

routes = Routes("pipelines")

LONGEST_LEASE_S = 24 * 3600


class JobIn(Body):
    kind: str
    body: dict[str, Any]


class LeaseIn(Body):
    worker: str
    kinds: list[str]
    seconds: float = 30.0
    wait: float = 0.0


class ProgressIn(Body):
    run_id: str | None = None
    done: int = 0
    total: int | None = None
    now: list[str] = msgspec.field(default_factory=list)


class HeartbeatIn(Body):
    worker: str
    seconds: float = 30.0
    progress: ProgressIn | None = None  # how far the work is; what was said before stays if nothing is


class JobEndIn(Body):
    worker: str
    ok: bool
    result: dict[str, Any] | None = None
    error: str | None = None


class Leased(msgspec.Struct):
    job: jobs.Job | None


class Jobs(msgspec.Struct):
    items: list[work.Standing]


@routes.post("/jobs", permission="write", status=201)
def ask(change: Change, body: JobIn) -> jobs.Job:
    """Ask for work, such as ``run_pipeline``; a worker will take it."""
    return work.ask(change, kind=body.kind, body=body.body)


@routes.get("/jobs", permission="read")
def list_jobs(view: View, state: str = "", kind: str = "", subject: str = "", limit: int = 100) -> Jobs:
    """Jobs, newest first: of a state, of a kind, about a subject. A result that is long is told by its job alone."""
    found = jobs.listed(view, state=state or None, kind=kind or None, subject=subject or None, limit=limit)
    return Jobs(items=[work.standing(view, job) for job in found])


@routes.get("/jobs/{job_id}", permission="read")
def show_job(view: View, job_id: str) -> work.Standing:
    """One job: what it asks for, where it stands, how far it is, what came of it."""
    return work.standing(view, jobs.get(view, job_id))


@routes.post("/jobs/{job_id}/cancel", permission="write")
def cancel_job(change: Change, job_id: str) -> jobs.Job:
    """Call a job off: one that waits is not begun, one under way is stopped when its worker next renews its lease."""
    return work.cancel(change, job_id)


@routes.raw("POST", "/jobs/lease", permission="work")
async def lease(*, request: Request, store: Store, actor: Principal) -> Response:
    """The oldest waiting job of some kinds, for this worker and for so many seconds; null if none came in ``wait`` seconds."""
    body = convert(strict_json.loads(await read_body(request)), LeaseIn)
    seconds = _lease_seconds(body.seconds)
    async for _ in waiting.moments(request, lambda: store.commits, body.wait):
        # Looking costs nothing durable; only a job that is there is worth a transaction, and only while its worker is.
        if await run_in_threadpool(_any_waiting, store, body.kinds) and not await request.is_disconnected():
            leased = await run_in_threadpool(_lease, store, body, seconds)
            if leased.job is not None:
                return Response(encode(leased), media_type="application/json")
    return Response(encode(Leased(None)), media_type="application/json")


def _any_waiting(store: Store, kinds: list[str]) -> bool:
    with store.view() as view:
        return jobs.any_waiting(view, kinds)


def _lease(store: Store, body: LeaseIn, seconds: float) -> Leased:
    with store.ingest() as ingest:
        return Leased(jobs.lease(ingest, worker=body.worker, kinds=body.kinds, seconds=seconds))


@routes.ingest("/jobs/{job_id}/heartbeat", permission="work")
def heartbeat(ingest: Ingest, job_id: str, body: HeartbeatIn) -> jobs.Job:
    """Keep a lease for so many seconds more. 409: it ran out, and the work is somebody else's now."""
    told = msgspec.to_builtins(body.progress) if body.progress else None
    return jobs.renew(ingest, job_id, worker=body.worker, seconds=_lease_seconds(body.seconds), progress=told)


@routes.ingest("/jobs/{job_id}/finish", permission="work")
def finish_job(ingest: Ingest, job_id: str, body: JobEndIn) -> jobs.Job:
    """End a job with its result, or with what went wrong."""
    if body.ok == (body.error is not None):
        raise Invalid(f"job {job_id} ends either ok or with an error; both or neither was said.")
    return jobs.finish(ingest, job_id, worker=body.worker, result=body.result, error=body.error)


def _lease_seconds(seconds: float) -> float:
    if not 1 <= seconds <= LONGEST_LEASE_S:
        raise Invalid(f"a lease of {seconds} seconds is not possible; from 1 to {LONGEST_LEASE_S} are.")
    return seconds
