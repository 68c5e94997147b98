# SPDX-License-Identifier: Apache-2.0
"""What happens to releases and rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class _OfRelease(Event):
    """What every event of a release knows."""

    deployment: str
    number: int

    @property
    def subject(self) -> str:
        return f"release:{self.deployment}#{self.number}"


@dataclass(frozen=True, kw_only=True)
class ReleaseRequested(_OfRelease):
    """Somebody asks for a version to go live."""

    kind = "release.requested"
    model: str
    version: int
    digest: str
    manifest: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReleaseJudged(_OfRelease):
    """The gates were asked. ``state`` is refused, waiting or approved."""

    kind = "release.judged"
    state: str
    policy: str
    gates: list[dict[str, Any]]
    evidence: str | None


@dataclass(frozen=True, kw_only=True)
class ReleaseApproved(_OfRelease):
    """Enough people said yes."""

    kind = "release.approved"
    digest: str
    approvals: list[str]


@dataclass(frozen=True, kw_only=True)
class ReleaseRejected(_OfRelease):
    """Somebody who may decide said no."""

    kind = "release.rejected"
    digest: str


@dataclass(frozen=True, kw_only=True)
class ReleaseFailed(_OfRelease):
    """It could not be judged."""

    kind = "release.failed"
    error: str


@dataclass(frozen=True, kw_only=True)
class RolloutStarted(_OfRelease):
    """A release begins to take traffic."""

    kind = "rollout.started"
    rollout: str
    rollout_kind: str
    share: float
    champion: int | None


@dataclass(frozen=True, kw_only=True)
class RolloutMoved(_OfRelease):
    """A release takes another share of the traffic; ``evidence`` is what the judge saw."""

    kind = "rollout.moved"
    rollout: str
    share: float
    evidence: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class RolloutPaused(_OfRelease):
    """A rollout stays where it is until somebody lets it go on."""

    kind = "rollout.paused"
    rollout: str


@dataclass(frozen=True, kw_only=True)
class RolloutResumed(_OfRelease):
    """A paused or held rollout goes on."""

    kind = "rollout.resumed"
    rollout: str


@dataclass(frozen=True, kw_only=True)
class RolloutCompleted(_OfRelease):
    """A release is live: it answers all traffic."""

    kind = "rollout.completed"
    rollout: str
    rollout_kind: str
    replaced: int | None
    evidence: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class RolloutAborted(_OfRelease):
    """A release lost its share again; the champion answers all traffic."""

    kind = "rollout.aborted"
    rollout: str
    by_guard: str | None
    evidence: list[dict[str, Any]]
