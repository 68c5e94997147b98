# SPDX-License-Identifier: Apache-2.0
"""Rollouts: the steps by which a release takes over the traffic, and the way back.

A canary moves on when it has answered enough and no guard objects; a guard that objects puts the champion back at once.
The counts come from the prediction log through `advance`'s caller; this file only decides, and writes down what it saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainstay.domain import ids, states
from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.events.release import (
    RolloutAborted,
    RolloutCompleted,
    RolloutMoved,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
)
from mainstay.domain.release import WHOLE, Counts, Release, Rollout, RolloutConfig
from mainstay.lifecycle.data import datasets
from mainstay.lifecycle.registry import aliases, versions
from mainstay.lifecycle.release import judging, tables
from mainstay.store import Change, View

CHAMPION = "champion"


def start(change: Change, *, release: Release) -> Rollout:
    """Give an approved release its first share; all of it where there is nothing to compare with."""
    champion = tables.release_in_state(change, release.deployment, "live")
    config = config_of(release)
    kind = "first" if champion is None else "direct" if config.strategy == "direct" else "canary"
    whole = kind != "canary"
    rollout = _begin(change, release, champion, kind, config, WHOLE if whole else config.steps[0] * 100)
    _move_release(change, release, "rolling")
    if whole:
        return _complete(change, rollout, evidence=[])
    return rollout


def advance(
    change: Change, *, rollout: Rollout, guards: Mapping[str, tuple[Counts, Counts]], marks: dict[str, Any]
) -> Rollout:
    """Ask the judge about the present step. ``guards``: for each, counts of canary and champion since the step began.

    ``marks`` are the running totals now; they become the start of the next step if there is one.
    """
    ruling = judging.rule(guards, share=rollout.share_bp / WHOLE, config=rollout.config, past=rollout.evidence)
    here = {"step": rollout.step, "at": to_wire(change.now())}
    evidence = [here | line for line in ruling.evidence]
    if ruling.decision == "rollback":
        return abort(change, rollout=rollout, by_guard=ruling.guard, evidence=evidence, reason=ruling.sentence)
    if ruling.decision != "promote":
        raise Conflict(
            f"rollout of {rollout.deployment}#{rollout.release} stays at {share_text(rollout)}: {ruling.sentence}"
        )
    step = rollout.step + 1
    if step >= len(rollout.config.steps) or rollout.config.steps[step] >= 100:
        return _complete(change, rollout, evidence=evidence, reason=ruling.sentence)
    share_bp = rollout.config.steps[step] * 100
    tables.set_rollout(
        change,
        rollout.id,
        step=step,
        share_bp=share_bp,
        step_started_at=change.now(),
        marks=marks,
        evidence=[*rollout.evidence, *evidence],
    )
    change.record(
        RolloutMoved(
            deployment=rollout.deployment,
            number=rollout.release,
            rollout=rollout.id,
            share=share_bp / WHOLE,
            evidence=evidence,
        ),
        reason=ruling.sentence,
    )
    return get(change, rollout.id)


def pause(change: Change, *, identity: str) -> Rollout:
    """Keep the present share until somebody resumes."""
    rollout = _set_state(change, get(change, identity), "paused")
    change.record(RolloutPaused(deployment=rollout.deployment, number=rollout.release, rollout=rollout.id))
    return rollout


def resume(change: Change, *, identity: str) -> Rollout:
    """Go on from the present share."""
    rollout = _set_state(change, get(change, identity), "running")
    change.record(RolloutResumed(deployment=rollout.deployment, number=rollout.release, rollout=rollout.id))
    return rollout


def abort(
    change: Change,
    *,
    rollout: Rollout,
    by_guard: str | None = None,
    evidence: list[dict[str, Any]] | None = None,
    reason: str | None = None,
) -> Rollout:
    """Take the release's share away; the champion answers everything again."""
    evidence = evidence or []
    _set_state(change, rollout, "aborted", ended_at=change.now(), share_bp=0, evidence=[*rollout.evidence, *evidence])
    release = tables.release(change, rollout.deployment, rollout.release)
    assert release is not None
    _move_release(change, release, "rolled_back")
    change.record(
        RolloutAborted(
            deployment=rollout.deployment,
            number=rollout.release,
            rollout=rollout.id,
            by_guard=by_guard,
            evidence=evidence,
        ),
        reason=reason,
    )
    return get(change, rollout.id)


def preview_rollback(view: View, *, deployment: str, to: int | None = None) -> dict[str, Any]:
    """What a rollback would change, before anything does.

    Raises:
        NotFound: no such release. Conflict: nothing to go back to, or that release was never live.
    """
    now, back = _rollback_pair(view, deployment, to)
    before, after = now.manifest, back.manifest
    return {
        "deployment": deployment,
        "release": {"from": now.id, "to": back.id},
        "model": {"from": before["version"], "to": after["version"]},
        "snapshots": {"from": before["snapshots"], "to": after["snapshots"]},
        "features": {"from": _views(before), "to": _views(after)},
        "config": {"from": before["config"], "to": after["config"]},
        "policy": {"from": before["policy"], "to": after["policy"]},
        "affects": [f"deployment:{deployment}"],
    }


def _views(manifest: dict[str, Any]) -> list[str]:
    return [each["view"] for each in manifest["features"]]


def rollback(change: Change, *, deployment: str, to: int | None = None) -> Rollout:
    """Go back to a release that was live before: model, dataset pointers and configuration together, at once.

    It needs no approval, since that release was approved; only a reason.

    Raises:
        Conflict: no reason, nothing to go back to, or that release was never live. NotFound: no such release.
    """
    if not change.reason.strip():
        raise Conflict(f"rolling {deployment!r} back takes a reason; give one with -m.")
    now, back = _rollback_pair(change, deployment, to)
    if under_way := tables.rollout_under_way(change, deployment):
        abort(change, rollout=under_way, reason=f"the deployment was rolled back: {change.reason}")
    rollout = _begin(change, back, now, "rollback", config_of(back), WHOLE)
    _move_release(change, now, "rolled_back")
    _point_datasets(change, back)
    return _complete(change, rollout, evidence=[], replaced_state=None)


def get(view: View, identity: str) -> Rollout:
    """One rollout.

    Raises:
        NotFound: there is none of that id.
    """
    found = tables.rollout(view, identity)
    if found is None:
        raise NotFound(f"there is no rollout {identity!r}; `mainstay releases show` names a release's own.")
    return found


def under_way(view: View, deployment: str) -> Rollout | None:
    """The deployment's rollout that has not ended, if there is one."""
    return tables.rollout_under_way(view, deployment)


def variants(view: View, deployment: str) -> list[tuple[Release, str, int]]:
    """Who should answer: (release, role, share in basis points); the shares sum to 10,000. Empty before the first release."""
    champion = tables.release_in_state(view, deployment, "live")
    if champion is None:
        return []
    rollout = tables.rollout_under_way(view, deployment)
    if rollout is None:
        return [(champion, CHAMPION, WHOLE)]
    canary = tables.release(view, deployment, rollout.release)
    assert canary is not None
    return [(champion, CHAMPION, WHOLE - rollout.share_bp), (canary, "canary", rollout.share_bp)]


def config_of(release: Release) -> RolloutConfig:
    """The rollout rules that the release's manifest fixes."""
    config = release.manifest["config"]
    return RolloutConfig(**{**config, "steps": tuple(config["steps"]), "guards": tuple(config["guards"])})


def share_text(rollout: Rollout) -> str:
    """Its share in words."""
    return f"{rollout.share_bp / 100:g} %"


def _rollback_pair(view: View, deployment: str, to: int | None) -> tuple[Release, Release]:
    now = tables.release_in_state(view, deployment, "live")
    if now is None:
        raise Conflict(f"nothing is live on {deployment!r}, so there is nothing to roll back.")
    if to is None:
        former = [
            r
            for r in tables.releases_of(view, deployment)
            if r.state in ("superseded", "rolled_back") and _was_live(view, r)
        ]
        if not former:
            raise Conflict(
                f"{now.id} is the only release that ever was live on {deployment!r}; there is none to go back to."
            )
        return now, former[0]
    back = tables.release(view, deployment, to)
    if back is None:
        raise NotFound(f"there is no release {deployment}#{to}; `mainstay releases list` shows those there are.")
    if back.number == now.number:
        raise Conflict(f"{back.id} is live already.")
    if not _was_live(view, back):
        raise Conflict(
            f"{back.id} is {back.state} and never was live, so it is not a way back; release its version anew."
        )
    return now, back


def _was_live(view: View, release: Release) -> bool:
    return any(r.state == "completed" for r in tables.rollouts_of(view, release.deployment, release.number))


def _begin(
    change: Change, release: Release, champion: Release | None, kind: str, config: RolloutConfig, share_bp: int
) -> Rollout:
    rollout = Rollout(
        id=ids.uuid7(),
        deployment=release.deployment,
        release=release.number,
        champion=champion.number if champion else None,
        kind=kind,
        state="running",
        config=config,
        step=0,
        share_bp=share_bp,
        started_at=change.now(),
        step_started_at=change.now(),
        ended_at=None,
        evidence=(),
        marks={},
        reason=change.reason,
    )
    tables.put_rollout(change, rollout)
    change.record(
        RolloutStarted(
            deployment=release.deployment,
            number=release.number,
            rollout=rollout.id,
            rollout_kind=kind,
            share=share_bp / WHOLE,
            champion=rollout.champion,
        )
    )
    return rollout


def _complete(
    change: Change,
    rollout: Rollout,
    *,
    evidence: list[dict[str, Any]],
    reason: str | None = None,
    replaced_state: str | None = "superseded",
) -> Rollout:
    if replaced_state and rollout.champion is not None:
        replaced = tables.release(change, rollout.deployment, rollout.champion)
        assert replaced is not None
        _move_release(change, replaced, replaced_state)
    release = tables.release(change, rollout.deployment, rollout.release)
    assert release is not None
    _set_state(
        change, rollout, "completed", ended_at=change.now(), share_bp=WHOLE, evidence=[*rollout.evidence, *evidence]
    )
    _move_release(change, release, "live")
    if versions.get(change, model=release.model, number=release.version).state != "released":
        versions.mark(change, model=release.model, number=release.version, state="released")
    aliases.move(change, model=release.model, alias=CHAMPION, to=release.version)
    change.record(
        RolloutCompleted(
            deployment=release.deployment,
            number=release.number,
            rollout=rollout.id,
            rollout_kind=rollout.kind,
            replaced=rollout.champion,
            evidence=evidence,
        ),
        reason=reason,
    )
    return get(change, rollout.id)


def _point_datasets(change: Change, release: Release) -> None:
    """Move each dataset's ``current`` pointer to the newest snapshot that the release was trained on."""
    newest: dict[str, int] = {}
    for snapshot in release.manifest["snapshots"]:
        name, _, number = snapshot.rpartition("@")
        newest[name] = max(newest.get(name, 0), int(number))
    for name, number in newest.items():
        datasets.point(change, dataset=name, ref="current", number=number)


def _set_state(change: Change, rollout: Rollout, state: str, **values: Any) -> Rollout:
    states.check_move(states.ROLLOUT, f"rollout of {rollout.deployment}#{rollout.release}", rollout.state, state)
    tables.set_rollout(change, rollout.id, state=state, **values)
    return get(change, rollout.id)


def _move_release(change: Change, release: Release, state: str) -> None:
    states.check_move(states.RELEASE, f"release {release.id}", release.state, state)
    tables.set_release(change, release.deployment, release.number, state=state)
