# SPDX-License-Identifier: Apache-2.0
"""The tables of datasets and the questions asked of them."""

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
    UniqueConstraint,
    func,
    select,
    update,
)

from mainstay.domain.contracts import Contract, read_column
from mainstay.domain.data import Dataset, Field, Part, Period, Problem, Ref, Refused, Snapshot
from mainstay.store import Change, Ingest, Instant, Json, View, metadata

datasets = Table(
    "datasets",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False, server_default="table"),
    Column("digest", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("schema", Json, nullable=False),
    Column("parts", Json, nullable=False),
    Column("given", String(64), nullable=False),
    Column("profile", String(64), nullable=False),
    Column("spec", String(64), nullable=False),
    Column("contract_version", Integer, nullable=False),
    Column("since", Instant),
    Column("until", Instant),
    Column("source", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("run_id", String(32), index=True),
    Column("parents", Json, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("dropped_at", Instant),
    # The same content is the same snapshot.
    UniqueConstraint("dataset", "digest"),
    info={"of": "snapshot:{dataset}@{number}"},
)

contracts = Table(
    "contracts",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("columns", Json, nullable=False),
    Column("rows_low", BigInteger, nullable=False),
    Column("rows_high", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("on_rows", String(6), nullable=False),
    Column("keys", Json, nullable=False),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("dataset", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("blob", String(64), nullable=False),
    Column("format", String, nullable=False),
    Column("source", Text, nullable=False),
    Column("contract_version", Integer, nullable=False),
    Column("problems", Json, nullable=False),
    Column("rows_blob", String(64), nullable=False),
    Index(None, "dataset", "id"),
)

dataset_refs = Table(
    "dataset_refs",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("moved_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
)

# Who used a snapshot, told by the user's own room when it happened: a run that read it, a version trained on it …
snapshot_uses = Table(
    "snapshot_uses",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("subject", String, primary_key=True),
    Column("role", String, primary_key=True),
    Column("at", Instant, nullable=False),
    Index(None, "subject"),
)


def dataset(view: View, name: str) -> Dataset | None:
    row = view.first(select(datasets).where(datasets.c.name == name))
    return row and Dataset(**row._mapping)


def locked_dataset(change: Change, name: str) -> Dataset | None:
    """The dataset, held until the change ends: two batches must not get the same number."""
    row = change.first(select(datasets).where(datasets.c.name == name).with_for_update())
    return row and Dataset(**row._mapping)


def all_datasets(view: View, after: str, limit: int) -> list[Dataset]:
    query = select(datasets).where(datasets.c.name > after).order_by(datasets.c.name).limit(limit)
    return [Dataset(**row._mapping) for row in view.rows(query)]


def put_dataset(change: Change, new: Dataset) -> None:
    change.insert(datasets, **asdict(new))


def snapshot(view: View, name: str, number: int) -> Snapshot | None:
    row = view.first(select(snapshots).where(snapshots.c.dataset == name, snapshots.c.number == number))
    return row and _snapshot(row)


def snapshots_with_digest(view: View, digest: str) -> list[Snapshot]:
    query = select(snapshots).where(snapshots.c.digest == digest).order_by(snapshots.c.dataset)
    return [_snapshot(row) for row in view.rows(query)]


def snapshot_with_digest(view: View, name: str, digest: str) -> Snapshot | None:
    row = view.first(select(snapshots).where(snapshots.c.dataset == name, snapshots.c.digest == digest))
    return row and _snapshot(row)


def newest_snapshot(view: View, name: str) -> Snapshot | None:
    return next(iter(snapshots_of(view, name, limit=1)), None)


def snapshots_of(view: View, name: str, *, before: int | None = None, limit: int = 100) -> list[Snapshot]:
    query = select(snapshots).where(snapshots.c.dataset == name).order_by(snapshots.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(snapshots.c.number < before)
    return [_snapshot(row) for row in view.rows(query)]


def snapshots_made_by(view: View, run_id: str) -> list[Snapshot]:
    query = select(snapshots).where(snapshots.c.run_id == run_id)
    return [_snapshot(row) for row in view.rows(query.order_by(snapshots.c.dataset, snapshots.c.number))]


def rows_total(view: View, name: str) -> int:
    total = view.scalar(select(func.coalesce(func.sum(snapshots.c.rows), 0)).where(snapshots.c.dataset == name))
    return int(total)


def put_snapshot(change: Change, new: Snapshot) -> None:
    values = asdict(new)
    period = values.pop("period") or {"since": None, "until": None}
    del values["is_known"]
    change.insert(snapshots, **values, **period)


def set_snapshot(change: Change, name: str, number: int, **values: Any) -> None:
    same = (snapshots.c.dataset == name) & (snapshots.c.number == number)
    change.execute(update(snapshots).where(same).values(**values))


def put_away(view: View, before: datetime) -> list[tuple[str, int]]:
    """Snapshots that were dropped ``before``."""
    c = snapshots.c
    return [(row.dataset, row.number) for row in view.rows(select(c.dataset, c.number).where(c.dropped_at <= before))]


def made_by(view: View) -> list[tuple[str, int, str]]:
    """Snapshots that runs made, each with its run."""
    c = snapshots.c
    query = select(c.dataset, c.number, c.run_id).where(c.run_id.is_not(None))
    return [(row.dataset, row.number, row.run_id) for row in view.rows(query)]


def users_of_dropped(view: View) -> list[tuple[str, str, int]]:
    """Who used snapshots that were dropped."""
    c = snapshot_uses.c
    same = (snapshots.c.dataset == c.dataset) & (snapshots.c.number == c.number)
    query = select(c.subject, c.dataset, c.number).join(snapshots, same).where(snapshots.c.dropped_at.is_not(None))
    return [(row.subject, row.dataset, row.number) for row in view.rows(query)]


def contract(view: View, name: str, version: int | None = None) -> Contract | None:
    query = select(contracts).where(contracts.c.dataset == name).order_by(contracts.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(contracts.c.version == version)
    row = view.first(query)
    return row and _contract(row)


def contracts_of(view: View, name: str, limit: int) -> list[Contract]:
    query = select(contracts).where(contracts.c.dataset == name).order_by(contracts.c.version.desc()).limit(limit)
    return [_contract(row) for row in view.rows(query)]


def put_contract(change: Change, new: Contract) -> None:
    values = asdict(new)
    values["columns"] = new.content()["columns"]
    change.insert(contracts, **values)


def refusal(view: View, identity: str) -> Refused | None:
    row = view.first(_refusals().where(refusals.c.id == identity))
    return row and _refused(row)


def refusals_of(view: View, name: str, limit: int) -> list[Refused]:
    query = _refusals().where(refusals.c.dataset == name).order_by(refusals.c.id.desc()).limit(limit)
    return [_refused(row) for row in view.rows(query)]


def unanswered_refusals(view: View) -> list[Refused]:
    """The newest refusal of each dataset that has had no snapshot since."""
    c = refusals.c
    newest = select(func.max(c.id)).group_by(c.dataset)
    taken = select(func.max(snapshots.c.created_at)).where(snapshots.c.dataset == c.dataset).scalar_subquery()
    query = _refusals().where(c.id.in_(newest), c.at > func.coalesce(taken, 0)).order_by(c.id.desc())
    return [_refused(row) for row in view.rows(query)]


def put_refusal(change: Change, new: Refused) -> None:
    values = asdict(new)
    del values["resolved_by"]
    change.insert(refusals, **values)


def ref(view: View, name: str, ref_name: str) -> Ref | None:
    row = view.first(select(dataset_refs).where(dataset_refs.c.dataset == name, dataset_refs.c.name == ref_name))
    return row and Ref(**row._mapping)


def refs_of(view: View, name: str) -> list[Ref]:
    query = select(dataset_refs).where(dataset_refs.c.dataset == name).order_by(dataset_refs.c.name)
    return [Ref(**row._mapping) for row in view.rows(query)]


def put_ref(change: Change, new: Ref) -> None:
    same = (dataset_refs.c.dataset == new.dataset) & (dataset_refs.c.name == new.name)
    values = {"number": new.number, "moved_at": new.moved_at, "actor": new.actor}
    if not change.execute(update(dataset_refs).where(same).values(**values)):
        change.insert(dataset_refs, dataset=new.dataset, name=new.name, **values)


def put_use(ingest: Ingest, *, dataset: str, number: int, subject: str, role: str, at: datetime) -> None:
    """Keep the use; the same one twice is one."""
    c = snapshot_uses.c
    same = (c.dataset == dataset) & (c.number == number) & (c.subject == subject) & (c.role == role)
    if ingest.scalar(select(func.count()).select_from(snapshot_uses).where(same)) == 0:
        ingest.insert(snapshot_uses, dataset=dataset, number=number, subject=subject, role=role, at=at)


def rename_user(ingest: Ingest, before: str, after: str) -> None:
    ingest.execute(update(snapshot_uses).where(snapshot_uses.c.subject == before).values(subject=after))


def uses(view: View, name: str, number: int | None, limit: int) -> Sequence[Row[Any]]:
    query = select(snapshot_uses).where(snapshot_uses.c.dataset == name)
    if number is not None:
        query = query.where(snapshot_uses.c.number == number)
    return view.rows(query.order_by(snapshot_uses.c.at.desc(), snapshot_uses.c.subject).limit(limit))


def used_by_subject(view: View, subject: str) -> Sequence[Row[Any]]:
    c = snapshot_uses.c
    return view.rows(select(snapshot_uses).where(c.subject == subject).order_by(c.dataset, c.number, c.role))


def _refusals() -> Any:
    became = (snapshots.c.dataset == refusals.c.dataset) & (snapshots.c.given == refusals.c.blob)
    number = select(func.min(snapshots.c.number)).where(became).scalar_subquery()
    return select(refusals, number.label("became"))


def _snapshot(row: Row[Any]) -> Snapshot:
    values = dict(row._mapping)
    since, until = values.pop("since"), values.pop("until")
    return Snapshot(
        **{
            **values,
            "period": Period(since=since, until=until) if since and until else None,
            "schema": tuple(Field(**field) for field in row.schema),
            "parts": tuple(Part(**part) for part in row.parts),
            "parents": tuple(row.parents),
            "warnings": tuple(Problem.from_json(warning) for warning in row.warnings),
        }
    )


def _contract(row: Row[Any]) -> Contract:
    return Contract(
        **{**row._mapping, "columns": tuple(map(read_column, row.columns)), "keys": tuple(map(tuple, row.keys))}
    )


def _refused(row: Row[Any]) -> Refused:
    values = dict(row._mapping)
    became = values.pop("became")
    return Refused(
        **{
            **values,
            "problems": tuple(Problem.from_json(problem) for problem in row.problems),
            "resolved_by": f"{row.dataset}@{became}" if became else None,
        }
    )
