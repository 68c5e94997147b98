# SPDX-License-Identifier: Apache-2.0
"""Experiments, runs, and what a run leaves: parameters, metrics, tags, artifacts and links to what it read and made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.names import is_plain_path

KINDS = ("run", "pipeline", "step", "sweep")
LINK_KINDS = ("snapshot", "artifact", "version", "dataset", "logged_model")
LOGGED_MODEL_STATES = ("pending", "ready", "failed")

LONGEST_KEY = 250
LONGEST_PARAM = 6_000
LONGEST_TAG = 8_000
LONGEST_NAME = 500
LONGEST_PATH = 1_000

# In one request; more come in several.
MOST_METRICS = 1_000
MOST_POINTS = 50_000  # as series, which are cheap to read
MOST_PARAMS = 100
MOST_TAGS = 100

_KEY = re.compile(r"[\w\-. :/]+")
_INT64 = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A named question; groups runs. Number 0, ``Default``, is always there."""

    id: int
    name: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recorded execution. A pipeline's execution is a run, and each of its steps is a child of it.

    Its record is open or closed whatever its state is: ``closed_at`` says since when nothing can be added, ``amended_at`` since
    when a record that was closed is open once more.
    """

    id: str
    experiment: int
    name: str
    kind: str
    parent: str | None
    state: str
    actor: str
    started_at: datetime
    ended_at: datetime | None
    reason: str
    because: int | None
    code: dict[str, Any] | None
    environment: str | None  # digest; the environment itself is kept once
    seeds: dict[str, Any] | None
    hardware: dict[str, Any] | None
    error: str | None
    claimed_by: str | None = None  # who a client says it is; duties are told apart by the actor alone
    closed_at: datetime | None = None
    amended_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a metric; NaN and infinity are values too. ``step`` counts whatever the run counts."""

    key: str
    value: float
    step: int = 0
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Series:
    """Many points of one metric, column by column; ``at_us`` counts microseconds since 1970."""

    key: str
    steps: Sequence[int]
    at_us: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A named file of a run: a relative ``path`` for people, the bytes by digest."""

    path: str
    digest: str
    size: int
    media_type: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a run read (``in``) or made (``out``): ``flights@3``, a blob's digest, or ``flights-late/3``.

    A dataset that is no snapshot here is known by the digest that its owner gave it, and read in a ``context`` such as
    ``training``; a logged model may be of one ``step``.
    """

    way: Literal["in", "out"]
    kind: str
    ref: str
    name: str
    step: int | None = None
    context: str | None = None
    tags: dict[str, str] | None = None

    @property
    def end(self) -> tuple[str, str, str, str]:
        """What tells it from the run's other links."""
        return self.way, self.kind, self.ref, self.name

    def __post_init__(self) -> None:
        if self.kind not in LINK_KINDS:
            raise Invalid(f"a run cannot be linked to a {self.kind!r}; it can to {', '.join(LINK_KINDS)}.")


@dataclass(frozen=True, kw_only=True)
class SeenDataset:
    """A dataset of another tool, as that tool describes it."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """A model as a run left it: named files, before anybody registers a version of it. ``kind`` is whatever its maker says."""

    id: str
    experiment: int
    name: str
    kind: str
    state: str
    run: str | None
    actor: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ModelMetric:
    """A reading of a run's metric that was measured of a logged model, on a dataset, or both.

    ``at`` is in microseconds since 1970; ``value`` is None where it is no number.
    """

    model: str | None
    run: str
    key: str
    step: int
    at: int
    value: float | None
    dataset_name: str | None = None
    dataset_digest: str | None = None


def check_key(what: str, key: str) -> str:
    """Return ``key`` if a parameter, metric or tag can be called so; letters, digits, ``_ - . : /`` and spaces, at
    most 250.

    Raises:
        Invalid: with the rule that is broken.
    """
    if len(key) > LONGEST_KEY:
        raise Invalid(f"{what} key {key[:40]!r}… has {len(key)} characters; at most {LONGEST_KEY} are allowed.")
    if not _KEY.fullmatch(key) or key.startswith("/") or key != key.strip():
        raise Invalid(f"{what} key {key!r} is not usable; it may have letters, digits, '_-.:/' and inner spaces.")
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise Invalid(f"{what} key {key!r} is not usable; between two '/' there must be a name.")
    return key


def check_step(key: str, step: int) -> int:
    """Return ``step`` if 64 bits hold it.

    Raises:
        Invalid: they do not.
    """
    if not -_INT64 <= step < _INT64:
        raise Invalid(f"metric {key!r} has step {step}, which does not fit in 64 bits.")
    return step


def check_path(path: str) -> str:
    """Return ``path`` if an artifact can be called so: relative, with ``/``, without ``..``. It never names a place
    on disk.

    Raises:
        Invalid: with what was found.
    """
    if len(path) > LONGEST_PATH or not is_plain_path(path):
        raise Invalid(f"artifact path {path[:80]!r} is not usable; a relative one such as 'plots/roc.png' is expected.")
    return path


def same_params(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys that both have with different values (True is not 1, and 1 is not 1.0)."""
    return [key for key in after if key in before and _strict(before[key]) != _strict(after[key])]


def unknown_experiment(identity: int | str) -> NotFound:
    """The error for a number that no experiment has."""
    return NotFound(
        f"there is no experiment {identity}; `mainstay experiments list` shows those there are.",
        experiment=str(identity),
    )


def unknown_run(identity: str) -> NotFound:
    """The error for an id that no run has."""
    return NotFound(f"there is no run {identity[:80]!r}; `mainstay runs list` shows those there are.", run=identity)


def unknown_logged_model(identity: str) -> NotFound:
    """The error for an id that no logged model has."""
    return NotFound(
        f"there is no logged model {identity[:80]!r}; search for those there are.", logged_model=identity[:80]
    )


def _strict(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value
