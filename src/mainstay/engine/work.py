# SPDX-License-Identifier: Apache-2.0
"""One run on its way: nodes are given out when their inputs are there, results are taken in and put on record.

In: a traced pipeline, an executor, the way onto the record. Out: every node done once. A hit never gets to the executor; what
an earlier process of the same run has on record is taken as it is. What follows a short step begins at once, while the step's
record travels behind, in order; what follows a long one, or one that is not cached, begins when that is on record; whatever
reaches the outside world begins when all before it is. The graph may grow: a map gets its calls when its items are known, and a
pipeline that asks for a value is traced again with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mainstay.domain.errors import Invalid, MainstayError, Unavailable
from mainstay.engine import arguments, keys, recording, refs, verb_calls
from mainstay.engine.calls import step_calls
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.step_log import StepLog
from mainstay.engine.commits import Commits, Ticket
from mainstay.engine.definitions import Definition
from mainstay.engine.executors import Executor
from mainstay.engine.hits import Hit
from mainstay.engine.materialise import Artifact
from mainstay.engine.notices import Done, Notice, Notify, StepFailed
from mainstay.engine.outlook import Forecast, Missing, Outlook, upstream_of
from mainstay.engine.pulse import Pulse
from mainstay.engine.recording import Record
from mainstay.engine.refs import ExistingNode, MapNode, Node, RegisterNode, SnapshotNode, StepNode, refs_in
from mainstay.engine.schedule import Schedule

Finished = Mapping[tuple[str, str], Mapping[str, Any]]

# A step that took longer is worth waiting for its record: it is not lost by a crash, and if another run was first with it, what
# follows is built on the other's result.
_SHORT_S = 0.1
_MOST_BEHIND = 500  # records


@dataclass(kw_only=True, eq=False)
class Entry:
    """A record on its way. ``is_settled``: what follows does not wait for it."""

    ticket: Ticket
    forecast: Forecast
    record: Record
    sentence: str
    is_same: bool = False
    is_settled: bool = False


@dataclass(kw_only=True)
class Work:
    """``finished``: steps of this run that are on record from before, by name and key."""

    pipeline: Definition[..., Any]
    params: Mapping[str, Any]
    run_id: str
    outlook: Outlook
    executor: Executor
    commits: Commits
    pulse: Pulse
    notify: Notify
    finished: Finished = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    snapshots: dict[str, bool] = field(default_factory=dict)
    versions: dict[str, bool] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    running: dict[str, Forecast] = field(default_factory=dict)
    entries: deque[Entry] = field(default_factory=deque)
    waited_for: deque[Entry] = field(default_factory=deque)  # those of them that are not settled
    judged: dict[float, tuple[Any, Any]] = field(default_factory=dict)
    values: dict[tuple[str, tuple[str, ...]], Any] = field(default_factory=dict)
    in_flight: dict[str, float] = field(default_factory=dict)  # keys of steps that are not on record yet, by node


def go(work: Work) -> None:
    """Work through everything; returns when all of it is on record.

    Raises:
        StepFailed: a step raised. MainstayError: something was refused, or the control plane is away.
    """
    _schedule(work, work.outlook.trace.nodes)
    while True:
        while work.schedule or work.running or work.waited_for:
            _turn(work)
        _catch_up(work)
        if work.outlook.trace.wanted is None:
            return
        _trace_on(work)


def _catch_up(work: Work) -> None:
    """Until everything that is done is on record."""
    work.commits.flush()
    _take_answers(work)


def _turn(work: Work) -> None:
    """Take in what is answered, give out what is ready, and wait for whatever comes first."""
    if work.pulse.lost is not None:
        raise work.pulse.lost
    _take_answers(work)
    _give_out(work)
    awaited = work.waited_for[0].ticket if work.waited_for else None
    if not work.running:
        if awaited is not None:
            work.commits.wait(awaited)
        return
    came = False
    for call, outcome in work.executor.outcomes(wait=awaited is None):
        _take_outcome(work, work.running.pop(call.label), call, outcome)
        came = True
    work.pulse.under_way(list(work.running))
    if not came and awaited is not None:
        # The record answers within moments; what the executor is doing may take hours. So both are looked at in turn.
        work.commits.wait_a_moment(awaited)


# ── giving out ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _schedule(work: Work, nodes: Iterable[Node]) -> None:
    for node in nodes:
        if isinstance(node, ExistingNode):
            work.schedule.settle(node.number)
        else:
            given = refs_in(dict(work.outlook.arguments_of(node)))
            work.schedule.add(node, {ref.node.number for ref in given})


def _give_out(work: Work) -> None:
    while (node := work.schedule.peek()) is not None and _has_room(work, node):
        work.schedule.take()
        if isinstance(node, MapNode):
            _grow(work, node)
            continue
        forecast = _forecast(work, node)
        if forecast.parts is not None and (before := work.finished.get((node.label, forecast.parts.key))):
            _take_finished(work, forecast, before)
        elif forecast.hit is not None:
            _take_hit(work, forecast, forecast.hit)
        elif (twin := work.in_flight.get(forecast.parts.key if forecast.parts else "")) is not None:
            _wait_for_twin(work, node, twin)
        elif isinstance(node, StepNode):
            _submit(work, forecast, node)
        else:
            _carry_out_verb(work, forecast)


def _wait_for_twin(work: Work, node: Node, twin: float) -> None:
    """The same call was made before: its result will be a hit, as soon as it is on record."""
    if work.schedule.is_settled(twin):
        _catch_up(work)
    work.schedule.add(node, {twin})


def _stand_firm(work: Work) -> None:
    """Before anything that reaches the outside world: all that it may build upon is on record."""
    if len(work.entries) > len(work.waited_for):
        _catch_up(work)


def _has_room(work: Work, node: Node) -> bool:
    """A step that asks for more than there is gets all there is, alone."""
    taken = sum(each.node.step.options.cpus for each in work.running.values() if isinstance(each.node, StepNode))
    wanted = node.step.options.cpus if isinstance(node, StepNode) else 1
    return not work.running or taken + wanted <= work.executor.slots


def _forecast(work: Work, node: Node) -> Forecast:
    known = work.judged.pop(node.number, None)
    return work.outlook.forecast(node, known)


def _grow(work: Work, node: MapNode) -> None:
    """The calls of a map, once its items are known; the map itself is done when they are."""
    width = work.outlook.width_of(node)
    assert width is not None
    is_grown = node.number in work.outlook.trace.calls
    calls = work.outlook.trace.grow(node, width)
    if is_grown and all(call.number in work.outlook.outputs for call in calls):
        work.schedule.settle(node.number)
        return
    work.outlook.hits.ask(_ask_ahead(work, calls))
    _schedule(work, calls)
    work.schedule.add(node, {call.number for call in calls})
    work.pulse.intend(outline(work))


def _ask_ahead(work: Work, nodes: Iterable[Node]) -> list[str]:
    """The keys of nodes that may begin as soon as what they wait for is on record."""
    wanted = []
    for node in nodes:
        if isinstance(node, MapNode):
            continue
        try:
            judged = work.judged[node.number] = work.outlook.judge(node)
        except (Missing, MainstayError):
            continue  # it will be said when it is the node's turn
        if judged[1].is_cacheable and not work.outlook.hits.is_asked(judged[1].key):
            wanted.append(judged[1].key)
    return wanted


def _submit(work: Work, forecast: Forecast, node: StepNode) -> None:
    assert forecast.resolved is not None and forecast.parts is not None
    work.judged.clear()  # a step may change files that are part of keys
    if forecast.parts.is_cacheable:
        work.in_flight[forecast.parts.key] = node.number
    else:
        _stand_firm(work)
    closures = work.outlook.closures
    work.notify(Notice(what="start", label=node.label, text=forecast.sentence))
    work.running[node.label] = forecast
    work.pulse.under_way(list(work.running))
    work.executor.submit(
        StepCall(
            label=node.label,
            step=node.step,
            arguments=forecast.resolved.tree,
            seed=work.pipeline.seed,
            root=closures.root,
            known=closures.known_files(node.step, forecast.resolved.tree.values()),
        )
    )


def _carry_out_verb(work: Work, forecast: Forecast) -> None:
    _stand_firm(work)
    node, began = forecast.node, time.monotonic()
    work.notify(Notice(what="start", label=node.label, text=forecast.sentence))
    try:
        outputs, is_known, text = verb_calls.carry_out(
            work.outlook, forecast, pipeline=work.pipeline.name, run_id=work.run_id
        )
    except MainstayError as error:
        if not isinstance(error, Unavailable):
            _fail(work, forecast, error.message, time.monotonic() - began)
        raise
    record = Record(state="succeeded", why=forecast.why, outputs=outputs, seconds=time.monotonic() - began)
    work.outlook.settle(node, outputs)
    _note_names(work, node, is_known=is_known)
    _put(work, Entry(ticket=Ticket(body={}), forecast=forecast, record=record, sentence=text))


# ── taking in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _take_finished(work: Work, forecast: Forecast, before: Mapping[str, Any]) -> None:
    """A step that this very run has on record is done; there is nothing to add to the record."""
    outputs = step_calls.outputs_from(list(before["outputs"]))
    work.outlook.settle(forecast.node, outputs)
    _note_names(work, forecast.node, is_known=True)
    record = Record(state="cached", why="hit", outputs=outputs, seconds=0.0)
    _tell(work, forecast, record, "finished before", str(before["run_id"]), outputs)
    work.schedule.settle(forecast.node.number)


def _take_hit(work: Work, forecast: Forecast, hit: Hit) -> None:
    work.outlook.settle(forecast.node, hit.outputs)
    _note_names(work, forecast.node, is_known=True)
    record = Record(state="cached", why="hit", outputs=hit.outputs, seconds=0.0, hit_of=hit.run_id)
    entry = Entry(ticket=Ticket(body={}), forecast=forecast, record=record, sentence="hit", is_settled=True)
    _put(work, entry)
    work.schedule.settle(forecast.node.number)


def _take_outcome(work: Work, forecast: Forecast, call: StepCall, outcome: Outcome) -> None:
    if outcome.error is not None:
        _fail(work, forecast, outcome.error, outcome.seconds, outcome.log)
        message = f"step {call.label} failed: {outcome.error}"
        raise StepFailed(message, run_id=work.run_id, step=call.label) from outcome.cause
    assert forecast.parts is not None
    work.in_flight.pop(forecast.parts.key, None)
    forecast = _with_extras(work, forecast, call, outcome)
    _take_result(work, forecast, outcome)


def _take_result(work: Work, forecast: Forecast, outcome: Outcome) -> None:
    node = forecast.node
    assert forecast.parts is not None
    is_short = forecast.parts.is_cacheable and outcome.seconds < _SHORT_S
    if forecast.parts.is_cacheable:
        work.in_flight[forecast.parts.key] = node.number
    record = Record(
        state="succeeded", why=forecast.why, outputs=outcome.outputs, seconds=outcome.seconds, log=outcome.log
    )
    is_same, sentence = _again(work, forecast, outcome)
    entry = Entry(
        ticket=Ticket(body={}),
        forecast=forecast,
        record=record,
        sentence=sentence,
        is_same=is_same,
        is_settled=is_short,
    )
    work.outlook.hits.age(outcome.seconds)
    work.outlook.settle(node, outcome.outputs)  # so that the keys of what follows can be asked about at once
    if is_short:
        _put(work, entry)
        work.schedule.settle(node.number)
    else:
        _put(work, entry, lookup=_ask_ahead(work, work.schedule.freed_by(node.number)))


def _put(work: Work, entry: Entry, lookup: Iterable[str] = ()) -> None:
    body = recording.body_of(work.outlook, entry.forecast, entry.record, is_built_on=entry.is_settled)
    entry.ticket = work.commits.put(body, lookup=list(lookup))
    work.entries.append(entry)
    if not entry.is_settled:
        work.waited_for.append(entry)
    if len(work.entries) > _MOST_BEHIND:
        work.commits.wait(work.entries[0].ticket)
        _take_answers(work)


def _take_answers(work: Work) -> None:
    """Records that are answered, in their order: the outputs that count are those of whoever published a key first."""
    while work.entries and work.entries[0].ticket.done:
        entry = work.entries.popleft()
        answer, forecast = entry.ticket.answer, entry.forecast
        told = answer.get("outputs")
        outputs = step_calls.outputs_from(list(told)) if told else entry.record.outputs
        _tell(work, forecast, entry.record, entry.sentence, str(answer["run_id"]), outputs, entry.is_same)
        if entry.record.state == "succeeded" and isinstance(forecast.node, StepNode):
            _note_result(work, forecast, str(answer["run_id"]), outputs)
        if not entry.is_settled:
            work.waited_for.popleft()
            _settle(work, entry, outputs)


def _note_result(work: Work, forecast: Forecast, run_id: str, outputs: Mapping[str, Artifact]) -> None:
    """A result that is on record is a hit for the next call that is the same."""
    assert forecast.parts is not None
    work.in_flight.pop(forecast.parts.key, None)
    if forecast.parts.is_cacheable:
        work.outlook.hits.put(forecast.parts.key, Hit(run_id=run_id, outputs=dict(outputs)))


def _settle(work: Work, entry: Entry, outputs: Mapping[str, Artifact]) -> None:
    """What follows may begin, with the outputs that count."""
    if outputs != entry.record.outputs:
        work.judged.clear()
    if isinstance(entry.forecast.node, StepNode):
        work.outlook.settle(entry.forecast.node, outputs)
    work.schedule.settle(entry.forecast.node.number)


def _fail(work: Work, forecast: Forecast, error: str, seconds: float, log: StepLog | None = None) -> None:
    """Put a failure on record, after everything that succeeded before it."""
    record = Record(state="failed", why=forecast.why, outputs={}, seconds=seconds, error=error, log=log)
    entry = Entry(ticket=Ticket(body={}), forecast=forecast, record=record, sentence=error, is_settled=True)
    _put(work, entry)
    _catch_up(work)


def _again(work: Work, forecast: Forecast, outcome: Outcome) -> tuple[bool, str]:
    """An uncached step that gave the bytes it gave the last time says so; what follows it is a hit."""
    assert forecast.parts is not None
    before = work.outlook.history.before(forecast.node.label, forecast.parts.step)
    if forecast.parts.is_cacheable or before is None or before.get("state") != "succeeded":
        return False, forecast.sentence
    is_same = step_calls.outputs_from(list(before.get("outputs") or ())) == outcome.outputs
    return is_same, "read again, unchanged" if is_same else "read again, changed"


def _with_extras(work: Work, forecast: Forecast, call: StepCall, outcome: Outcome) -> Forecast:
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


def _tell(
    work: Work,
    forecast: Forecast,
    record: Record,
    sentence: str,
    run_id: str,
    outputs: Mapping[str, Artifact],
    is_same: bool = False,
) -> None:
    label = forecast.node.label
    work.done.append(
        Done(
            label=label,
            state=record.state,
            why=record.why,
            sentence=sentence,
            seconds=record.seconds,
            run_id=run_id,
            outputs=dict(outputs),
            is_same=is_same,
        )
    )
    what = {"cached": "hit", "failed": "failed"}.get(record.state, "done")
    work.notify(Notice(what=what, label=label, text=sentence, seconds=record.seconds))


def _note_names(work: Work, node: Node, *, is_known: bool) -> None:
    name = work.outlook.named.get(node.number)
    if name is not None:
        (work.snapshots if isinstance(node, SnapshotNode) else work.versions)[name] = is_known


# ── the graph ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _trace_on(work: Work) -> None:
    """Call the pipeline's function again, with the value that it asked for.

    Raises:
        Invalid: it did something else this time, so that what was carried out may not be what it means.
    """
    before = work.outlook.trace
    assert before.wanted is not None
    ref = before.wanted
    platform = work.outlook.platform
    tree = arguments.resolve({"value": refs.unfolded(ref, before.calls)}, work.outlook.result, platform).tree
    work.values[ref.node.label, ref.path] = arguments.load(tree["value"], platform)
    now = work.pipeline.trace(platform, work.params, work.values)
    labels = [[node.label for node in trace.nodes] for trace in (before, now)]
    if labels[1][: len(labels[0])] != labels[0]:
        raise Invalid(
            f"pipeline {work.pipeline.name} called other steps when it was called again with the value of {ref.label}; "
            "what it does may depend on its parameters and on results only."
        )
    now.calls = before.calls
    work.outlook.trace = now
    for node in now.nodes[len(before.nodes) :]:
        if isinstance(node, ExistingNode):
            work.outlook.settle_one(node)
    work.judged |= work.outlook.look_ahead()
    _schedule(work, now.nodes[len(before.nodes) :])
    work.pulse.intend(outline(work))


_KINDS = {SnapshotNode: "snapshot", RegisterNode: "register", MapNode: "map", ExistingNode: "existing"}


def outline(work: Work) -> list[dict[str, Any]]:
    """What the run means to do, as far as it is known, for whoever draws it."""
    outlook = work.outlook
    return [
        {
            "name": node.label,
            "kind": _KINDS.get(type(node), "step"),
            "upstream": upstream_of(outlook.arguments_of(node).values()),
        }
        for node in outlook.trace.in_order()
        if not isinstance(node, MapNode) or node.number not in outlook.trace.calls
    ]
