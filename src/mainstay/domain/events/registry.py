# SPDX-License-Identifier: Apache-2.0
"""What happens to models: made, renamed, deleted; versions registered and marked, aliases moved, permissions given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class ModelCreated(Event):
    """A model has a name, an owner and a tier."""

    kind = "model.created"
    model: str
    owner: str
    tier: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return f"model:{self.model}"


@dataclass(frozen=True, kw_only=True)
class ModelChanged(Event):
    """What is said of a model is another: its description, owner, tier or tags. A tag that is None was taken away."""

    kind = "model.changed"
    model: str
    changes: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"model:{self.model}"


@dataclass(frozen=True, kw_only=True)
class ModelRenamed(Event):
    """A model has another name; its numbers, aliases and files came along, and its former events stay under ``before``."""

    kind = "model.renamed"
    model: str
    before: str

    @property
    def subject(self) -> str:
        return f"model:{self.model}"


@dataclass(frozen=True, kw_only=True)
class ModelDeleted(Event):
    """A model is gone with its versions; numbers under its name go on from where they were."""

    kind = "model.deleted"
    model: str
    versions: list[int]

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
    run_id: str | None
    snapshots: list[dict[str, str]]  # id and role
    evaluation_blob: str | None
    source: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)

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
    run_id: str | None

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class VersionChanged(Event):
    """What is said of a version is another: its description or tags. A tag that is None was taken away."""

    kind = "version.changed"
    model: str
    number: int
    changes: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class VersionMarked(Event):
    """A version is in another state; ``deleted`` is one, so that its number stays taken."""

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


@dataclass(frozen=True, kw_only=True)
class PermissionGiven(Event):
    """An admin allows, for a reason, what is normally refused. ``number`` is None for every version of the model."""

    kind = "permission.given"
    model: str
    number: int | None
    permission: str

    @property
    def subject(self) -> str:
        return f"model:{self.model}" if self.number is None else f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class PermissionTaken(Event):
    """A permission is withdrawn; what was released under it stays released."""

    kind = "permission.taken"
    model: str
    number: int | None
    permission: str

    @property
    def subject(self) -> str:
        return f"model:{self.model}" if self.number is None else f"version:{self.model}/{self.number}"


@dataclass(frozen=True, kw_only=True)
class WebhookCreated(Event):
    """What happens to models is told to an address outside from now on. The secret is not in the ledger."""

    kind = "webhook.created"
    webhook: str
    name: str
    url: str
    events: list[str]

    @property
    def subject(self) -> str:
        return f"webhook:{self.webhook}"


@dataclass(frozen=True, kw_only=True)
class WebhookChanged(Event):
    """A webhook has another address, other events, another secret, or rests."""

    kind = "webhook.changed"
    webhook: str
    changes: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"webhook:{self.webhook}"


@dataclass(frozen=True, kw_only=True)
class WebhookDeleted(Event):
    """A webhook is gone; what waited to be told is dropped."""

    kind = "webhook.deleted"
    webhook: str

    @property
    def subject(self) -> str:
        return f"webhook:{self.webhook}"
