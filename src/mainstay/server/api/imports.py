# SPDX-License-Identifier: Apache-2.0
"""What another tool has on record, brought by a client that reads it: claims, each with the name of its source.

Points, files and blobs of a run that is being brought go the way of any run's; these routes are for what a client may not say
of a run that is recorded here: its id, when it was, how it ended.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Alias
from mainstay.domain.tracking import Artifact, SeenDataset
from mainstay.lifecycle.registry import imports as registry_imports
from mainstay.lifecycle.tracking import imports, logs, runs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("tracking")

_LONGEST_SOURCE = 200


class SourceIn(Body):
    source: str


class ExperimentIn(SourceIn):
    name: str
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    created_at: str | None = None
    is_deleted: bool = False


class ExperimentOut(msgspec.Struct):
    id: int
    name: str


class DatasetIn(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    context: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class RunIn(SourceIn):
    id: str
    experiment: str
    name: str
    started_at: str | None = None
    user: str | None = None
    params: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    datasets: list[DatasetIn] = msgspec.field(default_factory=list)


class Known(msgspec.Struct):
    id: str


class OfExperiment(msgspec.Struct):
    runs: list[str]  # complete ones
    logged_models: list[str]


class OfModel(msgspec.Struct):
    is_here: bool
    versions: list[int]
    aliases: dict[str, int]


class CompleteIn(SourceIn):
    state: str
    ended_at: str | None = None
    parent: str | None = None
    is_deleted: bool = False


class FileIn(msgspec.Struct, forbid_unknown_fields=True):
    digest: str
    size: int
    media_type: str = "application/octet-stream"


class LoggedModelIn(SourceIn):
    id: str
    experiment: str
    name: str
    run: str | None = None
    state: str = "ready"
    kind: str = ""
    created_at: str | None = None
    params: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    files: dict[str, FileIn] = msgspec.field(default_factory=dict)


class ModelIn(SourceIn):
    name: str
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class VersionIn(SourceIn):
    model: str
    number: int
    origin: str
    run: str | None = None
    path: str | None = None  # of the run's files; those of the logged model otherwise
    logged_model: str | None = None
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class VersionOut(msgspec.Struct):
    id: str
    is_reference: bool


class AliasIn(SourceIn):
    model: str
    alias: str
    number: int


class Count(msgspec.Struct):
    experiments: int
    runs: int
    points: int
    files: int
    logged_models: int
    models: int
    versions: int
    aliases: int


@routes.post("/imports/experiments", permission="write")
def bring_experiment(change: Change, body: ExperimentIn) -> ExperimentOut:
    """The experiment of that name, made now if there is none."""
    found = imports.experiment(
        change,
        source=_source(body),
        name=body.name,
        tags=body.tags,
        created_at=_moment(body.created_at),
        is_deleted=body.is_deleted,
    )
    return ExperimentOut(found.id, found.name)


@routes.post("/imports/runs", permission="write")
def bring_run(change: Change, body: RunIn) -> Known:
    """Begin to bring a run under the id that it has there, or go on with one that was cut off."""
    brought = imports.run(
        change,
        source=_source(body),
        identity=body.id,
        experiment=body.experiment,
        name=body.name,
        started_at=_moment(body.started_at),
        user=body.user,
        params=body.params,
        tags=body.tags,
        datasets=[_dataset(each) for each in body.datasets],
    )
    return Known(brought.id)


@routes.post("/imports/runs/{run_id}/complete", permission="write")
def complete_run(change: Change, run_id: str, body: CompleteIn) -> Known:
    """All of a run is here: its record is closed with the outcome that it had."""
    imports.complete(
        change,
        run_id,
        state=body.state,
        ended_at=_moment(body.ended_at),
        parent=body.parent,
        is_deleted=body.is_deleted,
    )
    return Known(run_id)


@routes.post("/imports/logged-models", permission="write")
def bring_logged_model(change: Change, body: LoggedModelIn) -> Known:
    """A logged model with its files, under the id that it has there."""
    files = [Artifact(path=path, **msgspec.structs.asdict(file)) for path, file in body.files.items()]
    made = imports.logged_model(
        change,
        source=_source(body),
        identity=body.id,
        experiment=body.experiment,
        name=body.name,
        kind=body.kind,
        run=body.run,
        state=body.state,
        created_at=_moment(body.created_at),
        params=body.params,
        tags=body.tags,
        files=files,
    )
    return Known(made.id)


@routes.post("/imports/models", permission="write")
def bring_model(change: Change, body: ModelIn) -> Known:
    """The model of that name, made now if there is none; whoever asks answers for it."""
    made = registry_imports.model(
        change, source=_source(body), name=body.name, description=body.description, tags=body.tags
    )
    return Known(made.name)


@routes.post("/imports/versions", permission="write")
def bring_version(change: Change, body: VersionIn) -> VersionOut:
    """A version under the number that it has there: of the files that were brought before, or a reference to what was not."""
    run, files = _files(change, body)
    made = registry_imports.version(
        change,
        source=_source(body),
        model=body.model,
        number=body.number,
        files=files,
        run_id=run,
        origin=body.origin,
        description=body.description,
        tags=body.tags,
        metrics=logs.of(change, run).metrics if run else {},
    )
    return VersionOut(made.id, made.is_reference)


@routes.post("/imports/aliases", permission="write")
def bring_alias(change: Change, body: AliasIn) -> Alias:
    """An alias as it stands there; one that names another version here stays."""
    return registry_imports.alias(change, model=body.model, name=body.alias, number=body.number)


@routes.get("/imports/experiment", permission="read")
def show_brought_experiment(view: View, source: str, name: str) -> OfExperiment:
    """What of an experiment was brought from a source before: it need not be brought again."""
    return OfExperiment(*imports.brought(view, source, name))


@routes.get("/imports/model", permission="read")
def show_model(view: View, source: str, name: str) -> OfModel:
    """What of a model was brought from a source before."""
    return OfModel(*registry_imports.brought(view, source, name))


@routes.get("/imports/count", permission="read")
def count_brought(view: View, source: str) -> Count:
    """How much of a source is on record here, of runs the complete ones."""
    return Count(**imports.count(view, source), **registry_imports.count(view, source))


def _files(view: View, body: VersionIn) -> tuple[str | None, dict[str, str]]:
    """The run a version came from, and the digests of its files, as far as both are here."""
    run = body.run if body.run and runs.exists(view, body.run) else None
    if body.logged_model:
        return run, {each.path: each.digest for each in logged_models.artifacts_of(view, body.logged_model)}
    if run and body.path is not None:
        return run, registry_imports.files_of(view, run, body.path)
    return run, {}


def _dataset(told: DatasetIn) -> tuple[SeenDataset, dict[str, str], str | None]:
    seen = SeenDataset(
        name=told.name,
        digest=told.digest,
        source_type=told.source_type,
        source=told.source,
        schema=told.schema,
        profile=told.profile,
    )
    return seen, told.tags, told.context


def _source(body: SourceIn) -> str:
    if not body.source.strip() or len(body.source) > _LONGEST_SOURCE or not body.source.isprintable():
        raise Invalid(f"source {body.source[:60]!r} is not usable; 1 to {_LONGEST_SOURCE} printable characters are.")
    return body.source


def _moment(text: str | None) -> Any:
    return None if text is None else from_wire(text)
