# SPDX-License-Identifier: Apache-2.0
"""MLflow's folder ``mlruns``: a folder an experiment, below it a folder a run, a file a metric, parameter or tag.

Everything here was written by somebody's program: files are read as text or as plain YAML, with a limit on size, and links are
not followed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from mainstay.adoption.history import (
    Owner,
    PastExperiment,
    PastLoggedModel,
    PastModel,
    PastPoint,
    PastRun,
    PastVersion,
)
from mainstay.adoption.mlflow import DELETED, NAME, PARENT, dataset, moment, staged, whence
from mainstay.domain.errors import Invalid, Unavailable

_META = "meta.yaml"
_LARGEST_META = 1 << 20
_STATE = {3: "succeeded", 4: "failed"}
_STATE_OF_MODEL = {1: "pending", 2: "ready", 3: "failed"}
_NOT_RUNS = frozenset({"models", "datasets", "tags", "traces"})


class Folder:
    """See `mainstay.adoption.history.Source`.

    Raises:
        Invalid: the folder holds no experiment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"mlflow folder {path.resolve().name}"
        self._experiments = {
            str(_meta(each)["experiment_id"]): each
            for each in (*_folders(path), *_folders(path / ".trash"))
            if "experiment_id" in _meta(each)
        }
        if not self._experiments:
            raise Invalid(f"folder {path.name!r} holds no experiment of MLflow; the folder 'mlruns' is expected.")

    def experiments(self) -> Iterator[PastExperiment]:
        """See `Source.experiments`."""
        for identity, folder in sorted(
            self._experiments.items(), key=lambda each: _meta(each[1]).get("creation_time") or 0
        ):
            meta = _meta(folder)
            yield PastExperiment(
                id=identity,
                name=str(meta.get("name", identity)),
                is_deleted=meta.get("lifecycle_stage") == "deleted" or folder.parent.name == ".trash",
                created_at=moment(meta.get("creation_time")),
                tags=_texts(folder / "tags"),
            )

    def runs(self, experiment: str) -> Iterator[PastRun]:
        """See `Source.runs`."""
        folders = [each for each in _folders(self._experiments[experiment]) if each.name not in _NOT_RUNS]
        for folder in sorted(folders, key=lambda each: _meta(each).get("start_time") or 0):
            meta, tags = _meta(folder), _texts(folder / "tags")
            if "run_id" not in meta and "run_uuid" not in meta:
                continue
            yield PastRun(
                id=str(meta.get("run_id") or meta.get("run_uuid")),
                experiment=experiment,
                name=str(meta.get("run_name") or tags.get(NAME, "")),
                state=_STATE.get(meta.get("status") or 1, "killed"),
                started_at=moment(meta.get("start_time")),
                ended_at=moment(meta.get("end_time")),
                user=meta.get("user_id") or None,
                is_deleted=meta.get("lifecycle_stage") == "deleted",
                place=str(folder / "artifacts"),
                params=_texts(folder / "params"),
                tags=tags,
                parent=tags.get(PARENT),
                metrics=tuple(sorted(_names(folder / "metrics"))),
                datasets=tuple(self._datasets(folder)),
            )

    def points(self, run: PastRun, metric: str) -> Iterator[PastPoint]:
        """See `Source.points`."""
        with (Path(run.place).parent / "metrics" / metric).open() as lines:
            for line in lines:
                parts = line.split()
                at = moment(parts[0]) if len(parts) >= 2 else None
                if at is not None:
                    yield PastPoint(step=int(parts[2]) if len(parts) > 2 else 0, at=at, value=float(parts[1]))

    def logged_models(self, experiment: str) -> Iterator[PastLoggedModel]:
        """See `Source.logged_models`."""
        for folder in _folders(self._experiments[experiment] / "models"):
            meta = _meta(folder)
            yield PastLoggedModel(
                id=folder.name,
                experiment=experiment,
                name=str(meta.get("name", "model")),
                run=meta.get("source_run_id") or None,
                state=_STATE_OF_MODEL.get(meta.get("status") or 2, "ready"),
                kind=meta.get("model_type") or "",
                created_at=moment(meta.get("creation_timestamp")),
                place=str(folder / "artifacts"),
                params=_texts(folder / "params"),
                tags=_texts(folder / "tags"),
            )

    def models(self) -> Iterator[PastModel]:
        """See `Source.models`."""
        for folder in _folders(self.path / "models"):
            meta = _meta(folder)
            yield PastModel(
                name=str(meta.get("name", folder.name)),
                description=str(meta.get("description") or ""),
                created_at=moment(meta.get("creation_timestamp")),
                tags=_texts(folder / "tags"),
                aliases={name: int(number) for name, number in _texts(folder / "aliases").items()},
            )

    def versions(self, model: str) -> Iterator[PastVersion]:
        """See `Source.versions`."""
        folders = [each for each in _folders(self.path / "models" / model) if each.name.startswith("version-")]
        for folder in sorted(folders, key=lambda each: int(each.name.partition("-")[2])):
            meta = _meta(folder)
            if meta.get("current_stage") == DELETED:
                continue
            yield PastVersion(
                model=model,
                number=int(folder.name.partition("-")[2]),
                origin=str(meta.get("source") or ""),
                **whence(str(meta.get("source") or ""), meta.get("run_id") or None)._asdict(),
                description=str(meta.get("description") or ""),
                created_at=moment(meta.get("creation_timestamp")),
                tags=staged(_texts(folder / "tags"), meta.get("current_stage")),
            )

    def files(self, owner: Owner) -> Iterator[str]:
        """See `Source.files`."""
        yield from _names(Path(owner.place))

    def fetch(self, owner: Owner, path: str, into: Path) -> None:
        """See `Source.fetch`."""
        try:
            shutil.copyfile(Path(owner.place) / path, into)
        except OSError as error:
            raise Unavailable(f"file {path!r} of {owner.id} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """See `Source.close`."""

    def _datasets(self, run: Path) -> Iterator[dict[str, Any]]:
        for used in _folders(run / "inputs"):
            meta = _meta(used)
            found = _meta(run.parent / "datasets" / str(meta.get("source_id")))
            if found:
                tags = meta.get("tags") or {}
                yield dataset(found, tags if isinstance(tags, dict) else {})


def local_folder(place: str) -> Path | None:
    """The folder that ``file:…`` or a plain path names; None for anything else."""
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.is_symlink()) if path.is_dir() else []


def _names(path: Path) -> list[str]:
    """Relative paths of the files below: a metric's name may hold slashes, and then folders stand for it."""
    if not path.is_dir():
        return []
    return sorted(
        each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file() and not each.is_symlink()
    )


def _texts(path: Path) -> dict[str, str]:
    return {name: (path / name).read_text(errors="replace").rstrip("\n") for name in _names(path)}


def _meta(folder: Path) -> dict[str, Any]:
    file = folder / _META
    try:
        if file.is_symlink() or file.stat().st_size > _LARGEST_META:
            return {}
        found = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}
