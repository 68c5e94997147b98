# SPDX-License-Identifier: Apache-2.0
"""What happens to people, tokens, policies and approvals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class WorkspaceMade(Event):
    """The first event of every ledger."""

    kind = "workspace.made"
    program: str

    @property
    def subject(self) -> str:
        return "workspace:this"


@dataclass(frozen=True, kw_only=True)
class PersonAdded(Event):
    """Somebody can act from now on, or has other roles than before."""

    kind = "person.added"
    name: str
    person_kind: str
    roles: list[str]

    @property
    def subject(self) -> str:
        return f"person:{self.name}"


@dataclass(frozen=True, kw_only=True)
class TokenIssued(Event):
    """Somebody received a token; the secret itself is nowhere on record."""

    kind = "token.issued"
    name: str
    token: str
    expires_at: str

    @property
    def subject(self) -> str:
        return f"person:{self.name}"


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Event):
    """A token no longer opens anything."""

    kind = "token.revoked"
    name: str
    token: str

    @property
    def subject(self) -> str:
        return f"person:{self.name}"


@dataclass(frozen=True, kw_only=True)
class AccessRefused(Event):
    """Somebody known tried what they may not do; further tries within a minute are only counted."""

    kind = "access.refused"
    name: str
    permission: str
    route: str
    before: int  # how many earlier tries this row also stands for

    @property
    def subject(self) -> str:
        return f"person:{self.name}"


@dataclass(frozen=True, kw_only=True)
class PolicyChanged(Event):
    """A policy has a new version."""

    kind = "policy.changed"
    name: str
    version: int
    digest: str
    content: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"policy:{self.name}"


@dataclass(frozen=True, kw_only=True)
class ApprovalGiven(Event):
    """Somebody said yes or no to one digest."""

    kind = "approval.given"
    about: str
    digest: str
    decision: str
    approval: str

    @property
    def subject(self) -> str:
        return self.about
