# SPDX-License-Identifier: Apache-2.0
"""Databases: where the rows are.

In: transactions, rows, and what a driver said. Out: durable rows, and errors that a person can act on. A file here is an
adapter. Good means: `reading` sees one state and cannot write; between the first row that `writing` reads and its commit no
other writer comes in, in this process or another, so a verb may look first and act then; what was committed is on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import ClauseElement, Connection, Dialect, Engine, Table
from sqlalchemy.exc import DatabaseError, DBAPIError

Processor = Callable[[Any], Any]

FULL_DISK = "the workspace's disk is full: nothing was written. Free some space, then repeat."


class Database(Protocol):
    """One database, and the two kinds of transaction on it."""

    @property
    def engine(self) -> Engine:
        """The pool of connections; migrations and tests use it as it is."""
        ...

    def make_schema(self) -> None:
        """Make the place for the tables if it is not there; by whoever comes first."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state, and that the database itself keeps from writing."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that is the only writer; it commits at the end of the block, durably."""
        ...

    def append(
        self, connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Add rows, each with a value for each of ``columns``, as fast as the driver can."""
        ...

    def meaning(self, error: DatabaseError) -> Exception:
        """What a driver's error means: one of ours if a person can act on it, else ``error`` itself."""
        ...

    def follow(self, told: Callable[[], None]) -> None:
        """Call ``told`` from now on, on a thread of its own, whenever another process has committed; it may be once too often."""
        ...

    def leads(self) -> bool:
        """Whether this process acts for all that share the database; it takes the place if it is free. Gone with the process."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...


class Prepared:
    """A statement that is put into the driver's words once. What is asked thousands of times a second goes to the driver
    directly: what SQLAlchemy does for each statement costs more than a small one itself. Values come and go as the driver has
    them."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._known: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def carry_out(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """The cursor that has done it."""
        dialect = connection.dialect
        if dialect.name not in self._known:
            compiled: Any = self._statement.compile(dialect=dialect)
            self._known[dialect.name] = str(compiled), compiled.positiontup, compiled.params
        text, order, constants = self._known[dialect.name]
        given = {**constants, **values}
        return directly(connection, text, given if order is None else [given[name] for name in order])


def directly(connection: Connection, text: str, values: Any, *, many: bool = False) -> Any:
    """Have the driver carry out ``text``; its cursor. Errors are those that SQLAlchemy would raise."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.executemany(text, values) if many else cursor.execute(text, values)
    except Exception as error:
        dbapi: Any = connection.dialect.loaded_dbapi
        if not isinstance(error, dbapi.Error):
            raise
        if connection.dialect.is_disconnect(error, cursor.connection, cursor):
            connection.invalidate(
                error
            )  # or its end would be told to a server that is gone, and that error hide this one
        raise DBAPIError.instance(text, None, error, dbapi.Error, dialect=connection.dialect) from error
    return cursor


class Insertion:
    """How rows go into one table: the statement, and what turns a value into what the driver stores."""

    def __init__(self, dialect: Dialect, table: Table, columns: Sequence[str]) -> None:
        quoted = dialect.identifier_preparer
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        self.table = quoted.format_table(table)
        self.columns = ", ".join(quoted.format_column(table.c[name]) for name in columns)
        self.statement = f"INSERT INTO {self.table} ({self.columns}) VALUES ({', '.join(mark for _ in columns)})"
        self._processors: list[tuple[int, Processor]] = [
            (place, processor)
            for place, name in enumerate(columns)
            if (processor := table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]

    def prepared(self, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """The rows as the driver takes them."""
        if not self._processors:
            return [tuple(row) for row in rows]
        # Column by column: of five columns one or two need work, and a tuple cannot be changed in place.
        by_column: list[Any] = list(zip(*rows, strict=True))
        for place, processor in self._processors:
            by_column[place] = map(processor, by_column[place])
        return list(zip(*by_column, strict=True))


class Insertions:
    """The insertions of one database, each made once."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: dict[tuple[Table, tuple[str, ...]], Insertion] = {}

    def of(self, table: Table, columns: Sequence[str]) -> Insertion:
        """How rows with these columns go into ``table``."""
        key = (table, tuple(columns))
        if key not in self._known:
            self._known[key] = Insertion(self._dialect, table, columns)
        return self._known[key]


def as_tuples(columns: Sequence[str], rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Mappings as tuples in the order of ``columns``."""
    if len(columns) == 1:
        return [(row[columns[0]],) for row in rows]
    return list(map(itemgetter(*columns), rows))
