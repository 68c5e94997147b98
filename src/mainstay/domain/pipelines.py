# SPDX-License-Identifier: Apache-2.0
"""Pipelines that were seen, and the recorded executions of their steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

STATES = ("succeeded", "cached", "failed")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A definition as it was last seen; ``entry`` is ``flights.py:flights_late``."""

    name: str
    entry: str
    first_seen_at: datetime
    last_run: str
    runs: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """A named result of a step. ``kind`` says what it is read as; ``snapshot`` and ``version`` are things of this
    house."""

    name: str
    kind: str
    digest: str
    size: int
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Input:
    """Where an input of a step came from: a snapshot by id, a version by id, or any other result by digest."""

    kind: str
    ref: str
    name: str
    digest: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One execution of a step within the run of a pipeline; ``run_id`` is its own run.

    ``why`` it was carried out or not: hit, new, code, input, param, environment … ``hit_of`` is the run whose outputs
    these are, of an equal step that was carried out before.
    """

    run_id: str
    pipeline_run: str
    name: str
    state: str
    key: str
    key_parts: dict[str, Any]
    why: str
    hit_of: str | None
    upstream: tuple[str, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    seconds: float
    error: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Published:
    """The outputs that stand for a key: those of the first run that committed it."""

    key: str
    run_id: str
    outputs: tuple[Output, ...]
    at: datetime
