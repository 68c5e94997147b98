# SPDX-License-Identifier: Apache-2.0
"""The tables of feature views and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    select,
)

from mainstay.domain.features import OnlineTable, ViewVersion
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

view_versions = Table(
    "view_versions",
    metadata,
    Column("view", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("closure", String(64), nullable=False),
    Column("entity", Json, nullable=False),
    Column("columns", Json, nullable=False),
    Column("entry", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    UniqueConstraint("view", "digest"),
)

online_tables = Table(
    "online_tables",
    metadata,
    Column("view", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("blob", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("changed", BigInteger),
    Column("watermark", Instant, nullable=False),
    Column("run_id", String(32)),
    Column("event", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("made_by", String, nullable=False),
)

# What an entity's row was from one online table on; cells that are null: it has none any more.
online_rows = Table(
    "online_rows",
    metadata,
    Column("view", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger),
    Column("cells", Text),
    Index(None, "view", "version", "sequence"),
    sqlite_with_rowid=False,
)
_ROW = ("view", "version", "key", "sequence", "at_us", "cells")


def versions_of(view: View, name: str) -> list[ViewVersion]:
    """The versions of a view, newest first."""
    c = view_versions.c
    query = select(view_versions).where(c.view == name).order_by(c.number.desc())
    return [_version(row) for row in view.rows(query)]


def names(view: View) -> list[str]:
    return [row.view for row in view.rows(select(view_versions.c.view).distinct().order_by(view_versions.c.view))]


def made_by(view: View) -> list[tuple[str, int, str]]:
    """Versions of views whose online tables runs made, each with such a run."""
    c = online_tables.c
    query = select(c.view, c.version, c.run_id).where(c.run_id.is_not(None)).distinct()
    return [(row.view, row.version, row.run_id) for row in view.rows(query)]


def put_version(change: Change, new: ViewVersion) -> None:
    change.insert(view_versions, **asdict(new))


def newest_table(view: View, name: str, version: int) -> OnlineTable | None:
    c = online_tables.c
    query = select(online_tables).where(c.view == name, c.version == version).order_by(c.sequence.desc()).limit(1)
    row = view.first(query)
    return row and OnlineTable(**row._mapping)


def tables_of(view: View, name: str, limit: int) -> list[OnlineTable]:
    """What was ever answered from, newest first."""
    c = online_tables.c
    query = select(online_tables).where(c.view == name).order_by(c.event.desc()).limit(limit)
    return [OnlineTable(**row._mapping) for row in view.rows(query)]


def put_table(change: Change, new: OnlineTable) -> None:
    change.insert(online_tables, **asdict(new))


def newest_row_sequence(view: View, name: str, version: int) -> int:
    """The newest table that rows were written for, published or not."""
    c = online_rows.c
    return int(view.scalar(select(func.max(c.sequence)).where(c.view == name, c.version == version)) or 0)


def count_rows(view: View, name: str, version: int, sequence: int) -> int:
    c = online_rows.c
    where = (c.view == name, c.version == version, c.sequence == sequence)
    return int(view.scalar(select(func.count()).select_from(online_rows).where(*where)) or 0)


def sequences_of(view: View, name: str, version: int, keys: Sequence[str]) -> list[Row[Any]]:
    """Which tables there are rows for, of each key, the newest first; ``published`` is null where that table is not."""
    c, t = online_rows.c, online_tables.c
    published = (t.view == c.view) & (t.version == c.version) & (t.sequence == c.sequence)
    query = select(c.key, c.sequence, t.sequence.label("published")).join_from(
        online_rows, online_tables, published, isouter=True
    )
    where = (c.view == name, c.version == version, c.key.in_(keys))
    return list(view.rows(query.where(*where).order_by(c.key, c.sequence.desc())))


def rows_known(view: View, name: str, version: int, keys: Sequence[str], sequence: int) -> list[Row[Any]]:
    """The rows of these keys as of one table, each key's newest first. What was written for a table that was never
    published is none of them."""
    c, t = online_rows.c, online_tables.c
    published = (t.view == c.view) & (t.version == c.version) & (t.sequence == c.sequence)
    query = select(c.key, c.at_us, c.cells).join_from(online_rows, online_tables, published)
    where = (c.view == name, c.version == version, c.key.in_(keys), c.sequence <= sequence)
    return list(view.rows(query.where(*where).order_by(c.key, c.sequence.desc())))


def keys_changed(view: View, name: str, version: int, after: int, until: int, limit: int) -> list[str]:
    """Keys whose rows became others after one table and until another."""
    c = online_rows.c
    where = (c.view == name, c.version == version, c.sequence > after, c.sequence <= until)
    return [row.key for row in view.rows(select(c.key).distinct().where(*where).limit(limit))]


def forget_rows(ingest: Ingest, name: str, version: int, which: Iterable[tuple[str, int]]) -> None:
    """Let go of rows, each named by its key and its table."""
    if told := [{"one_key": key, "one_sequence": sequence} for key, sequence in which]:
        c = online_rows.c
        where = (c.key == bindparam("one_key"), c.sequence == bindparam("one_sequence"))
        ingest.execute(delete(online_rows).where(c.view == name, c.version == version, *where), told)


def put_rows(ingest: Ingest, name: str, version: int, sequence: int, new: Iterable[Sequence[Any]]) -> None:
    """Add rows of key, time and cells for one table."""
    ingest.bulk_append(
        online_rows, [(name, version, key, sequence, at_us, cells) for key, at_us, cells in new], columns=_ROW
    )


def _version(row: Row[Any]) -> ViewVersion:
    return ViewVersion(**{**row._mapping, "entity": tuple(row.entity), "columns": tuple(row._mapping["columns"])})
