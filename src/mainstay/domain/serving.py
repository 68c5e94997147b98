# SPDX-License-Identifier: Apache-2.0
"""Deployments, what gateways report, and the prediction log's parts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.domain.release import RolloutConfig, Target


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A named endpoint in an environment, with an owner."""

    name: str
    environment: str
    model: str
    owner: str
    policy: str
    rollout: RolloutConfig
    created_at: datetime

    def target(self) -> Target:
        """Where releases of this deployment go."""
        return Target(
            deployment=self.name,
            environment=self.environment,
            model=self.model,
            owner=self.owner,
            policy=self.policy,
            rollout=self.rollout,
        )


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """What one gateway process said last: what it has loaded, by digest."""

    id: str
    started_at: datetime
    reported_at: datetime
    pid: int
    generation: int
    loaded: tuple[dict[str, Any], ...]
    faults: tuple[dict[str, Any], ...]  # versions it was told to load and would not, each with a sentence


@dataclass(frozen=True, kw_only=True)
class Part:
    """One sealed piece of the prediction log: the predictions of one release, as one Parquet blob."""

    id: str
    deployment: str
    release: int
    gateway: str
    sequence: int
    blob: str
    rows: int
    first_id: str
    last_id: str
    since: datetime  # event time of the earliest prediction
    until: datetime  # event time of the latest
    source: str  # http | batch
    sealed_at: datetime
    labels: int = 0  # how often something was told of its predictions, revisions included


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What turned out to be true of one prediction; the highest revision counts."""

    prediction: str
    revision: int
    label: float
    at: datetime
    received_at: datetime
    actor: str
    source: str
