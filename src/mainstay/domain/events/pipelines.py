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
class RunResumed(Event):
    """A pipeline's run goes on where it stood: another process carries it out now."""

    kind = "run.resumed"
    run: str
    before: str
    worker: str

    @property
    def subject(self) -> str:
        return f"run:{self.run}"
