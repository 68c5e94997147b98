# SPDX-License-Identifier: Apache-2.0
"""Pipelines that were seen, and the recorded executions of their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.domain.tracking import Artifact, Point

STATES = ("succeeded", "cached", "failed")
FAMILY_DIGITS = 16  # so many digits are shared by the keys of calls that differ in their inputs alone


def subject_of(entry: str) -> str:
    """What work on an entry is about.

    >>> subject_of("flights.py:flights_late")
    'pipeline:flights_late'
    """
    return f"pipeline:{entry.rpartition(':')[2]}"


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
class Said:
    """What a step logged of itself, to its own run."""

    params: Mapping[str, Any]
    metrics: tuple[Point, ...]
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """One execution of a step, as the engine tells of it.

    ``cacheable``: others may take its outputs; ``renew``: in place of an earlier result, which has expired; ``built_on``: the
    run has gone on with these outputs, so they stay its own, whoever was first with the key.
    """

    name: str
    key: str
    key_parts: dict[str, Any]
    why: str
    state: str
    seconds: float
    hit_of: str | None = None
    upstream: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    error: str | None = None
    cacheable: bool = False
    renew: bool = False
    built_on: bool = False
    said: Said | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """The outputs that stand for a key: those of the first run that committed it."""

    key: str
    run_id: str
    outputs: tuple[Output, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is published: ``sound``, every byte is in place; ``unsure``, nobody has looked at the bytes. ``whole``: the families
    of which there is no more than that."""

    sound: dict[str, Published]
    unsure: dict[str, Published]
    whole: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who carries a pipeline's run out, and until when that counts without another sign of life.

    ``params``: what it was asked with, in canonical texts, so that it can go on elsewhere; None: something in it is no
    plain value. ``outline``: what it means to do, as far as that was known when it began. ``running``: steps under way.
    """

    run_id: str
    worker: str
    leased_until: datetime | None
    executor: str
    params: dict[str, str] | None
    outline: tuple[dict[str, Any], ...]
    running: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line that a step wrote. ``stream``: out, err or log; ``seq`` counts within the run of the pipeline."""

    seq: int
    step: str
    stream: str
    at: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class GraphNode:
    """One step or verb of a run. ``state``: waiting, running, succeeded, cached or failed; ``kind``: step, snapshot,
    register, map, or existing (a snapshot that is only read). What is None is not known yet."""

    name: str
    kind: str
    state: str
    run_id: str | None = None
    why: str | None = None
    hit_of: str | None = None
    key: str | None = None
    started_at: datetime | None = None
    seconds: float | None = None
    error: str | None = None
    rows: int | None = None
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GraphEdge:
    """``target`` uses what ``source`` made; ``rows`` of the table that passes, if it is one."""

    source: str
    target: str
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A pipeline's run as nodes and edges, in the order of work."""

    run_id: str
    pipeline: str
    state: str
    executor: str | None
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
