# SPDX-License-Identifier: Apache-2.0
"""The tables of models and versions and the questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
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
    delete,
    func,
    select,
    update,
)

from mainstay.domain.registry import Alias, File, Model, Used, Version
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

models = Table(
    "models",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("tier", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    # The greatest number ever given, so that no number comes twice whatever happens to versions.
    Column("last_number", Integer, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("format", String, nullable=False),
    Column("environment", Json, nullable=False),
    Column("signature", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("evaluation_blob", String(64)),
    Column("run_id", String(32), nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Index(None, "digest"),
)

version_files = Table(
    "version_files",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

version_snapshots = Table(
    "version_snapshots",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("snapshot", String, primary_key=True),
    Column("role", String, primary_key=True),
    Index(None, "snapshot"),
)

# Who used a version, told by the user's own room when it happened: a release, a deployment …
version_uses = Table(
    "version_uses",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("subject", String, primary_key=True),
    Column("at", Instant, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("moved_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
)

_MODEL = [column for column in models.c if column.name != "last_number"]


def model(view: View, name: str) -> Model | None:
    row = view.first(select(*_MODEL).where(models.c.name == name))
    return row and Model(**row._mapping)


def locked_model(change: Change, name: str) -> Model | None:
    """The model, held until the change ends: two writers come one after the other."""
    row = change.first(select(*_MODEL).where(models.c.name == name).with_for_update())
    return row and Model(**row._mapping)


def all_models(view: View, after: str, limit: int) -> list[Model]:
    query = select(*_MODEL).where(models.c.name > after).order_by(models.c.name).limit(limit)
    return [Model(**row._mapping) for row in view.rows(query)]


def put_model(change: Change, new: Model) -> None:
    change.insert(models, **asdict(new), last_number=0)


def take_number(change: Change, name: str) -> int:
    """The next number of the model; it is spent, whatever comes of it."""
    change.execute(update(models).where(models.c.name == name).values(last_number=models.c.last_number + 1))
    return int(change.scalar(select(models.c.last_number).where(models.c.name == name)))


def version(view: View, name: str, number: int) -> Version | None:
    row = view.first(select(versions).where(versions.c.model == name, versions.c.number == number))
    return next(iter(_versions(view, [row] if row else [])), None)


def versions_of(view: View, name: str, *, before: int | None, limit: int) -> list[Version]:
    query = select(versions).where(versions.c.model == name).order_by(versions.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(versions.c.number < before)
    return _versions(view, view.rows(query))


def version_with_digest(view: View, name: str, digest: str, run_id: str) -> Version | None:
    c = versions.c
    row = view.first(select(versions).where(c.model == name, c.digest == digest, c.run_id == run_id).order_by(c.number))
    return next(iter(_versions(view, [row] if row else [])), None)


def versions_of_run(view: View, run_id: str) -> list[Version]:
    query = select(versions).where(versions.c.run_id == run_id).order_by(versions.c.model, versions.c.number)
    return _versions(view, view.rows(query))


def versions_using(view: View, snapshot: str) -> list[tuple[str, int, str]]:
    """(model, number, role) of every version that came from a snapshot."""
    c = version_snapshots.c
    query = select(c.model, c.number, c.role).where(c.snapshot == snapshot).order_by(c.model, c.number, c.role)
    return [(row.model, row.number, row.role) for row in view.rows(query)]


def put_version(change: Change, new: Version) -> None:
    values = asdict(new)
    key = {"model": new.model, "number": new.number}
    for name in ("files", "snapshots", "is_known"):
        del values[name]
    change.insert(versions, **values)
    change.bulk_append(version_files, ({**key, "name": name, **asdict(file)} for name, file in new.files.items()))
    change.bulk_append(version_snapshots, ({**key, "snapshot": used.id, "role": used.role} for used in new.snapshots))


def set_state(change: Change, name: str, number: int, state: str) -> None:
    change.execute(update(versions).where(versions.c.model == name, versions.c.number == number).values(state=state))


def alias(view: View, name: str, alias_name: str) -> Alias | None:
    row = view.first(select(aliases).where(aliases.c.model == name, aliases.c.name == alias_name))
    return row and Alias(**row._mapping)


def aliases_of(view: View, name: str) -> list[Alias]:
    query = select(aliases).where(aliases.c.model == name).order_by(aliases.c.name)
    return [Alias(**row._mapping) for row in view.rows(query)]


def put_alias(change: Change, new: Alias) -> None:
    same = (aliases.c.model == new.model) & (aliases.c.name == new.name)
    values = {"version": new.version, "moved_at": new.moved_at, "actor": new.actor}
    if not change.execute(update(aliases).where(same).values(**values)):
        change.insert(aliases, model=new.model, name=new.name, **values)


def drop_alias(change: Change, name: str, alias_name: str) -> None:
    change.execute(delete(aliases).where(aliases.c.model == name, aliases.c.name == alias_name))


def put_use(ingest: Ingest, *, model: str, number: int, subject: str, at: datetime) -> None:
    """Keep the use; the same one twice is one."""
    c = version_uses.c
    same = (c.model == model) & (c.number == number) & (c.subject == subject)
    if ingest.scalar(select(func.count()).select_from(version_uses).where(same)) == 0:
        ingest.insert(version_uses, model=model, number=number, subject=subject, at=at)


def uses(view: View, name: str, number: int | None) -> list[tuple[int, str]]:
    """(number, subject) of every use, in the order in which they came."""
    query = select(version_uses).where(version_uses.c.model == name).order_by(version_uses.c.at, version_uses.c.subject)
    if number is not None:
        query = query.where(version_uses.c.number == number)
    return [(row.number, row.subject) for row in view.rows(query)]


def _versions(view: View, rows: Sequence[Row[Any]]) -> list[Version]:
    files = _by_version(view, version_files, rows)
    used = _by_version(view, version_snapshots, rows)
    return [
        Version(
            **row._mapping,
            files={f.name: File(digest=f.digest, size=f.size) for f in files.get((row.model, row.number), [])},
            snapshots=tuple(Used(id=u.snapshot, role=u.role) for u in used.get((row.model, row.number), [])),
        )
        for row in rows
    ]


def _by_version(view: View, table: Table, rows: Sequence[Row[Any]]) -> dict[tuple[str, int], list[Row[Any]]]:
    """The rows of a table that belong to some versions of one or more models, in their order."""
    names, numbers = {row.model for row in rows}, {row.number for row in rows}
    if not rows:
        return {}
    query = select(table).where(table.c.model.in_(names), table.c.number.in_(numbers)).order_by(*table.primary_key)
    found: dict[tuple[str, int], list[Row[Any]]] = {}
    for row in view.rows(query):
        found.setdefault((row.model, row.number), []).append(row)
    return found
