# SPDX-License-Identifier: Apache-2.0
"""Decisions: each time a trigger is asked, what it answered, by which facts, and what came of it.

In: a trigger and a moment of the stream. Out: *start*, *suggest* or *hold*, with one sentence why. The condition is
asked first, then what stands against acting on it: a fault in the data (mend the pipe, do not learn the fault),
something that is under way already, the cooldown. A hold is on record like the rest: "why did nothing happen?" has an
answer too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mainstay.domain import ids
from mainstay.domain.clock import parse_duration, to_wire
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.triggers import DecisionAccepted, DecisionEnded, DecisionMade
from mainstay.domain.monitoring import ALERT, Window
from mainstay.domain.pipelines import subject_of
from mainstay.domain.triggers import HOLD, START, SUGGEST, Decision, Trigger
from mainstay.lifecycle.governance import expressions
from mainstay.lifecycle.monitoring import alerts, monitors
from mainstay.lifecycle.monitoring.windows import END_OF_TIME
from mainstay.lifecycle.triggers import facts, rules, tables
from mainstay.store import Change, View, jobs

JOB = "run_pipeline"


class Answer(NamedTuple):
    """What a trigger says, and why."""

    outcome: str
    sentence: str


def ask(change: Change, *, trigger: str, as_of: datetime | None = None, window: str | None = None) -> Decision:
    """Ask a trigger, and do what it says: in mode auto a *start* enqueues the pipeline in the same transaction.

    Args:
        as_of: a moment of the stream; default: the end of the newest judged window. window: the key of the window
        whose judging raised the question; it is answered once, then the first answer comes
            again. None: somebody asks by hand.

    Raises:
        NotFound: no such trigger. Conflict: nothing was ever judged, so there is nothing to decide by.
    """
    rule = rules.get(change, trigger)
    tables.locked_trigger(change, trigger)
    if window is not None and (before := tables.decision_on(change, trigger, window)):
        return before
    moment = as_of or _newest(change, rule)
    found = facts.at(change, trigger=trigger, deployment=rule.deployment, as_of=moment)
    judged = facts.window_at(change, rule.deployment, moment)
    answer = _answer(change, rule, found, moment, by_hand=window is None)
    because = _because(change, rule, judged, answer.outcome)
    decision = _record(change, rule, moment, window, found, answer, because)
    return _start(change, rule, decision, judged) if decision.outcome == START else decision


def accept(change: Change, identity: str) -> Decision:
    """Say yes to a suggestion: its pipeline is enqueued.

    Raises:
        NotFound: no such decision. Conflict: it waits for nobody.
    """
    decision = _waiting(change, identity)
    rule = rules.get(change, decision.trigger)
    started = _start(change, rule, decision, facts.window_at(change, rule.deployment, decision.as_of))
    assert started.job is not None
    change.record(
        DecisionAccepted(decision=identity, trigger=decision.trigger, job=started.job), because=decision.event
    )
    return started


def decline(change: Change, identity: str) -> Decision:
    """Say no to a suggestion, with a reason.

    Raises:
        NotFound: no such decision. Conflict: it waits for nobody. Invalid: no reason.
    """
    decision = _waiting(change, identity)
    if not change.reason.strip():
        raise Invalid(f"to decline decision {identity} takes a reason; say why not.")
    return end(change, decision, result="declined", sentence=f"{change.actor} declined")


def end(change: Change, decision: Decision, *, result: str, sentence: str) -> Decision:
    """Write down what came of it."""
    values = {"result": result, "result_sentence": sentence, "ended_at": change.now()}
    tables.set_decision(change, decision.id, **values)
    change.record(
        DecisionEnded(
            decision=decision.id,
            trigger=decision.trigger,
            result=result,
            sentence=sentence,
            run_id=decision.run_id,
            version=decision.version,
            release=decision.release,
        ),
        because=decision.event,
    )
    return get(change, decision.id)


def get(view: View, identity: str) -> Decision:
    """One decision.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.decision(view, identity)
    if found is None:
        raise NotFound(f"there is no decision {identity!r}; `mainstay decisions list` shows those there are.")
    return found


def listed(
    view: View,
    *,
    trigger: str | None = None,
    deployment: str | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Decision]:
    """Decisions, newest first."""
    return tables.listed_decisions(view, trigger=trigger, deployment=deployment, before=before, limit=limit)


def on_windows(view: View, deployment: str, windows: list[str]) -> dict[str, Decision]:
    """The most telling decision about each window: one that did something before one that held."""
    found: dict[str, Decision] = {}
    for decision in tables.decisions_on(view, deployment, windows):
        assert decision.window is not None
        before = found.get(decision.window)
        if before is None or (before.outcome == HOLD and decision.outcome != HOLD):
            found[decision.window] = decision
    return found


def waiting(view: View) -> list[Decision]:
    """Suggestions that wait for somebody's yes or no, oldest first."""
    return [d for d in tables.decisions_pending(view) if d.outcome == SUGGEST and d.job is None]


def _answer(view: View, rule: Trigger, found: dict[str, Any], as_of: datetime, *, by_hand: bool) -> Answer:
    used = expressions.check(rule.condition)
    try:
        # A fact that is not known is not there at all: then no comparison can hold, also not one with "not equal".
        holds = expressions.holds(rule.condition, facts={k: v for k, v in found.items() if v is not None})
    except Invalid:
        return Answer(HOLD, _not_known(used, found))
    if not holds:
        return Answer(HOLD, f"the condition is false: {_told(used, found)}.")
    why = f"the condition holds: {_told(used, found)}"
    if against := _against(view, rule, found, as_of):
        return Answer(HOLD, f"{why}; but {against}.")
    if rule.mode == "suggest":
        return Answer(SUGGEST, f"{why}; it waits for somebody's yes.")
    return Answer(START, f"{why}; asked by hand." if by_hand else f"{why}.")


def _against(view: View, rule: Trigger, found: dict[str, Any], as_of: datetime) -> str | None:
    """What stands against acting now, though the condition holds."""
    if found["data_fault"]:
        return "the data have a fault, which a new model would only learn: mend the data first"
    if pending := tables.decisions_pending(view, rule.deployment):
        return f"{_progress(pending[0])} since {pending[0].as_of.date().isoformat()}"
    last = tables.last_start(view, rule.name, as_of)
    if last is None:
        return None
    passed, cooldown = as_of - last.as_of, parse_duration(rule.cooldown)
    if passed < cooldown:
        left = math.ceil((cooldown - passed) / timedelta(days=1))
        when = last.as_of.date().isoformat()
        return f"it last started something on {when}, and the cooldown of {rule.cooldown} lasts {left} more days"
    return None


def _progress(pending: Decision) -> str:
    if pending.release is not None:
        return f"release {pending.deployment}#{pending.release} of an earlier decision is on its way"
    if pending.job is not None:
        return "the run of an earlier decision is under way"
    return "an earlier suggestion waits for an answer"


def _not_known(used: frozenset[str], found: dict[str, Any]) -> str:
    missing = sorted(name for name in used if found.get(name) is None)
    if not missing:
        return f"the condition cannot be decided: {_told(used, found)}."
    labels = (
        f" ({found['labelled']} of {found['n']} predictions are labelled)"
        if set(missing) & facts.OF_LABELS and found["n"]
        else ""
    )
    known = _told(used - set(missing), found)
    return f"not known: {', '.join(missing)}{labels}" + (f"; {known}." if known else ".")


def _told(used: frozenset[str], found: dict[str, Any]) -> str:
    """The facts that a condition reads, with their values."""
    return ", ".join(f"{name} is {_value(found.get(name))}" for name in sorted(used))


def _value(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _newest(view: View, rule: Trigger) -> datetime:
    window = facts.window_at(view, rule.deployment, END_OF_TIME)
    if window is None:
        raise Conflict(f"no window of deployment {rule.deployment!r} was judged yet, so there is nothing to decide by.")
    return window.until


def _because(view: View, rule: Trigger, judged: Window | None, outcome: str) -> int | None:
    """The alert that asks for this most, if something is to be done; else the judging of the window."""
    if judged is None:
        return None
    monitor = monitors.of_deployment(view, rule.deployment)
    if outcome != HOLD and monitor is not None:
        firing = [a for a in alerts.open_of(view, monitor.name) if judged.id in a.windows]
        ranked = sorted(
            firing, key=lambda a: (a.severity != ALERT, a.key != "performance", a.key != "calibration", a.id)
        )
        if ranked:
            return ranked[0].event
    return judged.event


def _record(
    change: Change,
    rule: Trigger,
    as_of: datetime,
    window: str | None,
    found: dict[str, Any],
    answer: Answer,
    because: int | None,
) -> Decision:
    identity = ids.uuid7()
    event = DecisionMade(
        decision=identity,
        trigger=rule.name,
        deployment=rule.deployment,
        window=window,
        as_of=to_wire(as_of),
        outcome=answer.outcome,
        mode=rule.mode,
        sentence=answer.sentence,
        condition=rule.condition,
        facts=found,
    )
    entry = change.record(event, because=because)
    decision = Decision(
        id=identity,
        trigger=rule.name,
        deployment=rule.deployment,
        window=window,
        as_of=as_of,
        at=change.now(),
        outcome=answer.outcome,
        mode=rule.mode,
        sentence=answer.sentence,
        condition=rule.condition,
        facts=found,
        because=because,
        event=entry.seq,
        actor=change.actor,
        result="none" if answer.outcome == HOLD else "pending",
    )
    tables.put_decision(change, decision)
    return decision


def _start(change: Change, rule: Trigger, decision: Decision, judged: Window | None) -> Decision:
    body = rules.order(rule, decision, judged.id if judged else None)
    about = subject_of(str(body["entry"]))
    job = jobs.enqueue(change, kind=JOB, body=body, by=change.actor, because=decision.event, subject=about)
    tables.set_decision(change, decision.id, job=job.id)
    return replace(decision, job=job.id)


def _waiting(view: View, identity: str) -> Decision:
    decision = get(view, identity)
    if decision.outcome != SUGGEST or decision.job is not None or decision.result != "pending":
        raise Conflict(f"decision {identity} ({decision.outcome}, {decision.result}) waits for nobody's yes or no.")
    return decision
