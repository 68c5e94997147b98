# SPDX-License-Identifier: Apache-2.0
"""What happens in pipelines: one event for each execution of a step, and for each piece of work asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class JobAsked(Event):
    """Somebody asked for work that a worker will do."""

    kind = "job.asked"
    job: str
    job_kind: str
    asked: dict[str, Any]

    @property
    def subject(self) -> str:
        return f"job:{self.job}"


@dataclass(frozen=True, kw_only=True)
class JobCancelled(Event):
    """Somebody called a job off before it had ended."""

    kind = "job.cancelled"
    job: str
    job_kind: str

    @property
    def subject(self) -> str:
        return f"job:{self.job}"


@dataclass(frozen=True, kw_only=True)
class StepCommitted(Event):
    """A step's execution is on record, with what it read and made. It is a run of its own inside the pipeline's run."""

    kind = "step.committed"
    run: str
    pipeline_run: str
    name: str
    state: str
    key: str
    why: str
    hit_of: str | None
    inputs: list[dict[str, str]]  # kind, ref, name
    outputs: list[dict[str, str]]  # name, kind, digest

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class RunReproduced(Event):
    """A run was carried out again from its record, and its results were compared: identical, equivalent or different."""

    kind = "run.reproduced"
    run: str
    verdict: str
    sentence: str
    tolerance: float
    is_rebuilt: bool  # in the recorded environment, not in the one that was there
    steps: list[dict[str, str]]  # name, verdict, sentence
    environment: dict[str, list[str]]  # package → then, now

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class RunResumed(Event):
    """A pipeline's run goes on where it stood: another process carries it out now."""

    kind = "run.resumed"
    run: str
    before: str
    worker: str

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class StepAccepted(Event):
    """Somebody said that a stored result still holds, although code of the step's files has changed."""

    kind = "step.accepted"
    pipeline: str
    name: str
    key: str
    instead_of: str
    run: str  # whose result it is

    @property
    def subject(self) -> str:
        return f"pipeline:{self.pipeline}"


@dataclass(frozen=True, kw_only=True)
class _OfSchedule(Event):
    """What every event of a schedule knows."""

    name: str

    @property
    def subject(self) -> str:
        return f"schedule:{self.name}"


@dataclass(frozen=True, kw_only=True)
class ScheduleDeclared(_OfSchedule):
    """A schedule exists, or is declared otherwise than before."""

    kind = "schedule.declared"
    pipeline: str
    params: dict[str, Any]
    cron: str | None
    every: str | None
    timezone: str
    catch_up: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class SchedulePaused(_OfSchedule):
    """A schedule runs nothing until it is resumed."""

    kind = "schedule.paused"


@dataclass(frozen=True, kw_only=True)
class ScheduleResumed(_OfSchedule):
    """A schedule goes on; what came due while it was paused is not made up for."""

    kind = "schedule.resumed"


@dataclass(frozen=True, kw_only=True)
class ScheduleRemoved(_OfSchedule):
    """A schedule is no more; what it fired stays on record."""

    kind = "schedule.removed"


@dataclass(frozen=True, kw_only=True)
class ScheduleFired(_OfSchedule):
    """A time of a schedule came, and its pipeline was asked for."""

    kind = "schedule.fired"
    logical_time: str
    pipeline: str
    params: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ScheduleSkipped(_OfSchedule):
    """Times of a schedule went by while nobody looked, and are not made up for: ``since`` was the first of them."""

    kind = "schedule.skipped"
    since: str
    until: str


@dataclass(frozen=True, kw_only=True)
class _OfBackfill(Event):
    """What every event of a backfill knows."""

    backfill: str

    @property
    def subject(self) -> str:
        return f"backfill:{self.backfill}"


@dataclass(frozen=True, kw_only=True)
class BackfillStarted(_OfBackfill):
    """Somebody asked for a pipeline to be run for each partition of a stretch of time."""

    kind = "backfill.started"
    pipeline: str
    params: dict[str, Any]
    by: str
    timezone: str
    since: str
    until: str
    partitions: int


@dataclass(frozen=True, kw_only=True)
class BackfillCancelled(_OfBackfill):
    """Somebody called a backfill off; what it had done stays."""

    kind = "backfill.cancelled"


@dataclass(frozen=True, kw_only=True)
class BackfillEnded(_OfBackfill):
    """Every partition of a backfill is dealt with; ``counts`` tells how, by state."""

    kind = "backfill.ended"
    state: str
    counts: dict[str, int]
