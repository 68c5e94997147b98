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
class ExperimentRenamed(Event):
    """A question has another name; its number and its runs stay."""

    kind = "experiment.renamed"
    experiment: int
    before: str
    name: str

    @property
    def subject(self) -> str:
        return f"experiment:{self.experiment}"


@dataclass(frozen=True, kw_only=True)
class ExperimentDeleted(Event):
    """A question was put away together with its runs; it can be restored."""

    kind = "experiment.deleted"
    experiment: int
    runs: int

    @property
    def subject(self) -> str:
        return f"experiment:{self.experiment}"


@dataclass(frozen=True, kw_only=True)
class ExperimentRestored(Event):
    """A question is back, with the runs that were put away with it."""

    kind = "experiment.restored"
    experiment: int
    runs: int

    @property
    def subject(self) -> str:
        return f"experiment:{self.experiment}"


class _OfRun(Event):
    """What is about one run."""

    run: str

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class RunStarted(_OfRun):
    """An execution began."""

    kind = "run.started"
    run: str
    run_kind: str
    name: str
    experiment: int
    parent: str | None
    code: str | None  # digests of what was stored, None where nothing was
    environment: str | None


@dataclass(frozen=True, kw_only=True)
class RunScheduled(_OfRun):
    """An execution that has not ended waits for its turn."""

    kind = "run.scheduled"
    run: str


@dataclass(frozen=True, kw_only=True)
class RunRunning(_OfRun):
    """An execution that waited goes on."""

    kind = "run.running"
    run: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(_OfRun):
    """An execution ended; its parameters, metrics, artifacts and links are closed, and these are their digests."""

    kind = "run.finished"
    run: str
    state: str
    params: str
    metrics: str
    artifacts: str
    links: str
    steps: str  # of the same digests of every step inside


@dataclass(frozen=True, kw_only=True)
class RunReopened(_OfRun):
    """An execution that had ended goes on; its record is open again."""

    kind = "run.reopened"
    run: str
    before: str


@dataclass(frozen=True, kw_only=True)
class RunAmended(_OfRun):
    """Something came after the end of an execution; its record is open again, its state is what it was."""

    kind = "run.amended"
    run: str


@dataclass(frozen=True, kw_only=True)
class RunClosed(_OfRun):
    """A record that was amended is closed again, with these digests in place of the earlier ones."""

    kind = "run.closed"
    run: str
    params: str
    metrics: str
    artifacts: str
    links: str
    steps: str


@dataclass(frozen=True, kw_only=True)
class RunDeleted(_OfRun):
    """A run was put away; it can still be read by its id, and be restored."""

    kind = "run.deleted"
    run: str


@dataclass(frozen=True, kw_only=True)
class RunRestored(_OfRun):
    """A run that was put away is back."""

    kind = "run.restored"
    run: str


@dataclass(frozen=True, kw_only=True)
class ExperimentImported(Event):
    """The runs of an experiment that another tool has on record are being brought here."""

    kind = "experiment.imported"
    experiment: int
    source: str

    @property
    def subject(self) -> str:
        return f"experiment:{self.experiment}"


@dataclass(frozen=True, kw_only=True)
class RunImported(Event):
    """A run that another tool has on record is being brought here; its end closes it as that of any run."""

    kind = "run.imported"
    run: str
    source: str
    name: str
    experiment: int

    @property
    def subject(self) -> str:
        return f"run:{self.run}"


@dataclass(frozen=True, kw_only=True)
class LoggedModelImported(Event):
    """A model that a run left elsewhere is here, before anybody registers a version of it."""

    kind = "model.imported"
    model: str
    source: str
    files: dict[str, str]  # digests by path

    @property
    def subject(self) -> str:
        return f"logged-model:{self.model}"
