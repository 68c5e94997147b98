# SPDX-License-Identifier: Apache-2.0
"""Imports: runs and experiments that another tool has on record, kept under the ids that they have there.

In: what whoever imports says of them: names, times, an outcome. Out: the same as if they had been recorded here, with the
source's name on each, and an event that says who brought it. A run is open until it is complete, then closed with the digests of
all it brought; whatever stays open was cut off, and is brought again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.events.tracking import ExperimentImported, LoggedModelImported, RunImported
from mainstay.domain.tracking import Artifact, Experiment, LoggedModel, Run, SeenDataset
from mainstay.lifecycle.tracking import experiments, logs, naming, runs, tables
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.lifecycle.tracking.logged_models import tables as logged_model_tables
from mainstay.store import Change, View

SOURCE_TAG = "mainstay.imported_from"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


class Brought(NamedTuple):
    """What of an experiment is here: ids of runs that are complete, and of logged models."""

    runs: list[str]
    logged_models: list[str]


def experiment(
    change: Change, *, source: str, name: str, tags: Mapping[str, str], created_at: datetime | None, is_deleted: bool
) -> Experiment:
    """The experiment of that name: the one that is here, or a new one as old as the other tool says.

    Raises:
        Invalid: the name is not usable.
    """
    found = tables.experiment_named(change, name)
    if found is None:
        found = experiments.create(change, name=name)
        tables.set_experiment(change, found.id, created_at=created_at or found.created_at)
        if is_deleted:
            experiments.delete(change, found.id)
    tables.put_experiment_tags(change, found.id, {**tags, SOURCE_TAG: source})
    change.record(ExperimentImported(experiment=found.id, source=source))
    return experiments.get(change, found.id)


def run(
    change: Change,
    *,
    source: str,
    identity: str,
    experiment: str,
    name: str,
    started_at: datetime | None,
    user: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    datasets: Sequence[tuple[SeenDataset, dict[str, str], str | None]],
) -> Run:
    """Begin to bring a run, or go on with one that is not complete.

    Raises:
        Conflict: a run of that id was recorded here, not imported, or is complete. Invalid: the id or a value is not usable.
        NotFound: no such experiment.
    """
    if not _RUN_ID.fullmatch(identity):
        raise Invalid(f"run id {identity[:60]!r} is not one of MLflow's; 32 hexadecimal digits are expected.")
    known = tables.run(change, identity)
    if known is not None:
        if logs.of(change, identity).tags.get(SOURCE_TAG) != source:
            raise Conflict(f"run {identity} is on record here and did not come from {source!r}; it is left as it is.")
        logs.must_run(change, identity)
        change.record(RunImported(run=identity, source=source, name=known.name, experiment=known.experiment))
        return known
    home = experiments.named(change, experiment)
    new = runs.insert(
        change,
        identity=identity,
        name=name if name.strip() and name.isprintable() else naming.made_up(),
        experiment=home.id,
        kind="run",
        parent=None,
        started_at=started_at,
        claimed_by=user,
    )
    footing = tables.Footing(home.id, True, False)
    logs.put_params(change, identity, footing, params)
    logs.put_tags(change, identity, footing, {**tags, SOURCE_TAG: source})
    links.read_datasets(change, identity, datasets)
    change.record(RunImported(run=identity, source=source, name=new.name, experiment=home.id))
    return new


def complete(
    change: Change, identity: str, *, state: str, ended_at: datetime | None, parent: str | None, is_deleted: bool
) -> Run:
    """All of a run is here: close its record with the outcome it had. A run that goes on there is one that was cut off here.

    Raises:
        NotFound: no such run. Invalid: another state.
    """
    if parent:
        runs.adopt(change, identity, parent)
    runs.finish(change, identity, state=state, ended_at=ended_at)
    if is_deleted:
        runs.delete(change, identity)
    return runs.get(change, identity)


def logged_model(
    change: Change,
    *,
    source: str,
    identity: str,
    experiment: str,
    name: str,
    kind: str,
    run: str | None,
    state: str,
    created_at: datetime | None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    files: Sequence[Artifact],
) -> LoggedModel:
    """Keep a logged model with its files; one that is here already takes what is new.

    Raises:
        Invalid: the id or a value is not usable. NotFound: no such experiment or blob.
    """
    if not _MODEL_ID.fullmatch(identity):
        raise Invalid(
            f"model id {identity[:60]!r} is not one of MLflow's; 'm-' and 32 hexadecimal digits are expected."
        )
    if logged_model_tables.logged_model(change, identity) is None:
        at = created_at or change.now()
        new = LoggedModel(
            id=identity,
            experiment=experiments.named(change, experiment).id,
            name=name,
            kind=kind,
            state=state,
            run=run,
            actor=change.actor,
            created_at=at,
            updated_at=at,
        )
        logged_model_tables.put_logged_model(change, new)
    logged_models.put_params(change, identity, params)
    logged_models.put_tags(change, identity, {**tags, SOURCE_TAG: source})
    for file in files:
        logged_models.add_artifact(change, identity, file)
    change.record(LoggedModelImported(model=identity, source=source, files={file.path: file.digest for file in files}))
    return logged_models.get(change, identity)


def brought(view: View, source: str, experiment: str) -> Brought:
    """What of an experiment was brought from ``source`` before; nothing where there is no such experiment."""
    found = tables.experiment_named(view, experiment)
    if found is None:
        return Brought([], [])
    return Brought(
        tables.imported_into(view, SOURCE_TAG, source, found.id),
        logged_model_tables.imported_into(view, SOURCE_TAG, source, found.id),
    )


def count(view: View, source: str) -> dict[str, int]:
    """How much of ``source`` is on record here: experiments, runs, points, files and logged models; complete runs only."""
    found = tables.count_imported(view, SOURCE_TAG, source)
    models, files = logged_model_tables.count_imported(view, SOURCE_TAG, source)
    return {**found, "files": found["files"] + files, "logged_models": models}
