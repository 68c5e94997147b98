# SPDX-License-Identifier: Apache-2.0
"""Releases and rollouts, over HTTP. Subjects: ``/releases/DEPLOYMENT/NUMBER``, ``/rollouts/ID``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.errors import Conflict
from mainstay.domain.governance import Approval
from mainstay.domain.release import WHOLE, GateResult, Release, Rollout
from mainstay.lifecycle.governance import approvals
from mainstay.lifecycle.release import releases, rollouts
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import traffic
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("release")


class RolloutOut(msgspec.Struct):
    id: str
    deployment: str
    release: str
    champion: str | None
    kind: str
    state: str
    steps: list[int]
    step: int
    share: float
    min_predictions: int
    guards: list[str]
    started_at: datetime
    step_started_at: datetime
    ended_at: datetime | None
    evidence: list[dict[str, Any]]
    reason: str


class ApprovalOut(msgspec.Struct):
    actor: str
    decision: str
    reason: str
    at: datetime
    digest: str
    valid: bool


class ReleaseBrief(msgspec.Struct):
    id: str
    deployment: str
    number: int
    state: str
    model: str
    version: int
    requested_by: str
    requested_at: datetime
    reason: str
    gates_passed: int
    gates_asked: int
    approved_by: list[str]


class ReleaseOut(ReleaseBrief):
    manifest: dict[str, Any]
    digest: str
    because: int | None
    authors: list[str]
    error: str | None  # why it failed, if it did
    gates: list[GateResult]
    evidence_blob: str | None
    judged_at: datetime | None
    approvals: list[ApprovalOut]
    rollout: RolloutOut | None
    rollouts: list[RolloutOut]


class Releases(msgspec.Struct):
    items: list[ReleaseBrief]


class ApprovalIn(Body):
    decision: str
    digest: str


class Preview(msgspec.Struct):
    deployment: str
    release: dict[str, str]
    model: dict[str, str]
    snapshots: dict[str, list[str]]
    features: dict[str, list[str]]
    config: dict[str, Any]
    policy: dict[str, Any]
    affects: list[str]


@routes.get("/releases", permission="read")
def list_releases(view: View, deployment: str | None = None, limit: int = 100) -> Releases:
    """Releases, newest first."""
    return Releases(items=[brief(view, release) for release in release_tables.releases_of(view, deployment, limit)])


@routes.get("/releases/{deployment}/{number:int}", permission="read")
def show_release(view: View, deployment: str, number: int) -> ReleaseOut:
    """One release: what it fixes, what the gates said, who agreed, how it took over."""
    return shaped(view, releases.get(view, deployment=deployment, number=number))


@routes.post("/releases/{deployment}/{number:int}/approvals", permission="approve", status=201)
def decide(change: Change, deployment: str, number: int, body: ApprovalIn) -> ReleaseOut:
    """Say yes or no to a release that waits. ``digest`` is the release's digest as you saw it."""
    found = releases.decide(change, deployment=deployment, number=number, decision=body.decision, digest=body.digest)
    return shaped(change, found)


@routes.get("/rollouts/{rollout_id}", permission="read")
def show_rollout(view: View, rollout_id: str) -> RolloutOut:
    """One rollout, with what the judge has seen so far."""
    return shaped_rollout(rollouts.get(view, rollout_id))


@routes.post("/rollouts/{rollout_id}/pause", permission="approve")
def pause(change: Change, rollout_id: str) -> RolloutOut:
    """Keep the present share until somebody resumes."""
    return shaped_rollout(rollouts.pause(change, identity=rollout_id))


@routes.post("/rollouts/{rollout_id}/resume", permission="approve")
def resume(change: Change, rollout_id: str) -> RolloutOut:
    """Go on from the present share."""
    return shaped_rollout(rollouts.resume(change, identity=rollout_id))


@routes.post("/rollouts/{rollout_id}/abort", permission="approve")
def abort(change: Change, rollout_id: str) -> RolloutOut:
    """Give all traffic back to the champion."""
    return shaped_rollout(rollouts.abort(change, rollout=rollouts.get(change, rollout_id)))


@routes.post("/rollouts/{rollout_id}/advance", permission="approve")
def advance(change: Change, rollout_id: str) -> RolloutOut:
    """Ask the judge now; it refuses while it has not seen enough."""
    rollout = rollouts.get(change, rollout_id)
    if rollout.state != "running" or not rollout.marks:
        raise Conflict(
            f"rollout of {rollout.deployment}#{rollout.release} is {rollout.state}; only a running one advances."
        )
    return shaped_rollout(traffic.advance(change, rollout))


@routes.get("/deployments/{name}/rollback", permission="read")
def preview_rollback(view: View, name: str, to: int | None = None) -> Preview:
    """What a rollback would change."""
    return msgspec.convert(rollouts.preview_rollback(view, deployment=name, to=to), Preview)


class RollbackIn(Body):
    to: int | None = None


@routes.post("/deployments/{name}/rollback", permission="approve", status=201)
def rollback(change: Change, name: str, body: RollbackIn) -> RolloutOut:
    """Go back to a release that was live before, at once. It needs a reason and no approval: it was approved."""
    return shaped_rollout(rollouts.rollback(change, deployment=name, to=body.to))


def brief(view: View, release: Release) -> ReleaseBrief:
    """A release in a list."""
    given = approvals.given_to(view, release.subject)
    return ReleaseBrief(
        id=release.id,
        deployment=release.deployment,
        number=release.number,
        state=release.state,
        model=release.model,
        version=release.version,
        requested_by=release.requested_by,
        requested_at=release.requested_at,
        reason=release.reason,
        gates_passed=sum(gate.verdict == "pass" for gate in release.gates),
        gates_asked=len(release.gates),
        approved_by=[one.actor for one in given if one.decision == "approve" and one.digest == release.digest],
    )


def shaped(view: View, release: Release) -> ReleaseOut:
    """A release whole."""
    valid = {approval.id for approval in releases.valid_approvals(view, release)}
    given = [_approval(a, a.id in valid) for a in approvals.given_to(view, release.subject)]
    ways = [shaped_rollout(r) for r in release_tables.rollouts_of(view, release.deployment, release.number)]
    return ReleaseOut(
        **msgspec.structs.asdict(brief(view, release)),
        manifest=release.manifest,
        digest=release.digest,
        because=release.because,
        authors=list(release.authors),
        error=releases.failure(view, release),
        gates=list(release.gates),
        evidence_blob=release.evidence_blob,
        judged_at=release.judged_at,
        approvals=given,
        rollout=ways[0] if ways else None,
        rollouts=ways,
    )


def shaped_rollout(rollout: Rollout) -> RolloutOut:
    """A rollout whole."""
    return RolloutOut(
        id=rollout.id,
        deployment=rollout.deployment,
        release=f"{rollout.deployment}#{rollout.release}",
        champion=f"{rollout.deployment}#{rollout.champion}" if rollout.champion else None,
        kind=rollout.kind,
        state=rollout.state,
        steps=list(rollout.config.steps),
        step=rollout.step,
        share=rollout.share_bp / WHOLE,
        min_predictions=rollout.config.min_predictions,
        guards=list(rollout.config.guards),
        started_at=rollout.started_at,
        step_started_at=rollout.step_started_at,
        ended_at=rollout.ended_at,
        evidence=list(rollout.evidence),
        reason=rollout.reason,
    )


def _approval(approval: Approval, valid: bool) -> ApprovalOut:
    fields = asdict(approval)
    return ApprovalOut(**{name: fields[name] for name in ("actor", "decision", "reason", "at", "digest")}, valid=valid)
