# SPDX-License-Identifier: Apache-2.0
"""MLflow's database, read directly: an SQLite file, or PostgreSQL where its driver is installed. No server needs to run.

Files are found where the database says: a local folder, or, for ``mlflow-artifacts:``, below the folder that is given. What lies
in an object store is not reached from here; the import says so and goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mainstay.adoption.history import (
    Owner,
    PastExperiment,
    PastLoggedModel,
    PastModel,
    PastPoint,
    PastRun,
    PastVersion,
)
from mainstay.adoption.mlflow import (
    DELETED,
    NAME,
    PARENT,
    STATE_BY_STATUS,
    dataset,
    moment,
    staged,
    tables,
    whence,
)
from mainstay.domain.errors import Unavailable

_STATE_OF_MODEL = {1: "pending", 2: "ready", 3: "failed"}
_RUN = ["run_uuid", "name", "status", "start_time", "end_time", "user_id", "lifecycle_stage", "artifact_uri"]
_MODEL = [
    "model_id", "name", "source_run_id", "status", "model_type", "creation_timestamp_ms", "artifact_location",
]  # fmt: skip


class Database:
    """See `mainstay.adoption.history.Source`."""

    def __init__(self, url: str, *, artifacts: Path | None = None) -> None:
        self.engine = tables.connect(url)
        self.name = f"mlflow database {Path(urlsplit(url).path).name or 'mlflow'}"
        self.artifacts = artifacts

    def experiments(self) -> Iterator[PastExperiment]:
        """See `Source.experiments`."""
        names = ["experiment_id", "name", "lifecycle_stage", "creation_time"]
        for row in sorted(tables.rows(self.engine, "experiments", names), key=lambda row: int(row.experiment_id)):
            yield PastExperiment(
                id=str(row.experiment_id),
                name=row.name,
                is_deleted=row.lifecycle_stage == "deleted",
                created_at=moment(getattr(row, "creation_time", None)),
                tags=tables.pairs(self.engine, "experiment_tags", "key", "value", experiment_id=row.experiment_id),
            )

    def runs(self, experiment: str) -> Iterator[PastRun]:
        """See `Source.runs`."""
        found = tables.rows(self.engine, "runs", _RUN, experiment_id=int(experiment))
        for row in sorted(found, key=lambda row: row.start_time or 0):
            identity = row.run_uuid
            tags = tables.pairs(self.engine, "tags", "key", "value", run_uuid=identity)
            yield PastRun(
                id=identity,
                experiment=experiment,
                name=getattr(row, "name", None) or tags.get(NAME, ""),
                state=STATE_BY_STATUS.get(row.status, "killed"),
                started_at=moment(row.start_time),
                ended_at=moment(row.end_time),
                user=row.user_id or None,
                is_deleted=row.lifecycle_stage == "deleted",
                place=row.artifact_uri or "",
                params=tables.pairs(self.engine, "params", "key", "value", run_uuid=identity),
                tags=tags,
                parent=tags.get(PARENT),
                metrics=tuple(sorted(tables.pairs(self.engine, "latest_metrics", "key", "step", run_uuid=identity))),
                datasets=tuple(self._datasets(identity)),
            )

    def points(self, run: PastRun, metric: str) -> Iterator[PastPoint]:
        """See `Source.points`."""
        names = ["step", "timestamp", "value", "is_nan"]
        for row in tables.rows(self.engine, "metrics", names, run_uuid=run.id, key=metric):
            at = moment(row.timestamp) or run.started_at
            if at is not None:
                yield PastPoint(step=row.step, at=at, value=float("nan") if row.is_nan else row.value)

    def logged_models(self, experiment: str) -> Iterator[PastLoggedModel]:
        """See `Source.logged_models`."""
        for row in tables.rows(self.engine, "logged_models", _MODEL, experiment_id=int(experiment)):
            yield PastLoggedModel(
                id=row.model_id,
                experiment=experiment,
                name=row.name,
                run=row.source_run_id or None,
                state=_STATE_OF_MODEL.get(row.status, "ready"),
                kind=row.model_type or "",
                created_at=moment(row.creation_timestamp_ms),
                place=row.artifact_location,
                params=tables.pairs(
                    self.engine, "logged_model_params", "param_key", "param_value", model_id=row.model_id
                ),
                tags=tables.pairs(self.engine, "logged_model_tags", "tag_key", "tag_value", model_id=row.model_id),
            )

    def models(self) -> Iterator[PastModel]:
        """See `Source.models`."""
        for row in tables.rows(self.engine, "registered_models", ["name", "description", "creation_time"]):
            yield PastModel(
                name=row.name,
                description=row.description or "",
                created_at=moment(row.creation_time),
                tags=tables.pairs(self.engine, "registered_model_tags", "key", "value", name=row.name),
                aliases={
                    each.alias: int(each.version)
                    for each in tables.rows(
                        self.engine, "registered_model_aliases", ["alias", "version"], name=row.name
                    )
                },
            )

    def versions(self, model: str) -> Iterator[PastVersion]:
        """See `Source.versions`."""
        names = ["version", "run_id", "source", "description", "current_stage", "creation_time"]
        # MLflow keeps the row of a deleted version, and says so where its stage stood.
        found = [
            row for row in tables.rows(self.engine, "model_versions", names, name=model) if row.current_stage != DELETED
        ]
        for row in sorted(found, key=lambda row: int(row.version)):
            yield PastVersion(
                model=model,
                number=int(row.version),
                origin=row.source or "",
                **whence(row.source or "", row.run_id or None)._asdict(),
                description=row.description or "",
                created_at=moment(row.creation_time),
                tags=staged(
                    tables.pairs(
                        self.engine, "model_version_tags", "key", "value", name=model, version=int(row.version)
                    ),
                    row.current_stage,
                ),
            )

    def files(self, owner: Owner) -> Iterator[str]:
        """See `Source.files`."""
        folder = self._folder(owner)
        for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if file.is_file() and not file.is_symlink():
                yield file.relative_to(folder).as_posix()

    def fetch(self, owner: Owner, path: str, into: Path) -> None:
        """See `Source.fetch`."""
        try:
            shutil.copyfile(self._folder(owner) / path, into)
        except OSError as error:
            raise Unavailable(f"file {path!r} of {owner.id} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """See `Source.close`."""
        self.engine.dispose()

    def _folder(self, owner: Owner) -> Path:
        parts = urlsplit(owner.place)
        if parts.scheme in ("", "file"):
            return Path(unquote(parts.path))
        if parts.scheme == "mlflow-artifacts" and self.artifacts is not None:
            return self.artifacts / unquote(parts.path).lstrip("/")
        if parts.scheme == "mlflow-artifacts":
            raise Unavailable(
                f"the files of {owner.id} lie behind its server ({owner.place[:80]}); say which folder that is with --artifacts."
            )
        raise Unavailable(f"the files of {owner.id} lie in {parts.scheme}://, which an import does not reach.")

    def _datasets(self, run: str) -> Iterator[dict[str, Any]]:
        names = ["input_uuid", "source_id"]
        wanted = {"source_type": "DATASET", "destination_type": "RUN", "destination_id": run}
        for used in tables.rows(self.engine, "inputs", names, **wanted):
            columns = ["name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile"]
            for row in tables.rows(self.engine, "datasets", columns, dataset_uuid=used.source_id):
                found = {name.removeprefix("dataset_"): value for name, value in row._mapping.items()}
                tags = tables.pairs(self.engine, "input_tags", "name", "value", input_uuid=used.input_uuid)
                yield dataset(found, tags)
