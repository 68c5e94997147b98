# SPDX-License-Identifier: Apache-2.0
"""The tables of feature views and the questions asked of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Row, String, Table, Text, UniqueConstraint, func, select

from mainstay.domain.features import OnlineTable, ViewVersion
from mainstay.store import Change, Instant, Json, View, metadata

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
    Column("watermark", Instant, nullable=False),
    Column("run_id", String(32)),
    Column("event", Integer, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("made_by", String, nullable=False),
)


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


def next_sequence(view: View, name: str, version: int) -> int:
    c = online_tables.c
    return int(view.scalar(select(func.max(c.sequence)).where(c.view == name, c.version == version)) or 0) + 1


def put_table(change: Change, new: OnlineTable) -> None:
    change.insert(online_tables, **asdict(new))


def _version(row: Row[Any]) -> ViewVersion:
    return ViewVersion(**{**row._mapping, "entity": tuple(row.entity), "columns": tuple(row._mapping["columns"])})
