# SPDX-License-Identifier: Apache-2.0
"""What a run read and made, as MLflow's clients tell it: datasets with their digests, and logged models.

They are links of the run. A dataset whose digest is that of a snapshot here is linked to the snapshot as well.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.pipelines import Input
from mainstay.domain.tracking import Link, SeenDataset
from mainstay.lifecycle.data import snapshots
from mainstay.lifecycle.pipelines import executions
from mainstay.lifecycle.tracking import logs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.runs import CONTEXT, RunIn
from mainstay.store import Ingest, View

calls = Calls()


class Tag(msgspec.Struct):
    key: str
    value: str = ""


class Dataset(msgspec.Struct):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct):
    dataset: Dataset | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class Model(msgspec.Struct):
    model_id: str
    step: int = 0


class InputsIn(RunIn, kw_only=True):
    datasets: list[DatasetInput] = msgspec.field(default_factory=list)
    models: list[Model] = msgspec.field(default_factory=list)


class OutputsIn(RunIn, kw_only=True):
    models: list[Model] = msgspec.field(default_factory=list)


@calls.ingest("POST", "runs/log-inputs")
def log_inputs(ingest: Ingest, body: InputsIn) -> None:
    """Which datasets and logged models a run read."""
    logs.must_run(ingest, body.run)
    found = [(_seen(each), {tag.key: tag.value for tag in each.tags}) for each in body.datasets]
    links.read_datasets(ingest, body.run, [(seen, tags, tags.get(CONTEXT)) for seen, tags in found])
    executions.connect(ingest, body.run, inputs=_snapshots(ingest, [seen for seen, _ in found]))
    links.add(ingest, body.run, [_model(ingest, "in", each) for each in body.models])


@calls.ingest("POST", "runs/outputs")
def log_outputs(ingest: Ingest, body: OutputsIn) -> None:
    """Which logged models a run made."""
    if not body.models:
        raise wire.missing("models")
    logs.must_run(ingest, body.run)
    links.add(ingest, body.run, [_model(ingest, "out", each) for each in body.models])


def _seen(given: DatasetInput) -> SeenDataset:
    if given.dataset is None:
        raise Invalid("Dataset input must have a dataset associated with it; send one.")
    return SeenDataset(**msgspec.structs.asdict(given.dataset))


def _snapshots(view: View, seen: list[SeenDataset]) -> list[Input]:
    """Those of our snapshots whose digest a dataset carries."""
    found = ((one, snapshots.of_digest(view, one.digest)) for one in seen)
    return [Input(kind="snapshot", ref=same.id, name=one.name) for one, several in found for same in several]


def _model(view: View, way: Any, given: Model) -> Link:
    try:
        name = logged_models.get(view, given.model_id, also_deleted=True).name
    except NotFound:
        name = given.model_id[:80]  # MLflow does not ask whether there is one
    return Link(way=way, kind="logged_model", ref=given.model_id[:80], name=name, step=given.step)
