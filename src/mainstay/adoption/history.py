# SPDX-License-Identifier: Apache-2.0
"""What another tool has on record, in our words: what every source of an import can tell.

Times are UTC. What a source does not know is None, and what it says of persons is a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class PastExperiment:
    """A named question."""

    id: str
    name: str
    is_deleted: bool
    created_at: datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """One execution, without the points of its metrics: they are read one metric after the other."""

    id: str
    experiment: str
    name: str
    state: str  # succeeded, failed or killed; one that still goes on there is, here, one that was cut off
    started_at: datetime | None
    ended_at: datetime | None
    user: str | None
    is_deleted: bool
    place: str  # where its files lie, as the source writes it
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    parent: str | None = None
    datasets: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PastPoint:
    """One value of a metric; NaN and infinity occur."""

    step: int
    at: datetime
    value: float


@dataclass(frozen=True, kw_only=True)
class PastLoggedModel:
    """A model that a run made and nobody has named yet."""

    id: str
    experiment: str
    name: str
    run: str | None
    state: str  # pending, ready or failed
    kind: str
    created_at: datetime | None
    place: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PastVersion:
    """One numbered version of a model."""

    model: str
    number: int
    origin: str  # where its files are, as the source writes it
    run: str | None
    path: str | None  # of its files among the run's, where they are there
    logged_model: str | None  # whose files they are otherwise
    description: str
    created_at: datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PastModel:
    """A name under which versions stand."""

    name: str
    description: str
    created_at: datetime | None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)


#: Whose files: a run's, or a logged model's.
Owner = PastRun | PastLoggedModel


class Source(Protocol):
    """Something that can be read from beginning to end, and again."""

    #: What it is called on record; without credentials.
    name: str

    def experiments(self) -> Iterable[PastExperiment]:
        """All of them, deleted ones too, oldest first."""
        ...

    def runs(self, experiment: str) -> Iterable[PastRun]:
        """Every run of an experiment, deleted ones too."""
        ...

    def points(self, run: PastRun, metric: str) -> Iterable[PastPoint]:
        """Every point of one metric."""
        ...

    def logged_models(self, experiment: str) -> Iterable[PastLoggedModel]:
        """Every logged model of an experiment."""
        ...

    def models(self) -> Iterable[PastModel]:
        """Every name."""
        ...

    def versions(self, model: str) -> Iterable[PastVersion]:
        """Every version of a name, the lowest number first."""
        ...

    def files(self, owner: Owner) -> Iterable[str]:
        """Relative paths of what lies in the owner's place.

        Raises:
            Unavailable: the place cannot be reached from here.
        """
        ...

    def fetch(self, owner: Owner, path: str, into: Path) -> None:
        """Write one file's bytes to ``into``.

        Raises:
            Unavailable: it cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...
