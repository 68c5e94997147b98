# SPDX-License-Identifier: Apache-2.0
"""What happens to triggers and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class TriggerDeclared(Event):
    """A trigger exists, or is declared otherwise than before."""

    kind = "trigger.declared"
    name: str
    deployment: str
    condition: str
    pipeline: str
    params: dict[str, Any]
    mode: str
    cooldown: str
    owner: str

    @property
    def subject(self) -> str:
        return f"trigger:{self.name}"


@dataclass(frozen=True, kw_only=True)
class _OfDecision(Event):
    """What every event of a decision knows."""

    decision: str
    trigger: str

    @property
    def subject(self) -> str:
        return f"decision:{self.decision}"


@dataclass(frozen=True, kw_only=True)
class DecisionMade(_OfDecision):
    """A trigger was asked; ``outcome`` is start, suggest or hold."""

    kind = "decision.made"
    deployment: str
    window: str | None
    as_of: str
    outcome: str
    mode: str
    sentence: str
    condition: str
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DecisionAccepted(_OfDecision):
    """Somebody said yes to a suggestion."""

    kind = "decision.accepted"
    job: str


@dataclass(frozen=True, kw_only=True)
class DecisionEnded(_OfDecision):
    """It is known what came of it."""

    kind = "decision.ended"
    result: str
    sentence: str
    run_id: str | None
    version: str | None
    release: int | None
