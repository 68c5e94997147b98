# SPDX-License-Identifier: Apache-2.0
"""Executions: runs of pipelines, and the steps inside them.

In: what the engine carried out or found done. Out: one transaction a step (`commit_step`): the step's own run, its
links and its place in the index of results, or nothing at all. A commit that is sent again finds the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.pipelines import StepCommitted
from mainstay.domain.pipelines import STATES, Input, Output, Pipeline, Published, Step
from mainstay.domain.tracking import Link, Run
from mainstay.lifecycle.data import lineage, snapshots
from mainstay.lifecycle.pipelines import results, tables
from mainstay.lifecycle.tracking import links, logs, runs
from mainstay.store import Change, Ingest, View

LONGEST_WHY = 200
MOST_LINKS = 10_000


def start(change: Change, *, name: str, kind: str = "run", code: dict[str, Any] | None = None, **record: Any) -> Run:
    """Begin a run as `tracking.runs.start` does; one of a pipeline also makes its definition known here."""
    run = runs.start(change, name=name, kind=kind, code=code, **record)
    if kind == "pipeline":
        tables.see(change, name, entry=str((code or {}).get("entry") or name), run_id=run.id, at=run.started_at)
    return run


def commit_step(
    change: Change,
    *,
    pipeline_run: str,
    name: str,
    key: str,
    key_parts: dict[str, Any],
    why: str,
    state: str,
    seconds: float,
    hit_of: str | None = None,
    upstream: Sequence[str] = (),
    inputs: Sequence[Input] = (),
    outputs: Sequence[Output] = (),
    error: str | None = None,
    cacheable: bool = False,
    renew: bool = False,
) -> Step:
    """Put one execution of a step on record.

    Where an equal step was published before, by another run or a moment ago, its outputs are the ones that count: the
    answer names them, and ``hit_of`` says whose they are; with ``renew``, because the earlier result has expired, the new
    ones count. The same call of the same run, sent again, is answered with
    its record.

    Raises:
        NotFound: no such run, snapshot or blob. Conflict: the run has ended. Corrupt: a blob was damaged.
        Invalid: no pipeline's run, or something that cannot be kept.
    """
    parent = _pipeline_run(change, pipeline_run)
    _check(name, key, key_parts, why, state, seconds, len(inputs) + len(outputs))
    if state != "failed" and (before := tables.committed(change, pipeline_run, name, key)):
        change.record(_event(before))
        return before
    inputs = _fixed(change, inputs)
    for output in outputs:
        results.check(change, output)
    ended = change.now()
    run = runs.insert(
        change,
        name=name,
        experiment=parent.experiment,
        kind="step",
        parent=pipeline_run,
        state=state,
        started_at=ended - timedelta(seconds=seconds),
        ended_at=ended,
        error=error,
    )
    if cacheable and state == "succeeded":
        first = results.publish(
            change, Published(key=key, run_id=run.id, outputs=tuple(outputs), at=ended), renew=renew
        )
        outputs, hit_of = first.outputs, hit_of if first.run_id == run.id else first.run_id
    step = Step(
        run_id=run.id,
        pipeline_run=pipeline_run,
        name=name,
        state=state,
        key=key,
        key_parts=key_parts,
        why=why,
        hit_of=hit_of,
        upstream=tuple(upstream),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        seconds=seconds,
        error=run.error,
        at=ended,
    )
    tables.put_step(change, parent.name, step)
    connect(change, run.id, inputs=inputs, outputs=step.outputs)
    change.record(_event(step))
    return step


def connect(ingest: Ingest, run: str, *, inputs: Sequence[Input] = (), outputs: Sequence[Output] = ()) -> None:
    """Keep what a run read and made, on its side and on that of the snapshots it read.

    Raises:
        NotFound: there is no such snapshot. Invalid: a kind of input that a run cannot have.
    """
    inputs = _fixed(ingest, inputs)
    read = [Link(way="in", kind=each.kind, ref=each.ref, name=each.name) for each in inputs]
    made = [Link(way="out", kind=_link_kind(each), ref=_ref(each), name=each.name) for each in outputs]
    for link in read:
        if link.kind == "snapshot":
            lineage.use(ingest, snapshot=link.ref, subject=f"run:{run}", role="input")
    links.add(ingest, run, read + made)


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


def last_steps(view: View, pipeline: str) -> dict[str, Step]:
    """The newest good execution of each step of a pipeline, by name: what a plan compares its key parts with.

    Raises:
        NotFound: no such pipeline was ever seen.
    """
    named(view, pipeline)
    found = (tables.last_good(view, pipeline, name) for name in tables.step_names(view, pipeline))
    return {step.name: step for step in found if step is not None}


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


def _check(name: str, key: str, parts: Mapping[str, Any], why: str, state: str, seconds: float, linked: int) -> None:
    if state not in STATES:
        raise Invalid(f"step {name!r} cannot be {state!r}; a committed step is {', '.join(STATES)}.")
    if not is_digest(key):
        raise Invalid(f"step {name!r} has key {key[:80]!r}; a digest is expected.")
    if len(why) > LONGEST_WHY:
        raise Invalid(f"step {name!r} says why in {len(why)} characters; at most {LONGEST_WHY} are kept.")
    if not 0 <= seconds < 1e9:
        raise Invalid(f"step {name!r} took {seconds} seconds; that cannot be.")
    if linked > MOST_LINKS:
        raise Invalid(f"step {name!r} has {linked} inputs and outputs; at most {MOST_LINKS} are kept.")
    runs.check_record(f"key of step {name!r}", parts)


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
