# SPDX-License-Identifier: Apache-2.0
"""Carrying out a pipeline, recorded: run, steps, results, and the reason of each.

In: a pipeline, its parameters, a platform; or a run that stands still. Out: an ``Execution``. Order of every step: its bytes
first, then one commit that makes it and its result known at once; so a crash leaves a finished step or nothing. A failed
step ends the run, and its one sentence is the run's. Results of a step that is a hit are never read unless a step that runs
needs them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Conflict, Invalid, MainstayError
from mainstay.engine import history, recording, steps, work
from mainstay.engine.calls import step_calls, surroundings
from mainstay.engine.code import roots, sources
from mainstay.engine.commits import Commits
from mainstay.engine.definitions import Definition
from mainstay.engine.executors import Executor
from mainstay.engine.executors.inline import Inline
from mainstay.engine.history import History
from mainstay.engine.hits import Hits
from mainstay.engine.keys import Closures
from mainstay.engine.materialise import json
from mainstay.engine.nearby import Nearby
from mainstay.engine.notices import Done, Notice, Notify, StepFailed
from mainstay.engine.outlook import Outlook
from mainstay.engine.platform import Platform
from mainstay.engine.pulse import Pulse
from mainstay.engine.refs import MapNode, StepNode
from mainstay.engine.work import Finished, Work

__all__ = ["Done", "Execution", "Notice", "Notify", "StepFailed", "closures_of", "counted", "execute", "resume"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A carried-out pipeline. ``snapshots`` and ``versions`` by id, with whether they were there before."""

    run_id: str
    pipeline: str
    steps: tuple[Done, ...]
    snapshots: Mapping[str, bool]
    versions: Mapping[str, bool]
    warnings: tuple[str, ...]
    seconds: float

    def summary(self) -> str:
        """Such as ``5 steps: 5 hits``, and what was made or was there already."""
        hits = sum(step.state == "cached" for step in self.steps)
        same = sum(step.is_same for step in self.steps)
        ran = len(self.steps) - hits - same
        parts = [(hits, "hit" if hits == 1 else "hits"), (ran, "ran"), (same, "read again, unchanged")]
        listed = ", ".join(f"{count} {word}" for count, word in parts if count)
        told = f"{counted(len(self.steps), 'step')}: {listed or 'nothing to do'}"
        known = [name for name, was_known in self.versions.items() if was_known]
        made = [name for name, was_known in self.versions.items() if not was_known]
        return "; ".join(
            [told, *(f"registered {name}" for name in made), *(f"{name} is this model already" for name in known)]
        )


def execute(
    pipeline: Definition[..., Any],
    platform: Platform,
    *,
    params: Mapping[str, Any] | None = None,
    because: int | None = None,
    reason: str | None = None,
    tags: Mapping[str, str] | None = None,
    notify: Notify | None = None,
    executor: Executor | None = None,
) -> Execution:
    """Carry ``pipeline`` out and record it.

    Args:
        because: sequence number of the event that caused it. reason: why, in words.
        tags: of the run, such as the time that it is about. notify: called as things happen.
        executor: where steps run; here, one after the other, if not given.

    Raises:
        StepFailed: a step raised. Invalid: the parameters, the trace or a step's result do not fit. In both cases the
        run is recorded as failed with the same sentence. Unavailable: the control plane is away.
    """
    bound = pipeline.bind(params or {})
    closures = closures_of(pipeline)
    worker, chosen = recording.worker_name(), executor or Inline()
    run_id = recording.begin(
        pipeline,
        platform,
        bound,
        closures,
        worker=worker,
        executor=chosen.name,
        because=because,
        reason=reason,
        tags=tags,
    )
    order = _Order(pipeline=pipeline, bound=bound, closures=closures, run_id=run_id, worker=worker)
    return _carried_out(order, platform, chosen, notify or _silent)


def resume(
    pipeline: Definition[..., Any],
    platform: Platform,
    run_id: str,
    *,
    params: Mapping[str, Any] | None = None,
    allow_edited: bool = False,
    notify: Notify | None = None,
    executor: Executor | None = None,
) -> Execution:
    """Carry on the run ``run_id`` of ``pipeline``, that failed, was killed or lost its process; it stays the same run.

    Args:
        params: in place of those it was asked with, which must then be the same. allow_edited: go on although the code is not
        what it was; steps whose code has changed run again.

    Raises:
        Conflict: somebody carries it out, it has succeeded, or the code is not what it was. As `execute` for the rest.
    """
    run, lease = platform.get(f"/runs/{run_id}"), platform.get(f"/runs/{run_id}/lease")
    bound = pipeline.bind(params if params is not None else asked_with(lease))
    closures = closures_of(pipeline)
    if not allow_edited:
        _check_sources(pipeline, platform, run, closures)
    worker, chosen = recording.worker_name(), executor or Inline()
    finished = recording.go_on(platform, run_id, worker=worker, executor=chosen.name)
    order = _Order(pipeline=pipeline, bound=bound, closures=closures, run_id=run_id, worker=worker, finished=finished)
    return _carried_out(order, platform, chosen, notify or _silent)


def asked_with(lease: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a run was asked with.

    Raises:
        Invalid: one of them was no plain value.
    """
    if lease["params"] is None:
        raise Invalid(
            f"run {lease['run_id']} was given a parameter that is no plain value; resume it from Python, with its parameters."
        )
    return {name: json.loads(text.encode()) for name, text in lease["params"].items()}


def closures_of(pipeline: Definition[..., Any]) -> Closures:
    """Closures within the project that the pipeline's file belongs to."""
    root = roots.root_of(pipeline.file) if pipeline.file else Path.cwd()
    return Closures(root=root, entry=pipeline.file)


def counted(count: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


# ── the run ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What is to be carried out, as which run."""

    pipeline: Definition[..., Any]
    bound: Mapping[str, Any]
    closures: Closures
    run_id: str
    worker: str
    finished: Finished | None = None


def _carried_out(order: _Order, platform: Platform, executor: Executor, tell: Notify) -> Execution:
    began, run_id, name = time.monotonic(), order.run_id, order.pipeline.name
    tell(Notice(what="run", label=name, text=f"run {run_id}", run_id=run_id))
    try:
        with _prepared(order, platform, executor, tell) as going:
            work.go(going)
            order.pipeline.conclude(platform, run_id, going.outlook)
    # Whatever ends the run, Ctrl-C included, is recorded before it goes on its way.
    except BaseException as error:
        recording.finish(platform, run_id, "failed", _last_words(error))
        tell(Notice(what="failed", label=name, text=_last_words(error)))
        if isinstance(error, MainstayError):
            error.facts.setdefault("run_id", run_id)
        raise
    recording.finish(platform, run_id, "succeeded")
    execution = Execution(
        run_id=run_id,
        pipeline=name,
        steps=tuple(going.done),
        snapshots=going.snapshots,
        versions=going.versions,
        warnings=tuple(going.warnings),
        seconds=time.monotonic() - began,
    )
    tell(Notice(what="end", label=name, text=execution.summary(), seconds=execution.seconds))
    return execution


@contextlib.contextmanager
def _prepared(order: _Order, platform: Platform, executor: Executor, notify: Notify) -> Iterator[Work]:
    """Everything that a run needs, and its end whatever happens: no child, no thread, no record is left on its way."""
    with contextlib.ExitStack() as stack:
        pulse = Pulse(platform, order.run_id, order.worker)
        stack.callback(pulse.stop)
        nearby = Nearby(platform)
        stack.callback(nearby.close)
        outlook = _outlook(order, nearby)
        commits = Commits(nearby, outlook.hits, run_id=order.run_id, worker=order.worker)
        stack.callback(commits.close)
        stack.callback(executor.stop)
        executor.start(nearby, surroundings.of(_steps_of(outlook), code=order.closures.of_entry().digest), pulse.say)
        going = Work(
            pipeline=order.pipeline,
            params=order.bound,
            run_id=order.run_id,
            outlook=outlook,
            executor=executor,
            commits=commits,
            pulse=pulse,
            notify=notify,
            finished=order.finished or {},
        )
        going.judged |= outlook.look_ahead()
        pulse.intend(work.outline(going))
        for text in outlook.remarks():
            going.warnings.append(text)
            notify(Notice(what="warning", label=order.pipeline.name, text=text))
        yield going


def _outlook(order: _Order, nearby: Nearby) -> Outlook:
    outlook = Outlook(
        platform=nearby,
        trace=order.pipeline.trace(nearby, order.bound),
        closures=order.closures,
        history=_with_own_extras(history.of(nearby, order.pipeline.name, besides=order.run_id), order.finished or {}),
        hits=Hits(platform=nearby.platform),  # a question speaks of no bytes: those on their way need not go first
        seed=order.pipeline.seed,
    )
    outlook.settle_existing()
    return outlook


def _with_own_extras(found: History, finished: Finished) -> History:
    """What the run itself saw its steps use beyond their imports: their keys on record say so."""
    return replace(found, extras_by_step=history.extras_of(finished.values(), besides=found.extras_by_step))


def _steps_of(outlook: Outlook) -> list[steps.Step[..., Any]]:
    return [node.step for node in outlook.trace.nodes if isinstance(node, (StepNode, MapNode))]


def _check_sources(
    pipeline: Definition[..., Any], platform: Platform, run: Mapping[str, Any], closures: Closures
) -> None:
    code = run.get("code") or {}
    now = sources.record(pipeline.entry, root=closures.root, closure=closures.of_entry(), blobs=platform)
    if now["sources_digest"] != code.get("sources_digest"):
        raise Conflict(
            f"the code of run {run['id']} is not what it was; put it back, or say --edited: then finished steps whose code "
            "has changed run again, within the same run.",
            run_id=run["id"],
        )


def _last_words(error: BaseException) -> str:
    return "interrupted" if isinstance(error, (KeyboardInterrupt, SystemExit)) else step_calls.sentence(error)


def _silent(notice: Notice) -> None:
    """Nobody watches."""
