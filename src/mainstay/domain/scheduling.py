# SPDX-License-Identifier: Apache-2.0
"""Schedules, their firings, and backfills: pipelines that run because it is time, or for a stretch of time gone by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

#: What becomes of times that went by while nobody looked: the last is made up for, every one is, or none.
CATCH_UP = ("latest", "all", "none")
UNITS = ("hour", "day", "week", "month")
ACTIVE, PAUSED = "active", "paused"
RUNNING, COMPLETED, FAILED, CANCELLED = "running", "completed", "failed", "cancelled"
#: ``waiting`` for its turn, ``asked`` of a worker, and the four ways to end.
PARTITION_STATES = ("waiting", "asked", "succeeded", "skipped", "failed", "cancelled")


class Timing(NamedTuple):
    """When something is due: by ``cron`` in the time of ``timezone``, or ``every`` so often; the other is None."""

    cron: str | None
    every: str | None
    timezone: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """``pipeline`` is run at each of its times. ``next_at`` is the first that was not dealt with yet; None while paused.

    Texts in ``params`` may contain ``{logical_time}``, ``{date}``, ``{since}`` and ``{until}``.
    """

    name: str
    pipeline: str
    params: dict[str, Any]
    cron: str | None
    every: str | None
    timezone: str
    catch_up: str
    owner: str
    state: str
    next_at: datetime | None
    created_at: datetime
    created_by: str

    @property
    def timing(self) -> Timing:
        return Timing(self.cron, self.every, self.timezone)

    @property
    def subject(self) -> str:
        return f"schedule:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One time of a schedule for which its pipeline was asked for. There is at most one for each ``logical_time``."""

    schedule: str
    logical_time: datetime
    fired_at: datetime
    event: int
    job: str


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A stretch of time, from ``since`` up to but not with ``until``; ``name`` is its beginning as a calendar says it."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """``pipeline`` once for each partition between two moments, at most ``concurrency`` at a time."""

    id: str
    pipeline: str
    params: dict[str, Any]
    by: str
    timezone: str
    since: datetime
    until: datetime
    concurrency: int
    is_again: bool  # also partitions that are done already
    state: str
    event: int
    created_at: datetime
    created_by: str
    ended_at: datetime | None = None

    @property
    def subject(self) -> str:
        return f"backfill:{self.id}"


@dataclass(frozen=True, kw_only=True)
class Portion:
    """One partition of a backfill, and how far it is. ``sentence``: why it was skipped, or what went wrong."""

    backfill: str
    partition: str
    since: datetime
    until: datetime
    state: str
    job: str | None = None
    run_id: str | None = None
    sentence: str = ""
