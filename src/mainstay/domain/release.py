# SPDX-License-Identifier: Apache-2.0
"""Releases and rollouts: what goes live as one, and how its share of the traffic grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

WHOLE = 10_000  # a share of all traffic, in basis points


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How a release of a deployment takes over. ``steps`` are percents that end with 100."""

    strategy: str = "canary"  # canary | direct
    steps: tuple[int, ...] = (10, 50, 100)
    min_predictions: int = 500  # of the canary, in each step, before it may move on
    guards: tuple[str, ...] = ("errors", "latency", "quality")
    latency_limit_ms: float | None = None  # slower is bad; None: slower than the champion's own 95th percentile
    alpha: float = 0.05  # chance of rolling back a canary that is as good as the champion
    # How much more often than the champion, as a share of its requests, a canary may be bad and still be promoted.
    margins: dict[str, float] = field(default_factory=lambda: {"errors": 0.02, "latency": 0.10, "quality": 0.10})


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a release is to go live, and under which rules."""

    deployment: str
    environment: str
    model: str
    owner: str
    policy: str
    rollout: RolloutConfig


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What one gate said. ``verdict`` is pass, fail or insufficient; only pass lets a release through."""

    gate: str
    verdict: str
    sentence: str
    rows: int
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Release:
    """The numbered, immutable whole that goes live; its digest covers the manifest, and approvals name the digest."""

    deployment: str
    number: int
    model: str
    version: int
    state: str
    manifest: dict[str, Any]
    digest: str
    requested_by: str
    requested_at: datetime
    reason: str
    because: int | None
    authors: tuple[str, ...]
    job: str | None
    gates: tuple[GateResult, ...]
    evidence_blob: str | None
    judged_at: datetime | None

    @property
    def id(self) -> str:
        return f"{self.deployment}#{self.number}"

    @property
    def subject(self) -> str:
        return f"release:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Planned steps that change a release's share of a deployment's traffic. ``share_bp`` is its share now."""

    id: str
    deployment: str
    release: int
    champion: int | None  # the release it would replace
    kind: str  # first | canary | direct | rollback
    state: str
    config: RolloutConfig
    step: int
    share_bp: int
    started_at: datetime
    step_started_at: datetime
    ended_at: datetime | None
    evidence: tuple[dict[str, Any], ...]
    marks: dict[str, Any]  # counts when the present step began
    reason: str

    @property
    def subject(self) -> str:
        return f"release:{self.deployment}#{self.release}"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How one release did since some moment: ``bad`` of ``n`` predictions."""

    n: int
    bad: int
