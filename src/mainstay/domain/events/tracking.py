# SPDX-License-Identifier: Apache-2.0
"""What happens to experiments and runs. Metric points are telemetry and leave no event; their digest does, at the
end."""

from __future__ import annotations

from dataclasses import dataclass

from mainstay.domain.events import Event


@dataclass(frozen=True, kw_only=True)
class ExperimentCreated(Event):
    """A question has a name."""

    kind = "experiment.created"
    experiment: int
    name: str

    @property
    def subject(self) -> str:
        return f"experiment:{self.experiment}"


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """An execution began."""

    kind = "run.started"
    run: str
    run_kind: str
    name: str
    experiment: int
    parent: str | None
    code: str | None  # digests of what was stored, None where nothing was
    environment: str | None

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """An execution ended; its parameters, metrics, artifacts and links are closed, and these are their digests."""

    kind = "run.finished"
    run: str
    state: str
    params: str
    metrics: str
    artifacts: str
    links: str
    steps: str  # of the same digests of every step inside

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class RunReopened(Event):
    """A run that had ended goes on; what it said until then stays, and its next end has new digests."""

    kind = "run.reopened"
    run: str
    before: str

    @property
    def subject(self) -> str:
        return f"run:{self.run}"
