# SPDX-License-Identifier: Apache-2.0
"""The tables of feature views and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
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
#: After which key, and up to which; None: up to the last.
Keys = tuple[str, str | None]
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
    kept = c.sequence > floor(view, name, version)
    return list(view.rows(query.where(*where, kept).order_by(c.key, c.sequence.desc())))


def keys_changed(view: View, name: str, version: int, after: int, until: int, limit: int) -> list[str]:
    """Keys whose rows became others after one table and until another."""
    c = online_rows.c
    where = (c.view == name, c.version == version, c.sequence > after, c.sequence <= until)
    return [row.key for row in view.rows(select(c.key).distinct().where(*where).limit(limit))]


def floor(view: View, name: str, version: int) -> int:
    """The newest table whose rows are not kept by key: what stands under it, or under an older one, counts no more."""
    c = online_tables.c
    where = (c.view == name, c.version == version, c.changed.is_(None))
    return int(view.scalar(select(func.max(c.sequence)).where(*where)) or 0)


def newest_sequence_before(view: View, name: str, version: int, moment: datetime) -> int:
    """The newest table that was published before a moment; 0: none."""
    c = online_tables.c
    where = (c.view == name, c.version == version, c.made_at < moment)
    return int(view.scalar(select(func.max(c.sequence)).where(*where)) or 0)


def let_go(change: Change, name: str, version: int, sequence: int) -> None:
    """Say that the rows of a table are not kept by key."""
    c = online_tables.c
    where = (c.view == name, c.version == version, c.sequence == sequence)
    change.execute(update(online_tables).where(*where).values(changed=None))


def count_all_rows(view: View, name: str, version: int) -> int:
    c = online_rows.c
    where = (c.view == name, c.version == version)
    return int(view.scalar(select(func.count()).select_from(online_rows).where(*where)) or 0)


def key_behind(view: View, name: str, version: int, after: str, rows: int) -> str | None:
    """The key up to which so many rows stand after another; None: there are fewer."""
    c = online_rows.c
    query = select(c.key).where(c.view == name, c.version == version, c.key > after)
    row = view.first(query.order_by(c.key).offset(rows - 1).limit(1))
    return row and str(row.key)


def forget_below(ingest: Ingest, name: str, version: int, keys: Keys, floor: int) -> None:
    """Let go of rows that stand under a table whose rows are not kept by key, or under an older one."""
    c = online_rows.c
    ingest.execute(delete(online_rows).where(*_between(name, version, keys), c.sequence <= floor))


def forget_superseded(ingest: Ingest, name: str, version: int, keys: Keys, settled: int) -> None:
    """Let go of rows whose place was taken by a table up to ``settled``, and of those whose own table was never published."""
    c, t, newer = online_rows.c, online_tables, online_rows.alias("newer")
    of_version = (t.c.view == name, t.c.version == version)
    published = select(t.c.sequence).where(*of_version)
    taken = exists().where(
        newer.c.view == c.view,
        newer.c.version == c.version,
        newer.c.key == c.key,
        newer.c.sequence > c.sequence,
        newer.c.sequence <= settled,
        newer.c.sequence.in_(published),
    )
    left = or_(c.sequence.not_in(published), taken)
    ingest.execute(delete(online_rows).where(*_between(name, version, keys), c.sequence <= settled, left))


def forget_gone(ingest: Ingest, name: str, version: int, keys: Keys, settled: int, expired_us: int | None) -> None:
    """Let go of rows that say that there is none any more, and of those from before a moment."""
    c = online_rows.c
    gone = c.cells.is_(None) if expired_us is None else or_(c.cells.is_(None), c.at_us < expired_us)
    ingest.execute(delete(online_rows).where(*_between(name, version, keys), c.sequence <= settled, gone))


def _between(name: str, version: int, keys: Keys) -> list[ColumnElement[bool]]:
    c, (after, until) = online_rows.c, keys
    where = [c.view == name, c.version == version, c.key > after]
    return where if until is None else [*where, c.key <= until]


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
