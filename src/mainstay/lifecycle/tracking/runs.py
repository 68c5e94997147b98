# SPDX-License-Identifier: Apache-2.0
"""Runs: recorded executions, from start to finish.

In: what the running code says of itself. Out: a `Run`, closed at the end by an event with the digests of what it
logged. A finished run takes no more parameters, metrics, artifacts or links; tags are remarks and may come at any
time. A step takes them all until the run of its pipeline ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainstay.domain import ids, states
from mainstay.domain.clock import to_wire
from mainstay.domain.digests import canonical_json, digest_of, sha256_hex
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.events.tracking import RunFinished, RunReopened, RunStarted
from mainstay.domain.tracking import KINDS, LONGEST_NAME, Run, unknown_run
from mainstay.lifecycle.tracking import experiments, logs, tables
from mainstay.store import Change, View

ENDS = ("succeeded", "failed")
REOPENED = ("run", "sweep")
LONGEST_ERROR = 20_000
LARGEST_RECORD = 1 << 20


def start(
    change: Change,
    *,
    name: str,
    identity: str | None = None,
    experiment: str = experiments.DEFAULT,
    kind: str = "run",
    parent: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    code: dict[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    seeds: dict[str, Any] | None = None,
    hardware: dict[str, Any] | None = None,
) -> Run:
    """Begin a run. Reason and because are those of the change. An experiment that is new is made.

    Args:
        identity: an id that was made elsewhere, by code that ran while nobody could be asked; the run began then.
        code: where the code stands: ``entry, commit, dirty, sources_digest, diff_digest``, as far as known.
        environment: ``python``, ``packages`` and what else decides; kept once for all runs that share it.

    Raises:
        Invalid: an unusable name, kind, id, key or value. NotFound: no such parent. Conflict: another run has that id.
    """
    if kind not in KINDS:
        raise Invalid(f"run {name[:40]!r} cannot be of kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    if parent is not None:
        logs.must_run(change, parent)
    new = insert(
        change,
        identity=identity,
        started_at=None if identity is None else begun_at(change, identity),
        name=name,
        experiment=experiments.ensure(change, experiment).id,
        kind=kind,
        parent=parent,
        code=code,
        environment=environment,
        seeds=seeds,
        hardware=hardware,
    )
    logs.put_params(change, new.id, params or {})
    logs.put_tags(change, new.id, tags or {})
    change.record(
        RunStarted(
            run=new.id,
            run_kind=kind,
            name=name,
            experiment=new.experiment,
            parent=parent,
            code=digest_of(code) if code else None,
            environment=new.environment,
        )
    )
    return new


def same(view: View, identity: str | None, *, name: str, kind: str, actor: str) -> Run | None:
    """The run that was begun under ``identity`` before, if the same request was meant; None if there is none.

    Raises:
        Conflict: it is somebody else's, or another one.
    """
    found = None if identity is None else tables.run(view, identity)
    if found and (found.name, found.kind, found.actor) != (name, kind, actor):
        raise Conflict(f"run {identity} is there already and is another one, {found.name!r}; start one with a new id.")
    return found


def begun_at(view: View, identity: str) -> datetime:
    """When a run of an id that was made elsewhere began: when the id was made, unless that clock is ahead of ours.

    Raises:
        Invalid: no id of ours.
    """
    if not ids.is_id(identity):
        raise Invalid(f"run id {identity[:80]!r} is not usable; a UUID of version 7 as 32 hexadecimal digits is.")
    return min(ids.time_of(identity), view.now())


def finish(
    change: Change, identity: str, *, state: str, error: str | None = None, ended_at: datetime | None = None
) -> Run:
    """End a run: succeeded, or failed with what went wrong. One that ended before it could be told says when.

    Raises:
        NotFound: no such run. Conflict: it has ended. Invalid: another state.
    """
    run = get(change, identity)
    if state not in ENDS:
        raise Invalid(f"run {identity} cannot end as {state!r}; it can as {' or '.join(ENDS)}.")
    states.check_move(states.RUN, f"run {identity}", run.state, state)
    now = change.now()
    ended = max(run.started_at, min(ended_at or now, now))
    tables.end_run(change, identity, state=state, at=ended, error=error and error[:LONGEST_ERROR])
    change.record(RunFinished(run=identity, state=state, **digests(change, identity)))
    return get(change, identity)


def reopen(change: Change, identity: str) -> Run:
    """Let a run that has ended go on.

    Raises:
        NotFound: no such run. Conflict: it goes on already. Invalid: a pipeline's run, or a step.
    """
    run = get(change, identity)
    if run.kind not in REOPENED:
        raise Invalid(f"run {identity} is that of a {run.kind}, and what it made is final; run the pipeline again.")
    states.check_move(states.RUN, f"run {identity}", run.state, "running")
    if run.parent is not None:
        logs.must_run(change, run.parent)
    tables.end_run(change, identity, state="running", at=None, error=None)
    change.record(RunReopened(run=identity, before=run.state))
    return get(change, identity)


def insert(
    change: Change,
    *,
    identity: str | None = None,
    name: str,
    experiment: int,
    kind: str,
    parent: str | None,
    state: str = "running",
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    code: dict[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    seeds: dict[str, Any] | None = None,
    hardware: dict[str, Any] | None = None,
    error: str | None = None,
) -> Run:
    """Write a run down; the caller records the event that tells of it.

    Raises:
        Invalid: an unusable name, or a record that is too large.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"run name {name[:40]!r} is not usable; 1 to {LONGEST_NAME} printable characters are expected.")
    for what, value in {"code": code, "environment": environment, "seeds": seeds, "hardware": hardware}.items():
        check_record(what, value)
    new = Run(
        id=identity or ids.uuid7(),
        experiment=experiment,
        name=name,
        kind=kind,
        parent=parent,
        state=state,
        actor=change.actor,
        started_at=started_at or change.now(),
        ended_at=ended_at,
        reason=change.reason,
        because=change.because,
        code=code,
        environment=_keep_environment(change, environment),
        seeds=seeds,
        hardware=hardware,
        error=error and error[:LONGEST_ERROR],
    )
    tables.put_run(change, new)
    return new


def get(view: View, identity: str) -> Run:
    """One run.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.run(view, identity)
    if found is None:
        raise unknown_run(identity)
    return found


def children(view: View, parent: str) -> list[Run]:
    """The runs inside ``parent``, in the order in which they began."""
    return tables.children(view, parent)


def environment_of(view: View, run: Run) -> dict[str, Any] | None:
    """What was installed, with the ``digest`` it came with or else its own; None where nothing was recorded."""
    content = tables.environment(view, run.environment) if run.environment else None
    return None if content is None else {"digest": run.environment, **content}


def digests(view: View, identity: str) -> dict[str, str]:
    """Digests of all that a run logged. The same as in its ``run.finished``, or the record was altered since."""
    points = tables.points_of(view, identity, None, limit=None)
    lines = (canonical_json([p.key, p.step, to_wire(p.at), p.value]) for p in points)
    artifacts = [[a.path, a.digest, a.size, a.media_type] for a in tables.artifacts_of(view, identity)]
    links = [[link.way, link.kind, link.ref, link.name] for link in tables.links_of(view, identity)]
    return {
        "params": digest_of(tables.params_of(view, identity)),
        "metrics": sha256_hex(b"\n".join(lines)),
        "artifacts": digest_of(artifacts),
        "links": digest_of(links),
        "steps": digest_of([[child.id, digests(view, child.id)] for child in children(view, identity)]),
    }


def check_record(what: str, value: Any) -> None:
    """Let pass what can be kept as a run's code, environment, seeds or hardware.

    Raises:
        Invalid: NaN or infinity in it, or more than a megabyte.
    """
    try:
        size = len(canonical_json(value))
    except ValueError as error:
        raise Invalid(f"the {what} of a run holds a number that is not finite; write it as text.") from error
    if size > LARGEST_RECORD:
        raise Invalid(f"the {what} of a run takes {size} bytes; at most {LARGEST_RECORD} are kept. Log an artifact.")


def _keep_environment(change: Change, environment: Mapping[str, Any] | None) -> str | None:
    if environment is None:
        return None
    digest = digest_of(environment)
    tables.put_environment(change, digest, environment)
    return digest
