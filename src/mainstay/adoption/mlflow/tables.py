# SPDX-License-Identifier: Apache-2.0
"""MLflow's own tables, as far as an import reads them. Foreign words stand here and are given ours on the way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Engine, Row, column, create_engine, inspect, select, table
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from mainstay.domain.errors import Invalid, Unavailable

_BATCH = 10_000


def connect(url: str) -> Engine:
    """An engine on MLflow's database; it only ever reads.

    Raises:
        Invalid: the address cannot be read, or there are no tables of MLflow. Unavailable: nobody answers there.
    """
    try:
        engine = create_engine(url)
        there = set(inspect(engine).get_table_names())
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Invalid(f"{_shown(url)} is not the address of a database that can be read here: {error}.") from error
    except SQLAlchemyError as error:
        raise Unavailable(f"the database {_shown(url)} cannot be read: {error}.") from error
    if missing := {"experiments", "runs", "metrics"} - there:
        raise Invalid(
            f"{_shown(url)} has no table {sorted(missing)[0]!r}; the database of an MLflow server is expected."
        )
    return engine


def rows(engine: Engine, name: str, names: Sequence[str], /, **wanted: Any) -> Iterator[Row[Any]]:
    """Rows of one table with the values ``wanted``; a column that an older MLflow does not have is left out."""
    has = _columns(engine, name)
    if not has:
        return
    source = table(name, *(column(each) for each in has))
    query = select(*(source.c[each] for each in names if each in has))
    query = query.where(*(source.c[each] == value for each, value in wanted.items()))
    with engine.connect() as connection:
        yield from connection.execution_options(yield_per=_BATCH).execute(query)


def pairs(engine: Engine, name: str, key: str, value: str, /, **wanted: Any) -> dict[str, str]:
    """A table of keys and values as a mapping."""
    found = (row._mapping for row in rows(engine, name, [key, value], **wanted))
    return {row[key]: row[value] if row[value] is not None else "" for row in found}


@cache
def _columns(engine: Engine, name: str) -> frozenset[str]:
    """The columns of a table, asked once and not again for every run; none where there is no such table."""
    there = inspect(engine)
    return frozenset(each["name"] for each in there.get_columns(name)) if there.has_table(name) else frozenset()


def _shown(url: str) -> str:
    """The address without what stands before its host: there may be a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
