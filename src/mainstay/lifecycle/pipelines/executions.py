# SPDX-License-Identifier: Apache-2.0
"""Executions: runs of pipelines, and the steps inside them.

In: what the engine carried out or found done. Out: one transaction (`commit_steps`): each step's own run, its links and
its place in the index of results, or nothing at all. A commit that is sent again finds the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.pipelines import StepCommitted
from mainstay.domain.pipelines import STATES, Input, Output, Pipeline, Published, Said, Step, StepDone
from mainstay.domain.tracking import Link, Run
from mainstay.lifecycle.data import lineage, snapshots
from mainstay.lifecycle.pipelines import leases, results, tables
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.store import Change, Ingest, View

LONGEST_WHY = 200
MOST_LINKS = 10_000
MOST_OF_HISTORY = 3


def start(
    change: Change,
    *,
    name: str,
    kind: str = "run",
    code: dict[str, Any] | None = None,
    lease: Mapping[str, Any] | None = None,
    **record: Any,
) -> Run:
    """Begin a run as `tracking.runs.start` does; one of a pipeline also makes its definition known here, and with a
    ``lease`` (see `leases.begin`) is watched from its first moment."""
    run = runs.start(change, name=name, kind=kind, code=code, **record)
    if kind == "pipeline":
        tables.see(change, name, entry=str((code or {}).get("entry") or name), run_id=run.id, at=run.started_at)
    if lease is not None:
        leases.begin(change, run.id, **lease)
    return run


def commit_step(change: Change, *, pipeline_run: str, **step: Any) -> Step:
    """`commit_steps` for one, by its parts."""
    return commit_steps(change, pipeline_run=pipeline_run, steps=[StepDone(**step)])[0]


def commit_steps(
    change: Change, *, pipeline_run: str, steps: Sequence[StepDone], worker: str | None = None
) -> list[Step]:
    """Put executions of steps on record, all or none; each with what it read and made.

    Where an equal step was published before, by another run or a moment ago, its outputs are the ones that count: the
    answer names them, and ``hit_of`` says whose they are. With ``renew``, because the earlier result has expired, the new
    ones count; with ``built_on``, because the run has gone on with them, its own count for this run, and for nobody else. The
    same call of the same run, sent again, is answered with its record.

    Args:
        worker: who carries the run out; one that has lost the run may not add to it.

    Raises:
        NotFound: no such run, snapshot or blob. Conflict: the run has ended, or is another's. Corrupt: a blob was
        damaged. Invalid: no pipeline's run, or something that cannot be kept.
    """
    parent = _pipeline_run(change, pipeline_run)
    if worker is not None:
        leases.must_hold(change, pipeline_run, worker, parent)
    for step in steps:
        _check(step)
    good = [step for step in steps if step.state != "failed"]
    known = tables.committed(change, pipeline_run, [step.key for step in good])
    new = {
        (step.name, step.key, step.state == "failed"): step for step in reversed(steps) if not _is_known(step, known)
    }
    made = _put(change, parent, list(reversed(new.values())))
    known |= {(step.name, step.key): step for step in made if step.state != "failed"}
    failed = {(step.name, step.key): step for step in made if step.state == "failed"}
    answers = [(failed if step.state == "failed" else known)[step.name, step.key] for step in steps]
    change.record_all([_event(step) for step in answers])
    return answers


def _is_known(step: StepDone, known: Mapping[tuple[str, str], Step]) -> bool:
    return step.state != "failed" and (step.name, step.key) in known


def _put(change: Change, parent: Run, new: Sequence[StepDone]) -> list[Step]:
    """Write steps down that are not there yet: runs, results, executions and links, each kind at once."""
    if not new:
        return []
    steps = [replace(step, inputs=tuple(_fixed(change, step.inputs)), outputs=tuple(step.outputs)) for step in new]
    for output in {output.digest: output for step in steps for output in step.outputs}.values():
        results.check(change, output)
    ended = change.now()
    own = runs.insert_steps(
        change,
        parent,
        [
            runs.StepRun(step.name, step.state, ended - timedelta(seconds=step.seconds), ended, step.error)
            for step in steps
        ],
    )
    fresh = [
        Published(key=step.key, run_id=run.id, outputs=step.outputs, at=ended)
        for step, run in zip(steps, own, strict=True)
        if step.cacheable and step.state == "succeeded"
    ]
    renewed = {step.key for step in steps if step.renew}
    first = results.publish(change, fresh, renewed=renewed) if fresh else {}
    made = [
        _step(step, run, first.get(step.key) if step.cacheable and step.state == "succeeded" else None)
        for step, run in zip(steps, own, strict=True)
    ]
    tables.put_steps(change, parent.name, made)
    for step, run in zip(steps, own, strict=True):
        if step.said is not None:
            _keep_said(change, run.id, step.said)
    links.add_to_new(change, {step.run_id: _linked(change, step.run_id, step.inputs, step.outputs) for step in made})
    return made


def _keep_said(change: Change, run: str, said: Said) -> None:
    logs.log(change, run, params=said.params, metrics=said.metrics)
    for artifact in said.artifacts:
        logs.add_artifact(change, run, artifact)


def _step(done: StepDone, run: Run, first: Published | None) -> Step:
    """The record of an execution; the outputs of whoever published its key ``first`` are the ones that count."""
    if first is not None and done.built_on and first.outputs != tuple(done.outputs):
        first = None
    is_other = first is not None and first.run_id != run.id
    assert run.parent is not None and run.ended_at is not None
    return Step(
        run_id=run.id,
        pipeline_run=run.parent,
        name=done.name,
        state=done.state,
        key=done.key,
        key_parts=done.key_parts,
        why=done.why,
        hit_of=first.run_id if first and is_other else done.hit_of,
        upstream=tuple(done.upstream),
        inputs=tuple(done.inputs),
        outputs=first.outputs if first else tuple(done.outputs),
        seconds=done.seconds,
        error=run.error,
        at=run.ended_at,
    )


def connect(ingest: Ingest, run: str, *, inputs: Sequence[Input] = (), outputs: Sequence[Output] = ()) -> None:
    """Keep what a run read and made, on its side and on that of the snapshots it read.

    Raises:
        NotFound: there is no such snapshot. Invalid: a kind of input that a run cannot have.
    """
    links.add(ingest, run, _linked(ingest, run, _fixed(ingest, inputs), outputs))


def _linked(ingest: Ingest, run: str, inputs: Sequence[Input], outputs: Sequence[Output]) -> list[Link]:
    """The links of a run; the snapshots among them are told who read them."""
    read = [Link(way="in", kind=each.kind, ref=each.ref, name=each.name) for each in inputs]
    made = [Link(way="out", kind=_link_kind(each), ref=_ref(each), name=each.name) for each in outputs]
    for link in read:
        if link.kind == "snapshot":
            lineage.use(ingest, snapshot=link.ref, subject=f"run:{run}", role="input")
    return read + made


def link(ingest: Ingest, run: str, *, inputs: Sequence[Input] = (), outputs: Sequence[Output] = ()) -> None:
    """`connect` for a run that still goes on.

    Raises:
        NotFound: no such run or snapshot. Conflict: the run has ended.
    """
    logs.must_run(ingest, run)
    connect(ingest, run, inputs=inputs, outputs=outputs)


def steps_of(view: View, pipeline_run: str) -> list[Step]:
    """The steps of a pipeline's run, in the order in which they were committed."""
    return tables.steps_of(view, pipeline_run)


def get(view: View, run_id: str) -> Step:
    """The step that has this run of its own.

    Raises:
        NotFound: there is none.
    """
    found = find(view, run_id)
    if found is None:
        raise NotFound(f"run {run_id[:80]!r} is not that of a step.")
    return found


def find(view: View, run_id: str) -> Step | None:
    """The step that has this run of its own; None for any other run."""
    return tables.step(view, run_id)


def history(view: View, pipeline: str, *, besides: str | None = None) -> list[tuple[Run, list[Step]]]:
    """The newest runs of a pipeline with their steps, up to the last that succeeded, but a few at most: one that failed early
    says nothing about later steps. What a plan compares with; ``besides`` is a run to leave out.

    Raises:
        NotFound: no such pipeline was ever seen.
    """
    named(view, pipeline)
    found = []
    for run in runs.newest(view, kind="pipeline", name=pipeline, besides=besides, limit=MOST_OF_HISTORY):
        found.append((run, steps_of(view, run.id)))
        if run.state == "succeeded":
            break
    return found


def named(view: View, name: str) -> Pipeline:
    """A pipeline that was seen.

    Raises:
        NotFound: there is none of that name.
    """
    found = tables.pipeline(view, name)
    if found is None:
        raise NotFound(f"no pipeline {name!r} was ever run here; `mainstay run FILE.py:{name}` runs one.")
    return found


def seen(view: View, *, after: str = "", limit: int = 100) -> list[Pipeline]:
    """Every pipeline that was run here, by name, from behind ``after``."""
    return tables.all_pipelines(view, after, limit)


def _pipeline_run(view: View, identity: str) -> Run:
    logs.must_run(view, identity)
    run = runs.get(view, identity)
    if run.kind != "pipeline":
        raise Invalid(f"run {identity} is a {run.kind}; steps are committed to the run of a pipeline.")
    return run


def _fixed(view: View, inputs: Sequence[Input]) -> list[Input]:
    """``inputs`` with every snapshot by its number: ``flights@current`` will mean another one tomorrow."""
    return [
        replace(each, ref=snapshots.named(view, each.ref).id) if each.kind == "snapshot" else each for each in inputs
    ]


def _check(step: StepDone) -> None:
    name, linked = step.name, len(step.inputs) + len(step.outputs)
    if step.state not in STATES:
        raise Invalid(f"step {name!r} cannot be {step.state!r}; a committed step is {', '.join(STATES)}.")
    if not is_digest(step.key):
        raise Invalid(f"step {name!r} has key {step.key[:80]!r}; a digest is expected.")
    if len(step.why) > LONGEST_WHY:
        raise Invalid(f"step {name!r} says why in {len(step.why)} characters; at most {LONGEST_WHY} are kept.")
    if not 0 <= step.seconds < 1e9:
        raise Invalid(f"step {name!r} took {step.seconds} seconds; that cannot be.")
    if linked > MOST_LINKS:
        raise Invalid(f"step {name!r} has {linked} inputs and outputs; at most {MOST_LINKS} are kept.")
    runs.check_record(f"key of step {name!r}", step.key_parts)


def _event(step: Step) -> StepCommitted:
    return StepCommitted(
        run=step.run_id,
        pipeline_run=step.pipeline_run,
        name=step.name,
        state=step.state,
        key=step.key,
        why=step.why,
        hit_of=step.hit_of,
        inputs=[{"kind": each.kind, "ref": each.ref, "name": each.name} for each in step.inputs],
        outputs=[{"name": each.name, "kind": each.kind, "digest": each.digest} for each in step.outputs],
    )


def _link_kind(output: Output) -> str:
    return output.kind if output.kind in ("snapshot", "version") else "artifact"


def _ref(output: Output) -> str:
    """Snapshots and versions are known by their own name, everything else by its bytes."""
    return output.name if output.kind in ("snapshot", "version") else output.digest
