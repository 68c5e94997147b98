# SPDX-License-Identifier: Apache-2.0
"""The embedded database: one SQLite file, WAL, synced at every commit.

Every write begins with BEGIN IMMEDIATE, since a read that turns into a write fails at once under load whatever the timeout
(measured); within this process writers queue on one lock, since SQLite's own waiting is unfair. They share one connection
that stays open: taking one from the pool and making it writable costs as much as a small insert.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DatabaseError

from mainstay.domain.errors import Corrupt, StorageFull, Unavailable
from mainstay.store import patterns
from mainstay.store.databases import FULL_DISK, Insertions, directly

_BUSY_TIMEOUT_MS = 15_000
# What SQLite says, besides SQLITE_FULL, when a file cannot grow (measured on a full disk and under a file size limit).
_WRITE_FAULTS = frozenset({"SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSTAT"})


class SQLite:
    """See `Database`."""

    def __init__(self, file: Path) -> None:
        self.engine = _engine(file)
        self._insertions = Insertions(self.engine.dialect)
        self._writing = threading.Lock()
        self._writer: Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See `Database.writing`."""
        with self._writing:
            if self._writer is None:
                self._writer = self.engine.connect().execution_options(writes=True)
            try:
                with self._writer.begin():
                    yield self._writer
            except BaseException:
                # Back to the pool, which rolls back whatever a COMMIT that failed has left open.
                self._let_go()
                raise

    def append(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See `Database.append`."""
        insertion = self._insertions.of(table, columns)
        prepared = insertion.prepared(rows)
        directly(
            connection, insertion.statement, prepared if len(prepared) > 1 else prepared[0], many=len(prepared) > 1
        )

    def meaning(self, error: DatabaseError) -> Exception:
        """See `Database.meaning`."""
        name = getattr(error.orig, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or name in _WRITE_FAULTS:
            return StorageFull(FULL_DISK)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Unavailable("the workspace is busy with another writer; repeat in a moment.")
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return Unavailable("the workspace cannot be written: check the owner and the permissions of its folder.")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return Corrupt("mainstay.db is not a readable database; restore it from a backup.")
        if name.startswith("SQLITE_IOERR"):
            return Unavailable(f"the workspace's disk fails ({name}); look at the system's log before anything else.")
        return error

    def follow(self, told: Callable[[], None]) -> None:
        """See `Database.follow`. A workspace on SQLite has one server, and that is this process."""

    def leads(self) -> bool:
        """See `Database.leads`. Nobody else is there."""
        return True

    def make_schema(self) -> None:
        """See `Database.make_schema`. The file is the place."""

    def close(self) -> None:
        """See `Database.close`."""
        with self._writing:
            self._let_go()
        self.engine.dispose()

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def _engine(file: Path) -> Engine:
    # Not from a text: a folder with a "?" in its name would be read as an address with parameters.
    engine = create_engine(URL.create("sqlite", database=str(file)), pool_size=16, max_overflow=32, pool_timeout=60)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own, implicit BEGIN would come too late
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # A search that sorts a hundred thousand runs looks into many pages again and again; 2 MB, as it comes, hold too few.
        cursor.execute("PRAGMA cache_size=-16384")
        # As on PostgreSQL: LIKE tells upper from lower case.
        cursor.execute("PRAGMA case_sensitive_like=ON")
        cursor.close()
        connection.create_function("regexp", 2, patterns.found, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if connection.info.get("writes") is not writes:
            # A View promises that nothing changes; the database itself sees to it.
            connection.exec_driver_sql("PRAGMA query_only=OFF" if writes else "PRAGMA query_only=ON")
            connection.info["writes"] = writes
        directly(connection, "BEGIN IMMEDIATE" if writes else "BEGIN", ())

    return engine
