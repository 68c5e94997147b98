# SPDX-License-Identifier: Apache-2.0
"""Carrying out a pipeline, recorded: run, steps, results, and the reason of each.

In: a pipeline, its parameters, a platform. Out: an ``Execution``. Order of every step: its bytes first, then one
commit that makes it and its result known at once; so a crash leaves a finished step or nothing. A failed step ends
the run, and its one sentence is the run's. Results of a step that is a hit are never read unless a step that runs
needs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid, MainstayError, Unavailable
from mainstay.engine import (
    arguments,
    history,
    keys,
    recording,
    registration,
    roots,
    snapshots,
    step_calls,
    view_versions,
)
from mainstay.engine.arguments import WHOLE
from mainstay.engine.definitions import Definition
from mainstay.engine.executors import Executor
from mainstay.engine.executors.inline import Inline
from mainstay.engine.hits import Hit, Hits
from mainstay.engine.keys import Closures
from mainstay.engine.materialise import Artifact
from mainstay.engine.outlook import SNAPSHOT, VERSION, Forecast, Outlook
from mainstay.engine.platform import Platform
from mainstay.engine.recording import Record
from mainstay.engine.refs import ExistingNode, Node, Ref, RegisterNode, SnapshotNode, StepNode, refs_in
from mainstay.engine.step_calls import Outcome, StepCall
from mainstay.engine.step_log import StepLog


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something happened, for whoever shows progress. ``what``: run, start, hit, done, failed, warning, end."""

    what: str
    label: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Done:
    """One step or verb of a finished execution.

    ``state``: succeeded, cached or failed. ``is_same``: an uncached step that gave the bytes of the last time.
    """

    label: str
    state: str
    why: str
    sentence: str
    seconds: float
    run_id: str
    outputs: Mapping[str, Artifact]
    is_same: bool = False


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


class StepFailed(Invalid):
    """A step raised, and the run is recorded as failed. ``facts`` hold ``run_id`` and ``step``."""


Notify = Callable[[Notice], None]


@dataclass(kw_only=True)
class _Work:
    """An execution on its way."""

    pipeline: Definition[..., Any]
    platform: Platform
    run_id: str
    outlook: Outlook
    executor: Executor
    notify: Notify
    done: list[Done] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    snapshots: dict[str, bool] = field(default_factory=dict)
    versions: dict[str, bool] = field(default_factory=dict)


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

    Raises:
        StepFailed: a step raised. Invalid: the parameters, the trace or a step's result do not fit. In both cases the
        run is recorded as failed with the same sentence. Unavailable: the control plane is away.
    """
    began = time.monotonic()
    bound = pipeline.bind(params or {})
    closures = closures_of(pipeline)
    run_id = recording.begin(pipeline, platform, bound, closures, because=because, reason=reason, tags=tags)
    tell = notify or (lambda notice: None)
    tell(Notice(what="run", label=pipeline.name, text=f"run {run_id}"))
    chosen = executor or Inline()
    try:
        work = _prepared(pipeline, platform, bound, closures, run_id, chosen, tell)
        _go(work)
        pipeline.conclude(platform, run_id, work.outlook)
    # Whatever ends the run, Ctrl-C included, is recorded before it goes on its way.
    except BaseException as error:
        recording.finish(platform, run_id, "failed", _last_words(error))
        tell(Notice(what="failed", label=pipeline.name, text=_last_words(error)))
        raise
    finally:
        chosen.stop()
    recording.finish(platform, run_id, "succeeded")
    execution = Execution(
        run_id=run_id,
        pipeline=pipeline.name,
        steps=tuple(work.done),
        snapshots=work.snapshots,
        versions=work.versions,
        warnings=tuple(work.warnings),
        seconds=time.monotonic() - began,
    )
    tell(Notice(what="end", label=pipeline.name, text=execution.summary(), seconds=execution.seconds))
    return execution


def closures_of(pipeline: Definition[..., Any]) -> Closures:
    """Closures within the project that the pipeline's file belongs to."""
    root = roots.root_of(pipeline.file) if pipeline.file else Path.cwd()
    return Closures(root=root, entry=pipeline.file)


def counted(count: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


# ── the run ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prepared(
    pipeline: Definition[..., Any],
    platform: Platform,
    bound: Mapping[str, Any],
    closures: Closures,
    run_id: str,
    executor: Executor,
    notify: Notify,
) -> _Work:
    outlook = Outlook(
        platform=platform,
        trace=pipeline.trace(platform, bound),
        closures=closures,
        history=history.of(platform, pipeline.name, besides=run_id),
        hits=Hits(platform=platform),
        seed=pipeline.seed,
    )
    outlook.settle_existing()
    outlook.foresee()  # for its one query: what it believes is not used
    executor.start(platform)
    return _Work(pipeline=pipeline, platform=platform, run_id=run_id, outlook=outlook, executor=executor, notify=notify)


def _last_words(error: BaseException) -> str:
    return "interrupted" if isinstance(error, (KeyboardInterrupt, SystemExit)) else step_calls.sentence(error)


# ── the nodes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _go(work: _Work) -> None:
    """Work through the nodes: what is ready goes to the executor, up to its slots; what is a hit never gets there."""
    waiting = [node for node in work.outlook.trace.nodes if not isinstance(node, ExistingNode)]
    running: dict[str, Forecast] = {}
    while waiting or running:
        for node in _ready(work, waiting, running):
            waiting.remove(node)
            forecast = work.outlook.forecast(node)
            if forecast.hit is not None:
                _take_hit(work, forecast, forecast.hit)
            elif isinstance(node, StepNode):
                _submit(work, forecast, node)
                running[node.label] = forecast
            else:
                _carry_out_verb(work, forecast)
        for call, outcome in work.executor.outcomes() if running else ():
            _take_outcome(work, running.pop(call.label), call, outcome)


def _ready(work: _Work, waiting: list[Node], running: Mapping[str, Forecast]) -> list[Node]:
    """The first node whose inputs are there; only one, as each may settle the next."""
    if len(running) >= work.executor.slots:
        return []
    known = work.outlook.outputs
    free = (
        node
        for node in waiting
        if all(ref.node.number in known for ref in refs_in(dict(work.outlook.arguments_of(node))))
    )
    first = next(free, None)
    return [first] if first is not None else []


def _take_hit(work: _Work, forecast: Forecast, hit: Hit) -> None:
    work.outlook.settle(forecast.node, hit.outputs)
    _note_names(work, forecast.node, is_known=True)
    record = Record(state="cached", why="hit", outputs=hit.outputs, seconds=0.0, hit_of=hit.run_id)
    _put(work, forecast, record, sentence="hit")


def _submit(work: _Work, forecast: Forecast, node: StepNode) -> None:
    assert forecast.resolved is not None
    closures = work.outlook.closures
    known = {*closures.of(node.step).files, *closures.of_entry().files}
    work.notify(Notice(what="start", label=node.label, text=forecast.sentence))
    work.executor.submit(
        StepCall(
            label=node.label,
            step=node.step,
            arguments=forecast.resolved.tree,
            seed=work.pipeline.seed,
            root=closures.root,
            known=frozenset(known),
        )
    )


def _take_outcome(work: _Work, forecast: Forecast, call: StepCall, outcome: Outcome) -> None:
    if outcome.error is not None:
        _fail(work, forecast, outcome.error, outcome.seconds, outcome.log)
        message = f"step {call.label} failed: {outcome.error}"
        raise StepFailed(message, run_id=work.run_id, step=call.label) from outcome.cause
    forecast = _with_extras(work, forecast, call, outcome)
    assert forecast.parts is not None
    record = Record(state="succeeded", why=forecast.why, outputs=outcome.outputs, seconds=outcome.seconds)
    is_same, sentence = _again(work, forecast, outcome)
    run_id, outputs = _put(work, forecast, record, sentence=sentence, is_same=is_same, log=outcome.log)
    if forecast.parts.is_cacheable:
        work.outlook.hits.put(forecast.parts.key, Hit(run_id=run_id, outputs=dict(outputs)))
    work.outlook.settle(forecast.node, outputs)


def _fail(work: _Work, forecast: Forecast, error: str, seconds: float, log: StepLog | None = None) -> None:
    record = Record(state="failed", why=forecast.why, outputs={}, seconds=seconds, error=error)
    _put(work, forecast, record, sentence=error, log=log)


def _again(work: _Work, forecast: Forecast, outcome: Outcome) -> tuple[bool, str]:
    """An uncached step that gave the bytes it gave the last time says so; what follows it is a hit."""
    assert forecast.parts is not None
    before = work.outlook.history.before(forecast.node.label, forecast.parts.step)
    if forecast.parts.is_cacheable or before is None or before.get("state") != "succeeded":
        return False, forecast.sentence
    is_same = step_calls.outputs_from(list(before.get("outputs") or ())) == outcome.outputs
    return is_same, "read again, unchanged" if is_same else "read again, changed"


def _with_extras(work: _Work, forecast: Forecast, call: StepCall, outcome: Outcome) -> Forecast:
    """The key as it should have been: with the files that only running the step has shown."""
    assert forecast.parts is not None and forecast.resolved is not None
    new = [name for name in outcome.extras if name not in forecast.parts.extras]
    if not new:
        return forecast
    text = f"step {call.step.name} used {', '.join(new)} beyond its imports; counted in its key from now on"
    work.warnings.append(text)
    work.notify(Notice(what="warning", label=call.label, text=text))
    extras = [*forecast.parts.extras, *new]
    parts = keys.for_call(call.step, forecast.resolved, work.outlook.closures, seed=work.pipeline.seed, extras=extras)
    return replace(forecast, parts=parts)


def _carry_out_verb(work: _Work, forecast: Forecast) -> None:
    node, began = forecast.node, time.monotonic()
    work.notify(Notice(what="start", label=node.label, text=forecast.sentence))
    try:
        outputs, is_known, text = _snapshot(work, node) if isinstance(node, SnapshotNode) else _register(work, forecast)
    except MainstayError as error:
        if not isinstance(error, Unavailable):
            _fail(work, forecast, error.message, time.monotonic() - began)
        raise
    record = Record(state="succeeded", why=forecast.why, outputs=outputs, seconds=time.monotonic() - began)
    work.outlook.settle(node, outputs)
    _note_names(work, node, is_known=is_known)
    _put(work, forecast, record, sentence=text)


def _snapshot(work: _Work, node: SnapshotNode) -> tuple[dict[str, Artifact], bool, str]:
    value = (
        arguments.pick(node.value, work.outlook.outputs[node.value.node.number], work.platform)
        if isinstance(node.value, Ref)
        else node.value
    )
    taken = snapshots.take(
        work.platform,
        node.dataset,
        snapshots.batch_of(value, work.platform),
        source=node.source or f"pipeline {work.pipeline.name}",
        period=node.period,
        run_id=work.run_id,
        parents=work.outlook.snapshots_behind(node.value),
    )
    named = Artifact(kind=SNAPSHOT, digest=taken.digest, size=taken.artifact.size, rows=taken.artifact.rows)
    text = f"{taken.id} is this content already" if taken.is_known else f"took {taken.id}"
    return {taken.id: named, WHOLE: taken.artifact}, taken.is_known, text


def _register(work: _Work, forecast: Forecast) -> tuple[dict[str, Artifact], bool, str]:
    node, resolved = forecast.node, forecast.resolved
    assert isinstance(node, RegisterNode) and resolved is not None
    model = resolved.inputs.get("model")
    if model is None or model.kind != "model":
        found = model.kind if model is not None else "plain value"
        raise Invalid(f"register({node.model!r}) was given a {found}; a fitted model is expected.")
    asked = registration.Registration(
        model=node.model,
        artifact=model,
        metrics=registration.metrics_of(arguments.load(resolved.tree["metrics"], work.platform)),
        snapshots=work.outlook.roles(node),
        run_id=work.run_id,
        holdout=resolved.inputs.get("holdout"),
        training=_training_table(work, node),
        target=node.target,
        features=node.features,
        nullable=node.nullable,
        description=node.description,
        views_behind=lambda inputs: view_versions.behind(work.platform, work.outlook, node.value, inputs),
        declared=roots.section(work.outlook.closures.root, "model", node.model),
    )
    version = registration.carry_out(work.platform, asked)
    text = f"{version.id} is this model already" if version.is_known else f"registered {version.id}"
    return {version.id: Artifact(kind=VERSION, digest=version.digest, size=0)}, version.is_known, text


def _training_table(work: _Work, node: RegisterNode) -> Artifact | None:
    """The first table that the step which made the model was given."""
    maker = node.value.node if isinstance(node.value, Ref) else None
    if not isinstance(maker, StepNode):
        return None
    resolved = work.outlook.resolve(maker)
    return next((each for each in resolved.inputs.values() if each.kind in ("arrow", "pandas", "polars")), None)


# ── on record ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _put(
    work: _Work, forecast: Forecast, record: Record, *, sentence: str, is_same: bool = False, log: StepLog | None = None
) -> tuple[str, Mapping[str, Artifact]]:
    """Record a step with the control plane first, then here and for whoever watches."""
    run_id, outputs = recording.commit(work.platform, work.run_id, work.outlook, forecast, record)
    if log is not None:
        recording.send_log(work.platform, run_id, log)
    label = forecast.node.label
    done = Done(
        label=label,
        state=record.state,
        why=record.why,
        sentence=sentence,
        seconds=record.seconds,
        run_id=run_id,
        outputs=dict(outputs),
        is_same=is_same,
    )
    work.done.append(done)
    what = {"cached": "hit", "failed": "failed"}.get(record.state, "done")
    work.notify(Notice(what=what, label=label, text=sentence, seconds=record.seconds))
    return run_id, outputs


def _note_names(work: _Work, node: Node, *, is_known: bool) -> None:
    name = work.outlook.named.get(node.number)
    if name is not None:
        (work.snapshots if isinstance(node, SnapshotNode) else work.versions)[name] = is_known
