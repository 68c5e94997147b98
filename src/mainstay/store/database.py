# SPDX-License-Identifier: Apache-2.0
"""The database behind the control plane, and the transactions in which everything happens.

In: a workspace folder. Out: `Store`, whose `change`, `ingest` and `view` are the only ways in. On SQLite every write begins
with BEGIN IMMEDIATE, since a read that turns into a write fails at once under load whatever the timeout (measured); within
this process writers queue on one lock, since SQLite's own waiting is unfair.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError

from mainstay.domain.clock import Clock, utc_now
from mainstay.domain.errors import Corrupt, StorageFull, Unavailable
from mainstay.store.blobs import Blobs
from mainstay.store.blobs.local import LocalBlobs
from mainstay.store.change import Change, Ingest, View
from mainstay.store.migrate import upgrade

_BUSY_TIMEOUT_MS = 15_000
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What SQLite says, besides SQLITE_FULL, when a file cannot grow (measured on a full disk and under a file size limit).
_WRITE_FAULTS = frozenset({"SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSTAT"})
_FULL = "the workspace's disk is full: nothing was written. Free some space, then repeat."


class Store:
    """Everything durable of one workspace."""

    def __init__(self, engine: Engine, blobs: Blobs, clock: Clock = utc_now) -> None:
        self.engine = engine
        self.blobs = blobs
        self.clock = clock
        self._writing = threading.Lock()
        self._committed = threading.Condition()
        self._commits = 0

    @contextmanager
    def change(self, *, actor: str, reason: str = "", because: int | None = None) -> Iterator[Change]:
        """A governed write; it commits when the block ends, if it recorded what it did.

        Raises:
            RuntimeError: the block recorded no event. That is a mistake in our code, so it is loud.
        """
        with self._write() as connection:
            change = Change(connection, self.blobs, self.clock, actor=actor, reason=reason, because=because)
            yield change
            if not change.recorded:
                raise RuntimeError("a Change that records no event may not commit; use ingest for telemetry")

    @contextmanager
    def ingest(self) -> Iterator[Ingest]:
        """A durable write of telemetry."""
        with self._write() as connection:
            yield Ingest(connection, self.blobs, self.clock)

    @contextmanager
    def view(self) -> Iterator[View]:
        """A read; everything in the block sees one state."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield View(connection, self.blobs, self.clock)

    def wait_for_commit(self, seen: int, seconds: float) -> int:
        """Sleep until something was committed after ``seen`` (a former result; 0 at first) or the time is over."""
        with self._committed:
            self._committed.wait_for(lambda: self._commits > seen, timeout=seconds)
            return self._commits

    @property
    def commits(self) -> int:
        """How often this process has committed: while it stands still, nothing needs to be looked up again."""
        return self._commits

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with _translated(), self._writing, self.engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection
        with self._committed:
            self._commits += 1
            self._committed.notify_all()


def open_store(workspace: Path, *, clock: Clock = utc_now) -> Store:
    """Open the embedded store in ``workspace``, made and migrated if need be.

    Raises:
        Unavailable: the folder cannot be written. Corrupt: the file is no database. Conflict: it is newer than this program.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made here, not by SQLite, so that nobody else can read it even in a folder that was there before and is open to all.
        os.close(os.open(workspace / "mainstay.db", os.O_RDWR | os.O_CREAT, 0o600))
        blobs = LocalBlobs(workspace / "blobs")
    except OSError as error:
        raise Unavailable(
            f"workspace {workspace.name!r} cannot be used: {error.strerror}. Choose another folder with --workspace."
        ) from error
    engine = sqlite_engine(workspace / "mainstay.db")
    try:
        with _translated():
            upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, blobs, clock)


def sqlite_engine(file: Path) -> Engine:
    """An engine on one SQLite file: WAL, FULL, foreign keys, explicit transactions."""
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
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        # A View promises that nothing changes; the database itself sees to it.
        connection.exec_driver_sql("PRAGMA query_only=OFF" if writes else "PRAGMA query_only=ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the driver says into what a person can act on."""
    try:
        yield
    except IntegrityError:
        raise  # a rule of a table was broken: our own mistake, not the file's
    except DatabaseError as error:
        raise _meaning(error) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(_FULL) from error
        raise


def _meaning(error: DatabaseError) -> Exception:
    name = getattr(error.orig, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name in _WRITE_FAULTS:
        return StorageFull(_FULL)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unavailable("the workspace is busy with another writer; repeat in a moment.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return Unavailable("the workspace cannot be written: check the owner and the permissions of its folder.")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Corrupt("mainstay.db is not a readable database; restore it from a backup.")
    if name.startswith("SQLITE_IOERR"):
        return Unavailable(f"the workspace's disk fails ({name}); look at the system's log before anything else.")
    return error
