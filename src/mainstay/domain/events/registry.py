# SPDX-License-Identifier: Apache-2.0
"""What happens to models: versions registered and marked, aliases moved."""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class ModelCreated(Event):
    """A model has a name, an owner and a tier."""

    kind = "model.created"
    model: str
    owner: str
    tier: str

    @property
    def subject(self) -> str:
        return f"model:{self.model}"


@dataclass(frozen=True, kw_only=True)
class VersionRegistered(Event):
    """A run's result has a number; it is a candidate."""

    kind = "version.registered"
    model: str
    number: int
    digest: str
    format: str
    files: dict[str, str]  # digests by name
    run_id: str
    snapshots: list[dict[str, str]]  # id and role
    evaluation_blob: str | None

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class VersionRepeated(Event):
    """The same content was registered again by the same run; nothing changed."""

    kind = "version.repeated"
    model: str
    number: int
    digest: str
    run_id: str

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class VersionMarked(Event):
    """A version is in another state."""

    kind = "version.marked"
    model: str
    number: int
    before: str
    after: str

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class AliasMoved(Event):
    """An alias names another version of its model. ``before`` is None for a new alias, ``after`` for one taken away."""

    kind = "alias.moved"
    model: str
    alias: str
    before: int | None
    after: int | None

    @property
    def subject(self) -> str:
        return f"model:{self.model}"
