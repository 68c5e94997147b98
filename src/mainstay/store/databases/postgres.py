# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: a database that many server processes share, in a schema of its own.

The surprising thing: here too only one writer writes at a time, whichever process it is in. Each write transaction first takes an
advisory lock of the schema, and reads what the one before it has committed. So a verb that looks first and acts then is as
right as on SQLite, the chain cannot fork, and nothing needs to be repeated because two collided. What it costs is paid
back by rounds: each process writes what its threads have to write in one transaction.

Text is kept under the collation "C", whatever the database's own is: order and ranges are then those of SQLite.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, String, Table, create_engine, event, make_url
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError

from mainstay.domain.errors import Corrupt, Invalid, StorageFull, Unavailable
from mainstay.store.databases import FULL_DISK, Insertions, directly

log = logging.getLogger("mainstay.store")

# Fewer rows than this cost less as an INSERT: COPY takes a round trip more.
_FEWEST_TO_COPY = 16
_LISTENS_FOR_S = 0.5
_SETTINGS = {
    "synchronous_commit": "on",  # acknowledged means durable, whatever the server's default is
    "lock_timeout": "15s",
    # A writer whose process hangs must not keep all others out for ever.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
# So that a server that vanished without a word is noticed within half a minute.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}


class Postgres:
    """See `Database`."""

    def __init__(self, url: str, *, schema: str) -> None:
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", schema):
            raise Invalid(
                f"setting MAINSTAY_DATABASE_SCHEMA is {schema!r}; at most 63 small letters, digits and _ are expected."
            )
        self._url = _read(url)
        self._schema = schema
        self._arguments = _arguments(self._url, schema)
        self._name = (
            f"{self._url.database or 'postgres'} on {self._url.query.get('host') or self._url.host or 'this host'}"
        )
        self.engine = self._engine()
        self._insertions = Insertions(self.engine.dialect)
        self._writing = threading.Lock()
        self._writer: Connection | None = None
        self._leading: Any = None
        self._is_closed = threading.Event()
        # Names this process in what it tells the others, so that it does not listen to itself.
        self._instance = secrets.token_hex(8)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See `Database.writing`."""
        with self._writing:
            try:
                with self._begun() as connection:
                    yield connection
            except BaseException:
                self._let_go()
                raise

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A transaction that holds the writers' lock. A connection that broke while it was idle is replaced, once."""
        if self._writer is None:
            self._writer = self.engine.connect().execution_options(writes=True)
        try:
            transaction = self._writer.begin()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._let_go()
            self._writer = self.engine.connect().execution_options(writes=True)
            transaction = self._writer.begin()
        with transaction:
            yield self._writer

    def append(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """See `Database.append`."""
        insertion = self._insertions.of(table, columns)
        prepared = insertion.prepared(rows)
        if len(prepared) < _FEWEST_TO_COPY:
            directly(
                connection, insertion.statement, prepared if len(prepared) > 1 else prepared[0], many=len(prepared) > 1
            )
            return
        self._copy(connection, f"COPY {insertion.table} ({insertion.columns}) FROM STDIN", prepared)

    def _copy(self, connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        import psycopg

        try:
            cursor: Any = connection.connection.cursor()
            with cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            # As if it had gone the usual way, so that one place says what it means.
            raise DBAPIError.instance(statement, None, error, psycopg.Error, dialect=self.engine.dialect) from error

    def meaning(self, error: DatabaseError) -> Exception:
        """See `Database.meaning`."""
        state = getattr(error.orig, "sqlstate", None) or ""
        for beginning, meaning in _MEANINGS:
            if state.startswith(beginning):
                return meaning(self._name)
        if not state and "NUL" in str(error.orig):  # the driver's own refusal, before the database saw it
            return _without_nul(self._name)
        if not state and isinstance(
            error, OperationalError
        ):  # no connection: there is no state, only the driver's words
            said = str(error.orig).partition("\n")[0].removeprefix("connection failed: ")
            return Unavailable(
                f"database {self._name} cannot be used: {said}. See that it runs, and that its address is right."
            )
        return error

    def follow(self, told: Callable[[], None]) -> None:
        """See `Database.follow`."""
        listens = threading.Event()
        arguments = (told, listens)
        threading.Thread(target=self._listen, args=arguments, name="mainstay-listen", daemon=True).start()
        # Whoever looks up something after this will hear of everything that comes after its look.
        listens.wait(timeout=_KEEPALIVE["connect_timeout"])

    def leads(self) -> bool:
        """See `Database.leads`. The place is a lock of a connection that is kept for it: it is free when that is gone."""
        import psycopg

        try:
            if self._leading is None:
                self._leading = self._connected()
            # Taken once and asked for again, it is held twice: that costs nothing, and shows that the connection lives.
            row = self._leading.execute("select pg_try_advisory_lock(%s)", [self._lock + 1]).fetchone()
            return bool(row[0])
        except (psycopg.Error, DBAPIError) as error:
            log.warning("nobody knows who leads: %s", error)
            self._leading = None
            return False

    def close(self) -> None:
        """See `Database.close`."""
        self._is_closed.set()
        if self._leading is not None:
            self._leading.close()
            self._leading = None
        with self._writing:
            self._let_go()
        self.engine.dispose()

    def make_schema(self) -> None:
        """See `Database.make_schema`."""
        with self._connected() as connection:
            known = "select 1 from pg_namespace where nspname = %s"
            if connection.execute(known, [self._schema]).fetchone() is None:
                connection.execute("select pg_advisory_lock(%s)", [self._lock])
                connection.execute(f'create schema if not exists "{self._schema}"')

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @property
    def _lock(self) -> int:
        """The number of the writers' lock: locks are the database's, schemas may be many."""
        digest = hashlib.sha256(b"mainstay:" + self._schema.encode()).digest()
        return int.from_bytes(digest[:7], "big", signed=True)

    @property
    def _channel(self) -> str:
        return f"mainstay_{self._lock & 0xFFFFFFFFFFFFFFFF:016x}"

    def _engine(self) -> Engine:
        engine = _pool(self._url, self._arguments)
        engine.dialect.ddl_compiler = _PlainlyCollated

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if connection.get_execution_options().get("writes", False):
                # Also tells the other processes: what is notified here reaches them when this transaction commits.
                told = (self._lock, self._channel, self._instance)
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s), pg_notify(%s, %s)", told)

        return engine

    def _connected(self) -> Any:
        """A connection of its own, outside the pool, each statement its own transaction."""
        import psycopg

        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            return psycopg.connect(address, autocommit=True, **self._arguments)
        except psycopg.Error as error:
            raise DBAPIError.instance("connect", None, error, psycopg.Error, dialect=self.engine.dialect) from error

    def _listen(self, told: Callable[[], None], listens: threading.Event) -> None:
        import psycopg

        while not self._is_closed.is_set():
            try:
                with self._connected() as connection:
                    connection.execute(f"LISTEN {self._channel}")
                    if listens.is_set():
                        told()  # of what was committed while nobody listened
                    listens.set()
                    self._pass_on(connection, told)
            except (psycopg.Error, DBAPIError) as error:
                log.warning("the commits of other processes are not heard of: %s", error)
                # What broke this connection has broken those that wait in the pool too.
                self.engine.dispose()
                self._is_closed.wait(_LISTENS_FOR_S)

    def _pass_on(self, connection: Any, told: Callable[[], None]) -> None:
        while not self._is_closed.is_set():
            for notice in connection.notifies(timeout=_LISTENS_FOR_S):
                if notice.payload != self._instance:
                    told()


class _PlainlyCollated(PGDDLCompiler):
    """Tables whose text is compared byte by byte."""

    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        """A column as CREATE TABLE and ALTER TABLE name it."""
        declared = column.type
        if isinstance(declared, String):
            column.type = declared.adapt(type(declared), collation="C")
        try:
            return super().get_column_specification(column, **kwargs)
        finally:
            column.type = declared


def _read(url: str) -> URL:
    try:
        found = make_url(url)
    except ArgumentError:
        found = None
    if found is None or found.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise Invalid(
            "the database's address is not one of PostgreSQL; postgresql://USER:PASSWORD@HOST/NAME is expected, "
            "or none at all for the embedded database."
        )
    return found.set(drivername="postgresql+psycopg")


def _arguments(url: URL, schema: str) -> dict[str, Any]:
    """How every connection is made. Its settings go as options, which cost no round trip; a space in a value would end one."""
    session = {"search_path": f'"{schema}"', **_SETTINGS}
    options = " ".join([str(url.query.get("options", "")), *(f"-c {name}={value}" for name, value in session.items())])
    return {"application_name": f"mainstay/{schema}"[:63], "options": options.strip(), **_KEEPALIVE}


def _pool(url: URL, arguments: dict[str, Any]) -> Engine:
    try:
        return create_engine(
            url, pool_size=16, max_overflow=32, pool_timeout=60, use_native_hstore=False, connect_args=arguments
        )
    except ImportError as error:
        raise Unavailable(
            "PostgreSQL needs psycopg, not installed here; `pip install mainstay[postgres]` adds it."
        ) from error


def _unreachable(name: str) -> Exception:
    return Unavailable(f"database {name} has just stopped, or ended this connection; see that it runs, then repeat.")


def _without_nul(name: str) -> Exception:
    return Invalid("a text holds the character NUL (U+0000), which PostgreSQL cannot keep; leave it out.")


# What a person can do about it, by the SQLSTATE's beginning; the first that fits counts.
_MEANINGS: tuple[tuple[str, Callable[[str], Exception]], ...] = (
    ("53100", lambda name: StorageFull(FULL_DISK)),
    ("53", lambda name: Unavailable(f"database {name} is out of connections or memory; repeat in a moment.")),
    ("55P03", lambda name: Unavailable("the workspace is busy with another writer; repeat in a moment.")),
    ("40", lambda name: Unavailable("another writer came in between; nothing was written. Repeat.")),
    ("25P03", lambda name: Unavailable("the write took too long and was undone; repeat it in smaller parts.")),
    ("25006", lambda name: Unavailable(f"database {name} cannot be written: it is a copy, or this was to be a read.")),
    ("22021", _without_nul),
    ("22P05", _without_nul),
    ("22003", lambda name: Invalid("a number is too large for the database; at most 64 bits are kept.")),
    ("42501", lambda name: Unavailable(f"this user may not write in database {name}; let it own its schema there.")),
    ("57", _unreachable),
    ("08", _unreachable),
    ("58030", lambda name: Unavailable(f"the disk of database {name} fails; look at its log before anything else.")),
    ("XX00", lambda name: Corrupt(f"database {name} holds damaged data; restore it from a backup.")),
)
