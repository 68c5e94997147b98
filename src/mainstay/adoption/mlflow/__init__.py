# SPDX-License-Identifier: Apache-2.0
"""MLflow as a source of an import. A file here is one place where MLflow keeps its record: a server, a database, a folder.

Source: MLflow's REST API reference, and the tables and files that its versions 2.x and 3.x write.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay.adoption.history import Source
from mainstay.domain.errors import Invalid, NotFound

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
