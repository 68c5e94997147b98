# SPDX-License-Identifier: Apache-2.0
"""What happens to deployments and to the prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class DeploymentDeclared(Event):
    """A deployment exists, or is declared otherwise than before."""

    kind = "deployment.declared"
    name: str
    environment: str
    model: str
    owner: str
    policy: str
    rollout: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"deployment:{self.name}"


@dataclass(frozen=True, kw_only=True)
class SegmentSealed(Event):
    """A piece of the prediction log is closed; its digest stands in the chain from now on."""

    kind = "segment.sealed"
    deployment: str
    release: int
    part: str
    blob: str
    rows: int
    gateway: str
    sequence: int
    source: str

    @property
    def subject(self) -> str:
        return f"prediction-log:{self.deployment}"  # its own subject: a deployment's history is not its traffic
