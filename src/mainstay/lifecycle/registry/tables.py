# SPDX-License-Identifier: Apache-2.0
"""The tables of models and versions and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    delete,
    false,
    func,
    select,
    text,
    tuple_,
    update,
)

from mainstay.domain.registry import Alias, File, Model, Permission, Used, Version
from mainstay.domain.search import Comparison, Order
from mainstay.store import Change, Ingest, Instant, Json, View, metadata
from mainstay.store.conditions import compared, has

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
    Column("kind", String, nullable=False, server_default="model"),
    Column("updated_at", Instant),
    # The name of a model that was deleted or renamed stays here, with the numbers that it has given.
    Column("is_gone", Boolean, nullable=False, server_default=false()),
    Column("renamed_to", String),
)

model_tags = Table(
    "model_tags",
    metadata,
    Column("model", String, primary_key=True),
    Column("key", String, primary_key=True, index=True),
    Column("value", Text, nullable=False),
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
    Column("run_id", String(32), index=True),
    Column("description", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("source", Text, nullable=False, server_default=""),
    Column("claims", Json, nullable=False, server_default=text("'{}'")),
    # The run as it was named, whether or not there is such a run; for searches.
    Column("said_run", String, index=True),
    Column("updated_at", Instant, index=True),
    Index(None, "digest"),
    info={"of": "version:{model}/{number}"},
)

version_tags = Table(
    "version_tags",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", String, primary_key=True, index=True),
    Column("value", Text, nullable=False),
    info={"of": "version:{model}/{number}"},
)

version_files = Table(
    "version_files",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    info={"of": "version:{model}/{number}"},
)

version_snapshots = Table(
    "version_snapshots",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("snapshot", String, primary_key=True),
    Column("role", String, primary_key=True),
    Index(None, "snapshot"),
    info={"of": "version:{model}/{number}"},
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

# Who counts on a model by name, such as a deployment; each subject counts on one.
model_uses = Table(
    "model_uses",
    metadata,
    Column("subject", String, primary_key=True),
    Column("model", String, nullable=False, index=True),
)

# Number 0: every version of the model.
model_permissions = Table(
    "model_permissions",
    metadata,
    Column("model", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("what", String, primary_key=True),
    Column("actor", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event", Integer, nullable=False),
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

_MODEL = [column for column in models.c if column.name not in ("last_number", "is_gone", "renamed_to")]
_VERSION = [column for column in versions.c if column.name != "said_run"]


def model(view: View, name: str) -> Model | None:
    return _one_model(view, select(*_MODEL).where(models.c.name == name, models.c.is_gone.is_(False)))


def locked_model(change: Change, name: str) -> Model | None:
    """The model, held until the change ends: two writers come one after the other."""
    query = select(*_MODEL).where(models.c.name == name, models.c.is_gone.is_(False))
    return _one_model(change, query.with_for_update())


def former_name(view: View, name: str) -> tuple[str | None] | None:
    """What became of a model that had this name: (its name now,), or (None,) where it was deleted."""
    row = view.first(select(models.c.renamed_to).where(models.c.name == name, models.c.is_gone.is_(True)))
    return row and (row.renamed_to,)


def all_models(view: View, after: str, limit: int) -> list[Model]:
    query = select(*_MODEL).where(models.c.name > after, models.c.is_gone.is_(False), models.c.kind == "model")
    return _models(view, view.rows(query.order_by(models.c.name).limit(limit)))


def put_model(change: Change, new: Model) -> None:
    """Keep a new model; under a name that was used before, its numbers go on."""
    values = asdict(new)
    del values["tags"]
    before = change.execute(
        update(models).where(models.c.name == new.name).values(**values, is_gone=False, renamed_to=None)
    )
    if not before:
        change.insert(models, **values, last_number=0)
    set_model_tags(change, new.name, new.tags)


def set_model(change: Change, name: str, **values: Any) -> None:
    change.execute(update(models).where(models.c.name == name).values(**values))


def set_model_tags(change: Change, name: str, tags: Mapping[str, str | None]) -> None:
    """Set tags; None takes one away."""
    c = model_tags.c
    change.execute(delete(model_tags).where(c.model == name, c.key.in_(list(tags))))
    kept = ({"model": name, "key": key, "value": value} for key, value in tags.items() if value is not None)
    change.bulk_append(model_tags, kept)


def has_versions_left(view: View, name: str) -> bool:
    """Whether rows of versions stand under a name, deleted ones too."""
    return bool(view.scalar(select(func.count()).select_from(versions).where(versions.c.model == name)))


def rename_model(change: Change, before: str, after: str) -> None:
    """Move every row from one name to another; ``before`` stays behind as a name with its last number."""
    row = change.first(select(models).where(models.c.name == before))
    assert row is not None, "whoever renames has locked it"
    there = change.first(select(models.c.last_number).where(models.c.name == after))
    change.execute(delete(models).where(models.c.name == after))
    last = max(row.last_number, there.last_number if there else 0)
    change.insert(models, **{**row._mapping, "name": after, "last_number": last})
    change.execute(update(models).where(models.c.name == before).values(is_gone=True, renamed_to=after))
    for table in (versions, version_files, version_snapshots, version_tags, model_tags, aliases, model_permissions):
        change.execute(update(table).where(table.c.model == before).values(model=after))


def drop_model(change: Change, name: str) -> None:
    """Forget what is said of a model; its name and its versions' rows stay."""
    change.execute(delete(model_tags).where(model_tags.c.model == name))
    change.execute(delete(model_permissions).where(model_permissions.c.model == name))
    change.execute(update(models).where(models.c.name == name).values(is_gone=True, renamed_to=None))


def take_number(change: Change, name: str) -> int:
    """The next number of the model; it is spent, whatever comes of it."""
    change.execute(update(models).where(models.c.name == name).values(last_number=models.c.last_number + 1))
    return int(change.scalar(select(models.c.last_number).where(models.c.name == name)))


def skip_numbers(change: Change, name: str, *, up_to: int) -> bool:
    """Spend every number up to this one; False where a greater one was given already, and nothing is changed."""
    free = (models.c.name == name) & (models.c.last_number <= up_to)
    return change.execute(update(models).where(free).values(last_number=up_to)) == 1


def numbers_imported(view: View, tag: str, source: str, name: str) -> list[int]:
    """Numbers of a model's versions that are marked as brought from ``source``."""
    c = version_tags.c
    query = select(c.number).where(c.model == name, c.key == tag, c.value == source).order_by(c.number)
    return [row.number for row in view.rows(query)]


def count_imported(view: View, tag: str, source: str) -> dict[str, int]:
    """How many models and versions are marked as brought from ``source``, and the aliases of those models."""
    names = select(model_tags.c.model).where(model_tags.c.key == tag, model_tags.c.value == source)
    c = version_tags.c
    return {
        "models": view.scalar(select(func.count()).select_from(names.subquery())),
        "versions": view.scalar(select(func.count()).select_from(version_tags).where(c.key == tag, c.value == source)),
        "aliases": view.scalar(select(func.count()).select_from(aliases).where(aliases.c.model.in_(names))),
    }


def version(view: View, name: str, number: int) -> Version | None:
    row = view.first(_there().where(versions.c.model == name, versions.c.number == number))
    return next(iter(_versions(view, [row] if row else [])), None)


def put_away(view: View, before: datetime) -> list[tuple[str, int]]:
    """Versions that were deleted ``before``."""
    c = versions.c
    query = select(c.model, c.number).where(c.state == "deleted", c.updated_at <= before)
    return [(row.model, row.number) for row in view.rows(query)]


def made_by(view: View) -> list[tuple[str, int, str]]:
    """Versions that runs made, each with its run."""
    c = versions.c
    query = select(c.model, c.number, c.run_id).where(c.run_id.is_not(None))
    return [(row.model, row.number, row.run_id) for row in view.rows(query)]


def is_deleted(view: View, name: str, number: int) -> bool:
    c = versions.c
    return view.scalar(select(c.state).where(c.model == name, c.number == number)) == "deleted"


def versions_of(view: View, name: str, *, before: int | None, limit: int | None) -> list[Version]:
    query = _there().where(versions.c.model == name).order_by(versions.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(versions.c.number < before)
    return _versions(view, view.rows(query))


def newest_by_tag(view: View, names: Iterable[str], key: str) -> list[Version]:
    """The version with the greatest number of each model for each value of one tag, and for those without it."""
    c, tag = versions.c, version_tags.c
    same = and_(tag.model == c.model, tag.number == c.number, tag.key == key)
    query = select(c.model, func.max(c.number).label("newest")).select_from(versions).outerjoin(version_tags, same)
    query = query.where(c.model.in_(list(names)), c.state != "deleted").group_by(c.model, tag.value)
    pairs = [(row.model, row.newest) for row in view.rows(query)]
    found = _there().where(tuple_(c.model, c.number).in_(pairs)).order_by(c.model, c.number)
    return _versions(view, view.rows(found)) if pairs else []


def version_with_digest(view: View, name: str, digest: str, run_id: str) -> Version | None:
    c = versions.c
    row = view.first(_there().where(c.model == name, c.digest == digest, c.run_id == run_id).order_by(c.number))
    return next(iter(_versions(view, [row] if row else [])), None)


def versions_of_run(view: View, run_id: str) -> list[Version]:
    query = _there().where(versions.c.run_id == run_id).order_by(versions.c.model, versions.c.number)
    return _versions(view, view.rows(query))


def versions_using(view: View, snapshot: str) -> list[tuple[str, int, str]]:
    """(model, number, role) of every version that came from a snapshot."""
    c = version_snapshots.c
    same = and_(versions.c.model == c.model, versions.c.number == c.number, versions.c.state != "deleted")
    query = select(c.model, c.number, c.role).join(versions, same).where(c.snapshot == snapshot)
    return [(row.model, row.number, row.role) for row in view.rows(query.order_by(c.model, c.number, c.role))]


def search_models(
    view: View, comparisons: Sequence[Comparison], orders: Sequence[Order], offset: int, limit: int
) -> list[Model]:
    """Models that meet every comparison, in order."""
    query = select(*_MODEL).where(models.c.is_gone.is_(False))
    for kind, key, operator, value in comparisons:
        if kind == "tags":
            own = model_tags.c.model == models.c.name
            query = query.where(has(model_tags, own, key, operator, value))
        else:
            query = query.where(compared(models.c[key], operator, value))
    query = query.order_by(*(_ordered(models.c[key], descending) for _, key, descending in orders))
    return _models(view, view.rows(query.offset(offset).limit(limit)))


def search_versions(
    view: View, comparisons: Sequence[Comparison], orders: Sequence[Order], offset: int, limit: int
) -> list[Version]:
    """Versions that meet every comparison, in order."""
    query = _there()
    for kind, key, operator, value in comparisons:
        if kind == "tags":
            own = and_(version_tags.c.model == versions.c.model, version_tags.c.number == versions.c.number)
            query = query.where(has(version_tags, own, key, operator, value))
        elif key == "kind":
            of_kind = select(models.c.name).where(compared(models.c.kind, operator, value))
            query = query.where(versions.c.model.in_(of_kind))
        else:
            query = query.where(compared(_searched(key), operator, value))
    query = query.order_by(*(_ordered(_searched(key), descending) for _, key, descending in orders))
    return _versions(view, view.rows(query.offset(offset).limit(limit)))


def _searched(key: str) -> Any:
    """The column of a version that a search calls so."""
    return versions.c[{"name": "model", "run_id": "said_run"}.get(key, key)]


def put_version(change: Change, new: Version) -> None:
    values = asdict(new)
    key = {"model": new.model, "number": new.number}
    for name in ("files", "snapshots", "tags", "is_known"):
        del values[name]
    change.insert(versions, **values, said_run=new.run_id or new.claims.get("run_id"))
    change.bulk_append(version_files, ({**key, "name": name, **asdict(file)} for name, file in new.files.items()))
    change.bulk_append(version_snapshots, ({**key, "snapshot": used.id, "role": used.role} for used in new.snapshots))
    set_version_tags(change, new.model, new.number, new.tags)


def set_version(change: Change, name: str, number: int, **values: Any) -> None:
    change.execute(update(versions).where(versions.c.model == name, versions.c.number == number).values(**values))


def set_version_tags(change: Change, name: str, number: int, tags: Mapping[str, str | None]) -> None:
    """Set tags; None takes one away."""
    c = version_tags.c
    change.execute(delete(version_tags).where(c.model == name, c.number == number, c.key.in_(list(tags))))
    key = {"model": name, "number": number}
    kept = ({**key, "key": name, "value": value} for name, value in tags.items() if value is not None)
    change.bulk_append(version_tags, kept)


def alias(view: View, name: str, alias_name: str) -> Alias | None:
    row = view.first(select(aliases).where(aliases.c.model == name, aliases.c.name == alias_name))
    return row and Alias(**row._mapping)


def aliases_of(view: View, name: str) -> list[Alias]:
    query = select(aliases).where(aliases.c.model == name).order_by(aliases.c.name)
    return [Alias(**row._mapping) for row in view.rows(query)]


def aliases_of_many(view: View, names: Iterable[str]) -> list[Alias]:
    query = select(aliases).where(aliases.c.model.in_(list(names))).order_by(aliases.c.model, aliases.c.name)
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


def put_model_use(ingest: Ingest, *, model: str, subject: str) -> None:
    """Keep which model ``subject`` counts on; it is one at a time."""
    if not ingest.execute(update(model_uses).where(model_uses.c.subject == subject).values(model=model)):
        ingest.insert(model_uses, subject=subject, model=model)


def model_users(view: View, name: str) -> list[str]:
    query = select(model_uses.c.subject).where(model_uses.c.model == name).order_by(model_uses.c.subject)
    return [row.subject for row in view.rows(query)]


def permission(view: View, name: str, number: int | None, what: str) -> Permission | None:
    c = model_permissions.c
    row = view.first(select(model_permissions).where(c.model == name, c.number == (number or 0), c.what == what))
    return row and Permission(**{**row._mapping, "number": row.number or None})


def permissions_of(view: View, name: str) -> list[Permission]:
    c = model_permissions.c
    rows = view.rows(select(model_permissions).where(c.model == name).order_by(c.number, c.what))
    return [Permission(**{**row._mapping, "number": row.number or None}) for row in rows]


def put_permission(change: Change, new: Permission) -> None:
    drop_permission(change, new.model, new.number, new.what)
    change.insert(model_permissions, **{**asdict(new), "number": new.number or 0})


def drop_permission(change: Change, name: str, number: int | None, what: str) -> None:
    c = model_permissions.c
    change.execute(delete(model_permissions).where(c.model == name, c.number == (number or 0), c.what == what))


def _ordered(column: Any, is_down: bool) -> Any:
    return column.desc() if is_down else column.asc()


def _there() -> Select[Any]:
    """Versions that were not deleted."""
    return select(*_VERSION).where(versions.c.state != "deleted")


def _one_model(view: View, query: Select[Any]) -> Model | None:
    row = view.first(query)
    return next(iter(_models(view, [row] if row else [])), None)


def _models(view: View, rows: Sequence[Row[Any]]) -> list[Model]:
    tags: dict[str, dict[str, str]] = {row.name: {} for row in rows}
    query = select(model_tags).where(model_tags.c.model.in_(list(tags))).order_by(*model_tags.primary_key)
    for tag in view.rows(query) if rows else ():
        tags[tag.model][tag.key] = tag.value
    return [Model(**row._mapping, tags=tags[row.name]) for row in rows]


def _versions(view: View, rows: Sequence[Row[Any]]) -> list[Version]:
    files = _by_version(view, version_files, rows)
    used = _by_version(view, version_snapshots, rows)
    tags = _by_version(view, version_tags, rows)
    return [
        Version(
            **row._mapping,
            files={f.name: File(digest=f.digest, size=f.size) for f in files.get((row.model, row.number), [])},
            snapshots=tuple(Used(id=u.snapshot, role=u.role) for u in used.get((row.model, row.number), [])),
            tags={tag.key: tag.value for tag in tags.get((row.model, row.number), [])},
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
