# SPDX-License-Identifier: Apache-2.0
"""Triggers and decisions, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.clock import from_wire
from mainstay.domain.triggers import Decision, Trigger
from mainstay.lifecycle.triggers import decisions, rules
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("triggers")


class TriggerIn(Body):
    name: str
    deployment: str
    when: str
    pipeline: str
    owner: str
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    mode: str = "suggest"
    cooldown: str = "7d"


class AskIn(Body):
    as_of: str | None = None


class TriggerOut(msgspec.Struct):
    name: str
    deployment: str
    when: str
    pipeline: str
    params: dict[str, Any]
    mode: str
    cooldown: str
    owner: str
    created_at: datetime
    created_by: str


class Triggers(msgspec.Struct):
    items: list[TriggerOut]


class DecisionOut(msgspec.Struct):
    id: str
    trigger: str
    deployment: str
    window: str | None
    at: datetime
    as_of: datetime
    outcome: str
    mode: str
    sentence: str
    condition: str
    facts: dict[str, Any]
    because: int | None
    event: int
    job: str | None
    run_id: str | None
    version: str | None
    release: str | None
    result: str
    result_sentence: str
    ended_at: datetime | None
    actor: str


class Decisions(msgspec.Struct):
    items: list[DecisionOut]
    next: str | None


@routes.post("/triggers", permission="write", status=201)
def declare(change: Change, body: TriggerIn) -> TriggerOut:
    """Say when a pipeline is to run for a deployment; ``when`` is a condition in CEL over the facts."""
    given = msgspec.structs.asdict(body)
    return _trigger(rules.declare(change, condition=given.pop("when"), **given))


@routes.get("/triggers", permission="read")
def list_triggers(view: View) -> Triggers:
    """Every trigger."""
    return Triggers(items=[_trigger(found) for found in rules.listed(view)])


@routes.get("/triggers/{name}", permission="read")
def show_trigger(view: View, name: str) -> TriggerOut:
    """One trigger."""
    return _trigger(rules.get(view, name))


@routes.post("/triggers/{name}/ask", permission="write", status=201)
def ask(change: Change, name: str, body: AskIn) -> DecisionOut:
    """Ask a trigger now, as of a moment of the stream (default: the end of the newest judged window)."""
    as_of = from_wire(body.as_of, what="as_of") if body.as_of else None
    return shaped(decisions.ask(change, trigger=name, as_of=as_of))


@routes.get("/decisions", permission="read")
def list_decisions(
    view: View, trigger: str | None = None, deployment: str | None = None, after: str | None = None, limit: int = 100
) -> Decisions:
    """Decisions, newest first; those to do nothing among them."""
    found = decisions.listed(view, trigger=trigger, deployment=deployment, before=after, limit=limit)
    return Decisions(items=[shaped(each) for each in found], next=found[-1].id if len(found) == limit else None)


@routes.get("/decisions/{decision_id}", permission="read")
def show_decision(view: View, decision_id: str) -> DecisionOut:
    """One decision: the facts it rested on, and what came of it."""
    return shaped(decisions.get(view, decision_id))


@routes.post("/decisions/{decision_id}/accept", permission="write")
def accept(change: Change, decision_id: str) -> DecisionOut:
    """Say yes to a suggestion: its pipeline runs."""
    return shaped(decisions.accept(change, decision_id))


@routes.post("/decisions/{decision_id}/decline", permission="write")
def decline(change: Change, decision_id: str) -> DecisionOut:
    """Say no to a suggestion, with a reason."""
    return shaped(decisions.decline(change, decision_id))


def shaped(found: Decision) -> DecisionOut:
    """A decision whole."""
    return DecisionOut(
        id=found.id,
        trigger=found.trigger,
        deployment=found.deployment,
        window=found.window,
        at=found.at,
        as_of=found.as_of,
        outcome=found.outcome,
        mode=found.mode,
        sentence=found.sentence,
        condition=found.condition,
        facts=found.facts,
        because=found.because,
        event=found.event,
        job=found.job,
        run_id=found.run_id,
        version=found.version,
        release=f"{found.deployment}#{found.release}" if found.release else None,
        result=found.result,
        result_sentence=found.result_sentence,
        ended_at=found.ended_at,
        actor=found.actor,
    )


def _trigger(found: Trigger) -> TriggerOut:
    return TriggerOut(
        name=found.name,
        deployment=found.deployment,
        when=found.condition,
        pipeline=found.pipeline,
        params=found.params,
        mode=found.mode,
        cooldown=found.cooldown,
        owner=found.owner,
        created_at=found.created_at,
        created_by=found.created_by,
    )
