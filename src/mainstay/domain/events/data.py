# SPDX-License-Identifier: Apache-2.0
"""What happens to datasets: snapshots taken, batches refused, contracts changed, pointers moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class DatasetCreated(Event):
    """A source has a name and an owner."""

    kind = "dataset.created"
    dataset: str
    owner: str
    description: str

    @property
    def subject(self) -> str:
        return f"dataset:{self.dataset}"


@dataclass(frozen=True, kw_only=True)
class SnapshotTaken(Event):
    """A batch became a snapshot; ``current`` now points at it."""

    kind = "snapshot.taken"
    dataset: str
    number: int
    digest: str
    rows: int
    size: int
    contract_version: int
    source: str
    run_id: str | None
    parents: list[str]
    warnings: list[dict[str, Any]]  # column and problem; never a value of the data

    @property
    def subject(self) -> str:
        return f"snapshot:{self.dataset}@{self.number}"


@dataclass(frozen=True, kw_only=True)
class SnapshotRepeated(Event):
    """Content that is a snapshot already was handed in again; nothing changed."""

    kind = "snapshot.repeated"
    dataset: str
    number: int
    digest: str
    source: str
    run_id: str | None

    @property
    def subject(self) -> str:
        return f"snapshot:{self.dataset}@{self.number}"


@dataclass(frozen=True, kw_only=True)
class SnapshotDropped(Event):
    """A snapshot is not wanted any more; a collection may take its bytes."""

    kind = "snapshot.dropped"
    dataset: str
    number: int
    digest: str

    @property
    def subject(self) -> str:
        return f"snapshot:{self.dataset}@{self.number}"


@dataclass(frozen=True, kw_only=True)
class SnapshotRestored(Event):
    """A snapshot that was dropped is wanted again."""

    kind = "snapshot.restored"
    dataset: str
    number: int
    digest: str

    @property
    def subject(self) -> str:
        return f"snapshot:{self.dataset}@{self.number}"


@dataclass(frozen=True, kw_only=True)
class BatchRefused(Event):
    """A batch broke the contract; nothing was published."""

    kind = "batch.refused"
    dataset: str
    refusal: str
    blob: str
    source: str
    contract_version: int
    problems: list[dict[str, Any]]  # column, problem, likely_alias; never a value of the data
    rows_blob: str

    @property
    def subject(self) -> str:
        return f"dataset:{self.dataset}"


@dataclass(frozen=True, kw_only=True)
class ContractChanged(Event):
    """The dataset's contract has a new version. ``change``: inferred, alias or revised."""

    kind = "contract.changed"
    dataset: str
    version: int
    digest: str
    change: str
    column: str | None = None
    alias: str | None = None

    @property
    def subject(self) -> str:
        return f"dataset:{self.dataset}"


@dataclass(frozen=True, kw_only=True)
class RefMoved(Event):
    """A name on a snapshot points elsewhere. ``before`` is None for a new name."""

    kind = "ref.moved"
    dataset: str
    ref: str
    before: int | None
    after: int

    @property
    def subject(self) -> str:
        return f"dataset:{self.dataset}"
