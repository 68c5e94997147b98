# SPDX-License-Identifier: Apache-2.0
"""Runs: recorded executions, from start to finish.

In: what the running code says of itself. Out: a `Run`, closed at the end by an event with the digests of what it
logged. A closed record takes no more parameters, metrics, artifacts or links; tags are remarks and may come at any
time. A step takes them all until the run of its pipeline ends. A run that goes on after its end is reopened; what comes
late, from a client that cannot know better, amends the record, which is closed again with new digests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mainstay.domain import ids, states
from mainstay.domain.digests import canonical_json, digest_of
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.events.tracking import (
    RunAmended,
    RunClosed,
    RunDeleted,
    RunFinished,
    RunReopened,
    RunRestored,
    RunRunning,
    RunScheduled,
    RunStarted,
)
from mainstay.domain.tracking import KINDS, LONGEST_NAME, Run, unknown_run
from mainstay.lifecycle.tracking import experiments, logs, naming, tables
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.metrics import tables as measured
from mainstay.store import Change, Ingest, View, files

ENDS = ("succeeded", "failed", "killed")
OPEN = ("running", "scheduled")
REOPENED = ("run", "sweep")
LONGEST_ERROR = 20_000
LARGEST_RECORD = 1 << 20
#: How long a record that was amended waits for more before it is closed again.
AMENDED_FOR = timedelta(minutes=5)


class StepRun(NamedTuple):
    """A step that has ended, as `insert_steps` writes it down."""

    name: str
    state: str
    started_at: datetime
    ended_at: datetime
    error: str | None


def start(
    change: Change,
    *,
    name: str | None = None,
    identity: str | None = None,
    experiment: str | int = experiments.DEFAULT,
    kind: str = "run",
    state: str = "running",
    parent: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    code: dict[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    seeds: dict[str, Any] | None = None,
    hardware: dict[str, Any] | None = None,
    started_at: datetime | None = None,
    claimed_by: str | None = None,
) -> Run:
    """Begin a run. Reason and because are those of the change. Without a name, one is made up.

    Args:
        identity: an id that was made elsewhere, by code that ran while nobody could be asked; the run began then.
        experiment: by name, and one that is new is made; or by number.
        code: where the code stands: ``entry, commit, dirty, sources_digest, diff_digest``, as far as known.
        environment: ``python``, ``packages`` and what else decides; kept once for all runs that share it.

    Raises:
        Invalid: an unusable name, kind, id, key or value, or an experiment that is put away. NotFound: no such parent, or
        experiment of that number. Conflict: another run has that id.
    """
    if kind not in KINDS:
        raise Invalid(f"run {(name or '')[:40]!r} cannot be of kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    if state not in OPEN:
        raise Invalid(f"a run cannot begin as {state!r}; it can as {' or '.join(OPEN)}.")
    if parent is not None:
        logs.must_run(change, parent)
    number = experiments.get_active(change, experiment) if isinstance(experiment, int) else None
    if identity is not None:
        started_at = begun_at(change, identity)
    new = insert(
        change,
        identity=identity,
        name=naming.made_up() if name is None else name,
        experiment=(number or experiments.ensure(change, str(experiment))).id,
        kind=kind,
        state=state,
        parent=parent,
        started_at=started_at,
        code=code,
        environment=environment,
        seeds=seeds,
        hardware=hardware,
        claimed_by=claimed_by,
    )
    footing = tables.Footing(new.experiment, True, False)
    logs.put_params(change, new.id, footing, params or {})
    logs.put_tags(change, new.id, footing, tags or {})
    change.record(
        RunStarted(
            run=new.id,
            run_kind=kind,
            name=new.name,
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
    """End a run: succeeded, failed with what went wrong, or killed. One that ended before it could be told says when. Its
    record is closed.

    Raises:
        NotFound: no such run. Conflict: it has ended. Invalid: another state, or the run is put away.
    """
    run = get_active(change, identity)
    if state not in ENDS:
        raise Invalid(f"run {identity} cannot end as {state!r}; it can as {', '.join(ENDS)}.")
    states.check_move(states.RUN, f"run {identity}", run.state, state)
    now = change.now()
    tables.set_run(
        change,
        identity,
        state=state,
        ended_at=max(run.started_at, min(ended_at or now, now)),
        closed_at=now,
        amended_at=None,
        error=error and error[:LONGEST_ERROR],
    )
    change.record(RunFinished(run=identity, state=state, **digests(change, identity)))
    return get(change, identity)


def reopen(change: Change, identity: str) -> Run:
    """Let a run that has ended, or waits, go on.

    Raises:
        NotFound: no such run. Conflict: it goes on already. Invalid: a pipeline's run, or a step; or it is put away.
    """
    run = get_active(change, identity)
    if run.kind not in REOPENED:
        raise Invalid(f"run {identity} is that of a {run.kind}, and what it made is final; run the pipeline again.")
    return go_on(change, identity)


def go_on(change: Change, identity: str) -> Run:
    """`reopen` for a run of any kind: for rooms that know what it means for theirs.

    Raises:
        NotFound: no such run. Conflict: it goes on already. Invalid: it is put away.
    """
    run = get_active(change, identity)
    states.check_move(states.RUN, f"run {identity}", run.state, "running")
    tables.set_run(change, identity, state="running", ended_at=None, closed_at=None, amended_at=None, error=None)
    if run.state in ENDS:
        change.record(RunReopened(run=identity, before=run.state))
    else:
        change.record(RunRunning(run=identity))
    return get(change, identity)


def schedule(change: Change, identity: str) -> Run:
    """Let a run that has not ended wait for its turn.

    Raises:
        NotFound: no such run. Conflict: it has ended. Invalid: the run is put away.
    """
    run = get_active(change, identity)
    if run.state != "scheduled":
        states.check_move(states.RUN, f"run {identity}", run.state, "scheduled")
        tables.set_run(change, identity, state="scheduled")
    change.record(RunScheduled(run=identity))
    return get(change, identity)


def amend(change: Change, identity: str) -> None:
    """Open a closed record for what comes late; the run's state stays what it is. A step is amended with its pipeline's run.

    Raises:
        NotFound: no such run. Invalid: the run is put away.
    """
    run = get_active(change, identity)
    if run.kind == "step" and run.parent is not None:
        run = get_active(change, run.parent)
    if run.closed_at is not None:
        tables.set_run(change, run.id, closed_at=None, amended_at=change.now())
    change.record(RunAmended(run=run.id))


def close(change: Change, identity: str) -> None:
    """Close a record that was amended.

    Raises:
        NotFound: no such run.
    """
    get(change, identity)
    tables.set_run(change, identity, closed_at=change.now(), amended_at=None)
    change.record(RunClosed(run=identity, **digests(change, identity)))


def to_close(view: View) -> list[str]:
    """Runs whose record was amended, and has been open long enough."""
    return tables.amended_before(view, view.now() - AMENDED_FOR)


def rename(ingest: Ingest, identity: str, name: str) -> None:
    """Call a run otherwise. A name is a remark, as a tag is, and leaves no event.

    Raises:
        NotFound: no such run. Invalid: an unusable name, or the run is put away.
    """
    get_active(ingest, identity)
    tables.set_run(ingest, identity, name=_named(name))


def correct(ingest: Ingest, identity: str, *, ended_at: datetime) -> None:
    """Say when a run that has ended did so.

    Raises:
        NotFound: no such run. Invalid: the run is put away.
    """
    get_active(ingest, identity)
    tables.set_run(ingest, identity, ended_at=ended_at)


def adopt(ingest: Ingest, identity: str, parent: str) -> None:
    """Put a run inside another, if there is one of that id: a tag may name whatever it likes."""
    if parent != identity and tables.footing(ingest, parent) is not None:
        tables.set_run(ingest, identity, parent=parent)


def delete(change: Change, identity: str) -> None:
    """Put a run away; it can still be read by its id.

    Raises:
        NotFound: no such run.
    """
    if get(change, identity).deleted_at is None:
        tables.set_run(change, identity, deleted_at=change.now())
    change.record(RunDeleted(run=identity))


def restore(change: Change, identity: str) -> None:
    """Bring a run back.

    Raises:
        NotFound: no such run.
    """
    if get(change, identity).deleted_at is not None:
        tables.set_run(change, identity, deleted_at=None)
    change.record(RunRestored(run=identity))


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
    claimed_by: str | None = None,
) -> Run:
    """Write a run down; the caller records the event that tells of it.

    Raises:
        Invalid: an unusable name, or a record that is too large.
    """
    for what, value in {"code": code, "environment": environment, "seeds": seeds, "hardware": hardware}.items():
        check_record(what, value)
    new = Run(
        id=identity or ids.uuid7(),
        experiment=experiment,
        name=_named(name),
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
        claimed_by=claimed_by,
    )
    tables.put_run(change, new)
    return new


def insert_steps(change: Change, parent: Run, steps: Sequence[StepRun]) -> list[Run]:
    """Write down steps of a pipeline's run that have ended; the caller records the events that tell of them.

    Raises:
        Invalid: an unusable name.
    """
    made = [
        Run(
            id=ids.uuid7(),
            experiment=parent.experiment,
            name=_named(step.name),
            kind="step",
            parent=parent.id,
            state=step.state,
            actor=change.actor,
            started_at=step.started_at,
            ended_at=step.ended_at,
            reason=change.reason,
            because=change.because,
            code=None,
            environment=None,
            seeds=None,
            hardware=None,
            error=step.error and step.error[:LONGEST_ERROR],
        )
        for step in steps
    ]
    tables.put_runs(change, made)
    return made


def exists(view: View, identity: str) -> bool:
    """Whether there is a run of that id, also one that is put away."""
    return tables.footing(view, identity) is not None


def get(view: View, identity: str) -> Run:
    """One run, also when it is put away.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.run(view, identity)
    if found is None:
        raise unknown_run(identity)
    return found


def get_active(view: View, identity: str) -> Run:
    """One run that is not put away.

    Raises:
        NotFound: there is none of that id. Invalid: it is put away.
    """
    found = get(view, identity)
    if found.deleted_at is not None:
        raise logs.deleted(identity)
    return found


def newest(view: View, *, kind: str, name: str, besides: str | None = None, limit: int) -> list[Run]:
    """The newest runs of a kind that have this name and are not put away; ``besides`` is one to leave out."""
    return tables.newest(view, kind, name, besides or "", limit)


def children(view: View, parent: str) -> list[Run]:
    """The runs inside ``parent``, in the order in which they began."""
    return tables.children(view, parent)


def environment_of(view: View, run: Run) -> dict[str, Any] | None:
    """What was installed, with the ``digest`` it came with or else its own; None where nothing was recorded."""
    content = tables.environment(view, run.environment) if run.environment else None
    return None if content is None else {"digest": run.environment, **content}


def digests(view: View, identity: str) -> dict[str, str]:
    """Digests of all that a run logged. The same as in its last ``run.finished`` or ``run.closed``, or the record was
    altered since."""
    return _digests(view, [identity])[identity]


def _digests(view: View, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    """`digests` of many runs, by as many questions as of one: a pipeline's run may have thousands of steps."""
    params = tables.values_of_runs(view, "params", identities)
    series = measured.series_of_runs(view, identities)
    artifacts = files.listed_of_many(view, tables.run_artifacts, identities)
    linked = links.of_runs(view, identities)
    inside = tables.steps_inside(view, identities)
    steps = [step for some in inside.values() for step in some]
    of_step = _digests(view, steps) if steps else {}
    return {
        identity: {
            "params": _digest(params[identity]),
            "metrics": _digest(
                [[key, measured.points_of(view, one).digest()] for key, one in series[identity].items()]
            ),
            "artifacts": _digest([[a.path, a.digest, a.size, a.media_type] for a in artifacts[identity]]),
            "links": _digest(
                sorted([*link.end, *([link.step] if link.step is not None else [])] for link in linked[identity])
            ),
            "steps": _digest([[step, of_step[step]] for step in inside[identity]]),
        }
        for identity in identities
    }


def _digest(logged: dict[str, Any] | list[Any]) -> str:
    return digest_of(logged) if logged else _OF_NOTHING[type(logged)]


# Most steps log nothing but links.
_OF_NOTHING: dict[type, str] = {kind: digest_of(kind()) for kind in (dict, list)}


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


def _named(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"run name {name[:40]!r} is not usable; 1 to {LONGEST_NAME} printable characters are expected.")
    return name


def _keep_environment(change: Change, environment: Mapping[str, Any] | None) -> str | None:
    if environment is None:
        return None
    digest = digest_of(environment)
    tables.put_environment(change, digest, environment)
    return digest
