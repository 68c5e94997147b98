# SPDX-License-Identifier: Apache-2.0
"""People, what they may do, and what they agreed to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

PERMISSIONS_BY_ROLE: dict[str, frozenset[str]] = {
    "viewer": frozenset({"read"}),
    "contributor": frozenset({"read", "write", "predict"}),
    "approver": frozenset({"read", "approve"}),
    "admin": frozenset({"read", "write", "predict", "approve", "admin", "gateway", "work"}),
    "gateway": frozenset({"read", "gateway"}),
    "worker": frozenset({"read", "write", "work"}),
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who can act: a person, or a service that belongs to one."""

    name: str
    kind: str  # user | service
    roles: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What must hold before something goes live; versioned. ``gates`` are CEL expressions."""

    name: str
    version: int
    gates: tuple[str, ...]
    approvals: int
    not_author: bool
    digest: str
    created_at: datetime
    actor: str

    def content(self) -> dict[str, Any]:
        """What the digest covers."""
        return {"gates": list(self.gates), "approvals": {"count": self.approvals, "not_author": self.not_author}}


@dataclass(frozen=True, kw_only=True)
class Approval:
    """One person's yes or no, with a reason, for one digest."""

    id: str
    subject: str
    digest: str
    decision: str  # approve | reject
    actor: str
    reason: str
    at: datetime
