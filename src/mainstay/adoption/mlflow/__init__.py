# SPDX-License-Identifier: Apache-2.0
"""MLflow as a source of an import. A file here is one place where MLflow keeps its record: a server, a database, a folder.

Source: MLflow's REST API reference, and the tables and files that its versions 2.x and 3.x write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from mainstay.adoption.history import Source
from mainstay.domain.errors import Invalid, NotFound

STATE_BY_STATUS = {
    "FINISHED": "succeeded",
    "FAILED": "failed",
    "KILLED": "killed",
    "RUNNING": "killed",
    "SCHEDULED": "killed",
}
PARENT, NAME, CONTEXT = "mlflow.parentRunId", "mlflow.runName", "mlflow.data.context"
STAGE_TAG = "mlflow.stage"
#: Where MLflow's database marks a version as deleted, instead of a stage.
DELETED = "Deleted_Internal"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_MODEL = re.compile(r"(?:^models:/+|/models/)(?P<model>m-[0-9a-f]{32})")
_OF_RUN = re.compile(r"(?:^runs:/+|/)(?P<run>[0-9a-f]{32})/(?:artifacts/?)?(?P<path>.*)$")


class Whence(NamedTuple):
    """Where a version's files are: at a path of a run's files, or those of a logged model; nowhere known otherwise."""

    run: str | None = None
    path: str | None = None
    logged_model: str | None = None


def whence(origin: str, run: str | None) -> Whence:
    """Read what MLflow calls the source of a version; ``run`` is the one that it names beside it.

    >>> whence("runs:/0123456789abcdef0123456789abcdef/model", None).path
    'model'
    """
    if found := _OF_MODEL.search(origin):
        return Whence(run, None, found["model"])
    if found := _OF_RUN.search(origin):
        return Whence(found["run"], found["path"])
    return Whence(run)


def staged(tags: Mapping[str, str], stage: str | None) -> dict[str, str]:
    """The tags with the stage among them: there are none here, and what it said should not be lost."""
    return dict(tags) | ({STAGE_TAG: stage} if stage and stage != "None" else {})


def dataset(found: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """A dataset that a run read, in the words of the import."""
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    return {name: found.get(name) for name in names if found.get(name) is not None} | {
        "tags": dict(tags),
        "context": tags.get(CONTEXT),
    }


def open_source(where: str, *, token: str | None = None, artifacts: Path | None = None) -> Source:
    """The source at ``where``: ``http://…``, ``sqlite:///FILE``, ``postgresql://…``, a database file or a folder ``mlruns``.

    Args:
        token: what to show to a server. artifacts: the folder behind ``mlflow-artifacts:``, where a database speaks of it.

    Raises:
        NotFound: there is no such file or folder. Invalid: it is none of these.
    """
    from mainstay.adoption.mlflow import database, folder, server

    scheme, colon, _ = where.partition("://")
    if colon and scheme in ("http", "https"):
        return server.Server(where, token=token)
    if colon and scheme.partition("+")[0] in ("sqlite", "postgresql", "mysql"):
        return database.Database(where, artifacts=artifacts)
    path = Path(where.removeprefix("file://")).expanduser()
    if path.is_dir():
        return folder.Folder(path)
    if path.is_file():
        return database.Database(f"sqlite:///{path.resolve()}", artifacts=artifacts)
    if colon:
        raise Invalid(
            f"{where[:120]!r} cannot be imported; a server, an SQLite or PostgreSQL database or a folder can."
        )
    raise NotFound(f"there is nothing at {where[:200]!r}; give the address of a server, a database file or a folder.")


def moment(millis: int | float | str | None) -> datetime | None:
    """The moment of milliseconds since 1970; None where there is none, or none that a calendar has."""
    try:
        return _EPOCH + timedelta(milliseconds=int(millis)) if millis else None
    except (OverflowError, ValueError):
        return None
