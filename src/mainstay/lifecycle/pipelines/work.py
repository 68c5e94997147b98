# SPDX-License-Identifier: Apache-2.0
"""Work: jobs that somebody asks for by hand, and how far they are.

What would change something is on record as asked for, and so is that somebody called a job off; a plan changes nothing and is
no event. What a worker does with a job is telemetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, MainstayError, TooLarge
from mainstay.domain.events.pipelines import JobAsked, JobCancelled
from mainstay.domain.names import check_name
from mainstay.domain.pipelines import subject_of
from mainstay.lifecycle.pipelines import graphs
from mainstay.store import Change, Ingest, View, jobs
from mainstay.store.jobs import Job

LARGEST_BODY = 256 << 10
OPEN = ("queued", "leased")
PLAN = "plan"
_DONE = ("succeeded", "cached")


@dataclass(frozen=True, kw_only=True)
class Standing(Job):
    """A job and where it stands. ``ahead``: how many jobs wait before it; ``busy``: the workers that have a job in hand.

    ``progress`` tells of what is under way: ``done`` of ``total`` steps, those that go on ``now``, and the run, as far as known.
    """

    ahead: int | None = None
    busy: tuple[str, ...] = ()


def ask(change: Change, *, kind: str, body: dict[str, Any]) -> Job:
    """Put a job in the queue.

    Raises:
        Invalid: an unusable kind. TooLarge: a body that belongs into a blob.
    """
    _check(kind, body)
    about = _subject(kind, body)
    job = jobs.enqueue(change, kind=kind, body=body, by=change.actor, because=change.because, subject=about)
    change.record(JobAsked(job=job.id, job_kind=kind, asked=body))
    return job


def ask_for_plan(ingest: Ingest, *, entry: str, params: dict[str, Any], by: str) -> Job:
    """Put the question what a run would do, and why, in the queue. The answer becomes the job's result.

    Raises:
        Invalid, TooLarge: as `ask` does.
    """
    body = {"entry": entry, "params": params}
    _check(PLAN, body)
    return jobs.enqueue(ingest, kind=PLAN, body=body, by=by, subject=subject_of(entry))


def cancel(change: Change, identity: str) -> Job:
    """Call a job off: one that waits is not begun; whoever works on it stops, and what it has published stays.

    Raises:
        NotFound: there is none of that id. Conflict: it has ended.
    """
    job = jobs.get(change, identity)
    if job.state not in OPEN:
        raise Conflict(f"job {identity} is {job.state} and cannot be called off; nothing of it waits or is under way.")
    jobs.withdraw(change, identity, why=f"called off by {change.actor}")
    change.record(JobCancelled(job=identity, job_kind=job.kind), because=job.because)
    return jobs.get(change, identity)


def standing(view: View, job: Job) -> Standing:
    """Where ``job`` stands."""
    if job.state == "queued":
        return Standing(**vars(job), ahead=jobs.ahead_of(view, job), busy=tuple(jobs.busy_workers(view)))
    if job.state == "leased" and job.progress:
        return Standing(**vars(job) | {"progress": _progress(view, job.progress)})
    return Standing(**vars(job))


def _progress(view: View, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the worker told; of a run that is on record here, the record knows more."""
    try:
        graph = graphs.of(view, str(told.get("run_id") or ""))
    except MainstayError:
        return dict(told)
    nodes = [node for node in graph.nodes if node.kind != graphs.EXISTING]
    return {
        "run_id": graph.run_id,
        "done": sum(node.state in _DONE for node in nodes),
        "total": len(nodes),
        "now": [node.name for node in nodes if node.state == "running"],
    }


def _check(kind: str, body: dict[str, Any]) -> None:
    check_name("job kind", kind)
    try:
        size = len(canonical_json(body))
    except ValueError as error:
        raise Invalid(f"the body of a {kind} job holds a number that is not finite; write it as text.") from error
    if size > LARGEST_BODY:
        raise TooLarge(f"the body of a {kind} job takes {size} bytes; at most {LARGEST_BODY} fit. Upload a blob.")


def _subject(kind: str, body: Mapping[str, Any]) -> str | None:
    """A run or a version that is carried out again, or the pipeline behind an entry."""
    if kind == "reproduce" and isinstance(named := body.get("subject"), str):
        return named if ":" in named else f"{'version' if '/' in named else 'run'}:{named}"
    entry = body.get("entry")
    return subject_of(entry) if isinstance(entry, str) else None
