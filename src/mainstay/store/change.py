# SPDX-License-Identifier: Apache-2.0
"""The three ways to touch the database; a function's first parameter tells which one it needs.

`View` reads one consistent state. `Ingest` also writes telemetry (metric points, feedback, leases), which is durable but
leaves no event. `Change` writes what is governed: it must `record` at least one event, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, MetaData, Row, Table
from sqlalchemy.sql import Executable

from mainstay.domain.clock import Clock
from mainstay.domain.events import Event
from mainstay.store import ledger
from mainstay.store.blobs import Blobs
from mainstay.store.databases import Database, Prepared, as_tuples


class View:
    """A read of one consistent state."""

    def __init__(self, connection: Connection, blobs: Blobs, clock: Clock) -> None:
        self._connection = connection
        self.blobs = blobs
        self.clock = clock

    def now(self) -> datetime:
        """The time now, by the store's clock."""
        return self.clock()

    def rows(self, query: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """Every row that answers ``query``."""
        return self._connection.execute(query, parameters).all()

    def tuples(self, query: Executable) -> list[Any]:
        """Every row that answers ``query`` as the driver gives it: less than half the work, for columns of numbers and texts that
        need no translation, when there may be a hundred thousand rows."""
        result = self._connection.execute(query)
        assert isinstance(result, CursorResult)
        found: list[Any] = list(result.cursor.fetchall())
        result.close()
        return found

    def scan(self, query: Executable) -> Iterator[Row[Any]]:
        """Every row that answers ``query``, one after the other, where there may be more than memory holds."""
        yield from self._connection.execute(query.execution_options(yield_per=5_000))

    def reflected(self) -> MetaData:
        """Every table that the database has, whoever made it."""
        found = MetaData()
        found.reflect(self._connection)
        return found

    def ask(self, prepared: Prepared, **values: Any) -> list[Any]:
        """Every row that answers a question of the hot path, as the driver gives it."""
        found: list[Any] = prepared.carry_out(self._connection, values).fetchall()
        return found

    def first(self, query: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any] | None:
        """The first row that answers ``query``, or None."""
        return self._connection.execute(query, parameters).first()

    def scalar(self, query: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        return self._connection.execute(query, parameters).scalar()

    def event(self, seq: int) -> ledger.Entry | None:
        """One row of the ledger."""
        return ledger.entry(self, seq)


class Ingest(View):
    """A durable write of telemetry."""

    def __init__(self, connection: Connection, blobs: Blobs, clock: Clock, database: Database) -> None:
        super().__init__(connection, blobs, clock)
        self._database = database

    def execute(self, statement: Executable, parameters: Any = None) -> int:
        """Carry out one write; the number of rows it touched."""
        return self._connection.execute(statement, parameters).rowcount

    def tell(self, prepared: Prepared, **values: Any) -> None:
        """Carry out one write of the hot path."""
        prepared.carry_out(self._connection, values)

    def insert(self, table: Table, **values: Any) -> None:
        """Add one row."""
        self._database.append(self._connection, table, tuple(values), [tuple(values.values())])

    def bulk_append(
        self, table: Table, rows: Iterable[Mapping[str, Any]] | Iterable[Sequence[Any]], columns: Sequence[str] = ()
    ) -> int:
        """Add many rows as fast as the database can: mappings that all have the same keys or, faster, sequences with a value
        for each of ``columns``. How many there were."""
        batch: list[Any] = list(rows)
        if batch:
            names = tuple(columns) or tuple(batch[0])
            self._database.append(self._connection, table, names, batch if columns else as_tuples(names, batch))
        return len(batch)


class Change(Ingest):
    """A governed write: who, why, and because of which event are known before the first row is touched."""

    def __init__(
        self,
        connection: Connection,
        blobs: Blobs,
        clock: Clock,
        database: Database,
        *,
        actor: str,
        reason: str = "",
        because: int | None = None,
    ) -> None:
        super().__init__(connection, blobs, clock, database)
        self.actor = actor
        self.reason = reason
        self.because = because
        self.recorded: list[ledger.Entry] = []

    def record(
        self,
        event: Event,
        *,
        reason: str | None = None,
        because: int | None = None,
        expected_version: int | None = None,
    ) -> ledger.Entry:
        """Write ``event`` into the ledger, as part of this transaction.

        ``reason`` and ``because`` default to those of the change. ``expected_version`` is the subject's version that the
        caller saw; if somebody moved the subject meanwhile, the change is refused.

        Raises:
            Conflict: the subject is no longer at ``expected_version``. Invalid: ``because`` names an event that did not happen.
        """
        entry = ledger.append(
            self,
            event,
            actor=self.actor,
            reason=self.reason if reason is None else reason,
            because=self.because if because is None else because,
            expected_version=expected_version,
        )
        self.recorded.append(entry)
        return entry

    def record_all(self, events: Sequence[Event]) -> list[ledger.Entry]:
        """Write many events, in their order, with the reason and because of the change."""
        entries = ledger.append_all(self, events, actor=self.actor, reason=self.reason, because=self.because)
        self.recorded.extend(entries)
        return entries
