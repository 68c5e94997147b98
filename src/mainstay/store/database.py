# SPDX-License-Identifier: Apache-2.0
"""The store: everything durable of one workspace, and the transactions in which everything happens.

In: a workspace folder. Out: `Store`, whose `change`, `ingest`, `ingest_together` and `view` are the only ways in. Writers come
one after the other, whichever database is below: a verb looks first and acts then, and nobody changes the ground between.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mainstay import settings
from mainstay.domain.clock import Clock, utc_now
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Conflict, StorageFull, Unavailable
from mainstay.store.blobs import Blobs
from mainstay.store.blobs.local import LocalBlobs, is_local
from mainstay.store.blobs.objects import ObjectBlobs
from mainstay.store.change import Change, Ingest, View
from mainstay.store.databases import FULL_DISK, Database, directly
from mainstay.store.databases.sqlite import SQLite
from mainstay.store.migrate import upgrade
from mainstay.store.rounds import Rounds, Turn

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

EMBEDDED = "mainstay.db"
# Stands in a workspace whose rows are in PostgreSQL: without it, a forgotten setting would show an empty workspace.
ELSEWHERE = "postgresql"
# The same for blobs that are in an object store: it holds their address, and nothing secret.
OBJECTS = "objects"

T = TypeVar("T")


class Store:
    """Everything durable of one workspace."""

    def __init__(self, database: Database, blobs: Blobs, clock: Clock = utc_now) -> None:
        self.database = database
        self.blobs = blobs
        self.clock = clock
        self._rounds = Rounds(self._carry_out)
        self._committed = threading.Condition()
        self._commits = 0
        self._changes = 0
        self._follows_others = False

    @property
    def engine(self) -> Engine:
        """The pool of connections below."""
        return self.database.engine

    @contextmanager
    def change(self, *, actor: str, reason: str = "", because: int | None = None) -> Iterator[Change]:
        """A governed write; it commits when the block ends, if it recorded what it did.

        Raises:
            RuntimeError: the block recorded no event. That is a mistake in our code, so it is loud.
        """
        with self._write() as connection:
            change = Change(
                connection, self.blobs, self.clock, self.database, actor=actor, reason=reason, because=because
            )
            yield change
            if not change.recorded:
                raise RuntimeError("a Change that records no event may not commit; use ingest for telemetry")
        with self._committed:
            self._changes += 1

    @contextmanager
    def ingest(self) -> Iterator[Ingest]:
        """A durable write of telemetry."""
        with self._write() as connection:
            yield Ingest(connection, self.blobs, self.clock, self.database)

    def ingest_together(self, work: Callable[[Ingest], T]) -> T:
        """Carry out a small ``work`` in one transaction with those of other threads; it returns when that is durable.

        What ``work`` raises undoes its own part and is raised here; the others' parts stay. It may run on another thread.
        """
        return self._rounds.take(work)

    @contextmanager
    def view(self) -> Iterator[View]:
        """A read; everything in the block sees one state."""
        with translated(self.database), self.database.reading() as connection:
            yield View(connection, self.blobs, self.clock)

    def wait_for_commit(self, seen: int, seconds: float) -> int:
        """Sleep until something was committed after ``seen`` (a former result; 0 at first) or the time is over."""
        self._follow_others()
        with self._committed:
            self._committed.wait_for(lambda: self._commits > seen, timeout=seconds)
            return self._commits

    @property
    def commits(self) -> int:
        """Grows with every commit, also of another process (a moment later); while it stands still, nothing needs to be
        looked up again."""
        self._follow_others()
        return self._commits

    @property
    def changes(self) -> int:
        """Grows with every governed change, and with every commit of another process: while it stands still, nobody has another
        role, and no token was revoked."""
        self._follow_others()
        return self._changes

    def _follow_others(self) -> None:
        """From the first time that somebody asks: most programs that open a store never do."""
        with self._committed:
            follows, self._follows_others = self._follows_others, True
        if not follows:
            self.database.follow(self._tell_of_others)

    def _tell_of_others(self) -> None:
        with self._committed:
            self._changes += 1
        self._tell()

    def _tell(self) -> None:
        with self._committed:
            self._commits += 1
            self._committed.notify_all()

    def leads(self) -> bool:
        """Whether this process acts for all that share the database; it takes the place if it is free. For one thread to ask."""
        return self.database.leads()

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with translated(self.database), self.database.writing() as connection:
            yield connection
        self._tell()

    def _carry_out(self, gather: Callable[[], Sequence[Turn]]) -> None:
        with self._write() as connection:
            turns = gather()
            if len(turns) == 1:  # nobody else's rows are at stake: the transaction itself is the savepoint
                turns[0].result = turns[0].work(Ingest(connection, self.blobs, self.clock, self.database))
                return
            for turn in turns:
                self._carry_out_apart(connection, turn)

    def _carry_out_apart(self, connection: Connection, turn: Turn) -> None:
        directly(connection, "SAVEPOINT turn", ())
        try:
            with translated(self.database):
                turn.result = turn.work(Ingest(connection, self.blobs, self.clock, self.database))
        except Exception as error:
            turn.error = error
            try:
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT turn")
            except DatabaseError:
                raise error from None  # the database gave up the whole transaction (a full disk): so do we
        directly(connection, "RELEASE SAVEPOINT turn", ())


def open_store(workspace: Path, *, clock: Clock = utc_now) -> Store:
    """Open the store of ``workspace``, made and migrated if need be: embedded, or where the setting ``database_url`` says.

    Raises:
        Unavailable: the folder or the database cannot be used. Corrupt: the file is no database.
        Conflict: it is newer than this program, or the workspace keeps its rows elsewhere.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = _database_of(workspace)
        blobs = _blobs_of(workspace)
    except OSError as error:
        raise Unavailable(
            f"workspace {workspace.name!r} cannot be used: {error.strerror}. Choose another folder with --workspace."
        ) from error
    try:
        with translated(database):
            database.make_schema()
            upgrade(database.engine)
    except BaseException:
        database.close()
        raise
    return Store(database, blobs, clock)


def _database_of(workspace: Path) -> Database:
    """The database that goes with the blobs in this folder; never another one, which would know nothing of them."""
    file, elsewhere = workspace / EMBEDDED, workspace / ELSEWHERE
    url = settings.get("database_url") or (os.environ.get("DATABASE_URL") if elsewhere.exists() else None)
    if url and file.exists():
        raise Conflict(
            f"workspace {workspace.name!r} has an embedded database, and setting MAINSTAY_DATABASE_URL names another one; "
            "unset it, or choose another folder with --workspace."
        )
    if url:
        from mainstay.store.databases.postgres import Postgres  # loads a dialect, for the few that use it

        elsewhere.touch(0o600)
        schema = settings.get("database_schema").replace("{workspace}", _name_of(workspace))
        return Postgres(url, schema=schema)
    if elsewhere.exists():
        raise Conflict(
            f"workspace {workspace.name!r} keeps its rows in PostgreSQL; "
            "set MAINSTAY_DATABASE_URL to the address that it was made with."
        )
    # Made here, not by SQLite, so that nobody else can read it even in a folder that was there before and is open to all.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    return SQLite(file)


def _blobs_of(workspace: Path) -> Blobs:
    """The blobs that go with these rows: in the folder, or in the object store that it once was given."""
    url, marker = settings.get("blobs").rstrip("/"), workspace / OBJECTS
    kept = marker.read_text().strip() if marker.exists() else ""
    most = settings.get("blob_cache_gb") << 30
    if url and kept and url != kept:
        raise Conflict(
            f"workspace {workspace.name!r} keeps its blobs in {kept}, and setting MAINSTAY_BLOBS names another place; unset it."
        )
    if not url and not kept:
        return LocalBlobs(workspace / "blobs", most_whole=most)
    if is_local(workspace):
        raise Conflict(
            f"workspace {workspace.name!r} has blobs in its folder, and its blobs are to be in {url or kept}; "
            "copy blobs/ there and rename that folder, or choose another folder with --workspace."
        )
    blobs = ObjectBlobs(url or kept, workspace / "cache" / "objects", most_whole=most)
    if not kept:
        list(blobs.digests())  # a bucket that is not there should be told of now
        marker.write_text(url + "\n")
    return blobs


def _name_of(workspace: Path) -> str:
    return f"mainstay_{sha256_hex(str(workspace.resolve()).encode())[:16]}"


@contextmanager
def translated(database: Database) -> Iterator[None]:
    """Turn what the driver says into what a person can act on."""
    try:
        yield
    except IntegrityError:
        raise  # a rule of a table was broken: our own mistake, not the file's
    except DatabaseError as error:
        raise database.meaning(error) from error
    except PoolTimeout as error:
        raise Unavailable("too many requests wait for the database; repeat in a moment.") from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(FULL_DISK) from error
        raise
