# SPDX-License-Identifier: Apache-2.0
"""Blobs, datasets and snapshots, over HTTP.

A batch that breaks its contract is answered with 422, and its refusal is on record all the same: the answer is a
`Reply`, not an error that would roll the record back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from mainstay.domain.clock import from_wire
from mainstay.domain.data import Dataset, Field, Part, Period, Problem, Ref, Refused, Snapshot
from mainstay.domain.errors import Corrupt, NotFound
from mainstay.domain.references import Reference
from mainstay.lifecycle.data import contracts, datasets, drops, lineage, references, refusals, snapshots
from mainstay.lifecycle.tracking import runs
from mainstay.server import uploads
from mainstay.server.api.contracts import ContractOut, shape
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Reply, Routes, encode
from mainstay.store import Change, Store, View

routes = Routes("data")

MOST_BLOB_BYTES = 8 << 30


class DatasetIn(Body):
    name: str
    owner: str
    description: str = ""


class PeriodIn(Body):
    since: str
    until: str


class SnapshotIn(Body):
    blob: str
    format: str
    examined: str = ""  # of a reference: what whoever can read its rows found in them
    source: str = ""
    period: PeriodIn | None = None
    run_id: str | None = None
    parents: list[str] = msgspec.field(default_factory=list)


class RefIn(Body):
    number: int


class RollbackIn(Body):
    to: int


class SnapshotBrief(msgspec.Struct, kw_only=True):
    dataset: str
    number: int
    kind: str  # table | files | reference
    id: str
    digest: str
    rows: int
    size: int
    period: Period | None
    source: str
    created_at: datetime
    actor: str
    run_id: str | None
    blob: str
    warnings: int
    dropped_at: datetime | None


class SnapshotOut(msgspec.Struct, kw_only=True):
    dataset: str
    number: int
    kind: str  # table | files | reference
    id: str
    digest: str
    rows: int
    size: int
    schema: list[Field]
    period: Period | None
    source: str
    created_at: datetime
    actor: str
    run_id: str | None
    contract_version: int
    blob: str
    given: str
    parts: list[Part]
    parents: list[str]
    warnings: list[Problem]
    used_by: list[str]
    dropped_at: datetime | None
    why_kept: str | None  # why it cannot be dropped
    is_known: bool
    reference: Reference | None  # where its rows are, if they are not here
    profile: dict[str, Any] | None
    profile_unknown: str | None  # why there is no profile to show


class RefusalOut(msgspec.Struct, kw_only=True):
    id: str
    dataset: str
    at: datetime
    actor: str
    blob: str
    format: str
    source: str
    contract_version: int
    problems: list[Problem]
    rows_blob: str
    sentence: str
    resolved_by: str | None


class DatasetBrief(msgspec.Struct, kw_only=True):
    name: str
    owner: str
    description: str
    created_at: datetime
    rows_total: int
    snapshots: list[SnapshotBrief]


class DatasetOut(msgspec.Struct, kw_only=True):
    name: str
    owner: str
    description: str
    created_at: datetime
    rows_total: int
    contract: ContractOut | None
    snapshots: list[SnapshotBrief]
    refusals: list[RefusalOut]
    refs: dict[str, int]
    used_by: list[str]


class Datasets(msgspec.Struct):
    items: list[DatasetBrief]
    next: str | None


class Snapshots(msgspec.Struct):
    items: list[SnapshotBrief]
    next: int | None


@routes.raw("PUT", "/blobs/{digest}", permission="write")
async def put_blob(*, request: Request, store: Store, actor: Principal) -> Response:
    """Keep bytes under their SHA-256; 201 if they are new, 200 if they were here, as far as that shows without a request."""
    digest = request.path_params["digest"]
    status = 200 if store.blobs.is_near and store.blobs.size(digest) is not None else 201
    received = uploads.chunks(request, most=MOST_BLOB_BYTES)
    _, size = await run_in_threadpool(lambda: store.blobs.put(received, expected=digest))
    return Response(encode({"digest": digest, "size": size}), status, media_type="application/json")


@routes.raw("GET", "/blobs/{digest}", permission="read")
async def get_blob(*, request: Request, store: Store, actor: Principal) -> Response:
    """The bytes, verified before the first of them is sent."""
    digest = request.path_params["digest"]
    path = await run_in_threadpool(store.blobs.path, digest)
    return FileResponse(path, media_type="application/octet-stream", headers=_headers(digest))


@routes.raw("HEAD", "/blobs/{digest}", permission="read")
async def has_blob(*, request: Request, store: Store, actor: Principal) -> Response:
    """Whether the bytes are here, and how many."""
    digest = request.path_params["digest"]
    size = store.blobs.size(digest)
    if size is None or not await run_in_threadpool(_is_whole, store, digest):
        raise NotFound(f"there is no blob {digest}; upload it first.", digest=digest)
    return Response(headers=_headers(digest) | {"Content-Length": str(size)}, media_type="application/octet-stream")


@routes.post("/datasets", permission="write", status=201)
def create(change: Change, body: DatasetIn) -> DatasetOut:
    """Name a source of rows, and who answers for it."""
    made = datasets.create(change, name=body.name, owner=body.owner, description=body.description)
    return _dataset(change, made)


@routes.get("/datasets", permission="read")
def list_datasets(view: View, after: str = "", limit: int = 100) -> Datasets:
    """Datasets by name, each with its newest snapshots."""
    found = datasets.listed(view, after=after, limit=limit)
    items = [
        DatasetBrief(
            name=each.name,
            owner=each.owner,
            description=each.description,
            created_at=each.created_at,
            rows_total=datasets.rows_total(view, each.name),
            snapshots=[_brief(one) for one in snapshots.listed(view, dataset=each.name, limit=1000)],
        )
        for each in found
    ]
    return Datasets(items=items, next=found[-1].name if len(found) == limit else None)


@routes.get("/datasets/{name}", permission="read")
def show(view: View, name: str) -> DatasetOut:
    """One dataset with its contract, snapshots, refusals and users."""
    return _dataset(view, datasets.get(view, name))


@routes.post("/datasets/{name}/snapshots", permission="write", status=201)
def take(change: Change, name: str, body: SnapshotIn) -> SnapshotOut:
    """Make a snapshot of an uploaded Parquet or CSV file, or of a manifest of files.

    422: it breaks the contract; the facts list every problem.
    """
    if body.run_id is not None:
        runs.get(change, body.run_id)
    taken = snapshots.take(
        change,
        dataset=name,
        blob=body.blob,
        format=body.format,
        examined=body.examined,
        source=body.source,
        period=_period(body.period) if body.period else None,
        run_id=body.run_id,
        parents=body.parents,
    )
    if isinstance(taken, Refused):
        return Reply(422, _refusal_error(taken))  # type: ignore[return-value]
    return _snapshot(change, taken)


@routes.get("/datasets/{name}/snapshots", permission="read")
def list_snapshots(view: View, name: str, after: int | None = None, limit: int = 100) -> Snapshots:
    """Snapshots of a dataset, newest first; ``after`` is the number of the last one seen."""
    datasets.get(view, name)
    found = snapshots.listed(view, dataset=name, before=after, limit=limit)
    return Snapshots(items=[_brief(each) for each in found], next=found[-1].number if len(found) == limit else None)


@routes.get("/snapshots/{snapshot}", permission="read")
def show_snapshot(view: View, snapshot: str) -> SnapshotOut:
    """One snapshot, by number (``flights@3``) or by name (``flights@current``, ``flights@latest``)."""
    return _snapshot(view, snapshots.named(view, snapshot))


@routes.post("/snapshots/{snapshot}/drop", permission="write")
def drop(change: Change, snapshot: str) -> SnapshotOut:
    """Say that a snapshot is not wanted any more; a later collection takes its bytes, unless something needs them."""
    return _snapshot(change, drops.drop(change, snapshot))


@routes.post("/snapshots/{snapshot}/restore", permission="write")
def restore(change: Change, snapshot: str) -> SnapshotOut:
    """Bring back a snapshot that was dropped."""
    return _snapshot(change, drops.restore(change, snapshot))


@routes.post("/datasets/{name}/refs/{ref}", permission="write", status=201)
def point(change: Change, name: str, ref: str, body: RefIn) -> Ref:
    """Point a name such as ``current`` at a snapshot; nothing is deleted."""
    return datasets.point(change, dataset=name, ref=ref, number=body.number)


@routes.post("/datasets/{name}/rollback", permission="write", status=201)
def roll_back(change: Change, name: str, body: RollbackIn) -> Ref:
    """Let `current` name an earlier snapshot again; it takes a reason, and deletes nothing."""
    return datasets.roll_back(change, dataset=name, to=body.to)


@routes.get("/refusals/{refusal_id}", permission="read")
def show_refusal(view: View, refusal_id: str) -> RefusalOut:
    """One refused batch with its problems."""
    return _refusal(refusals.get(view, refusal_id))


def _is_whole(store: Store, digest: str) -> bool:
    """Whether the blob is undamaged; a damaged one counts as absent, so that it is uploaded again and healed."""
    try:
        store.blobs.path(digest)
    except Corrupt:
        return False
    return True


def _headers(digest: str) -> dict[str, str]:
    # Whatever the bytes are, a browser must not show them as a page of ours.
    return {
        "ETag": f'"{digest}"',
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }


def _period(body: PeriodIn) -> Period:
    return Period(since=from_wire(body.since, what="period.since"), until=from_wire(body.until, what="period.until"))


def _dataset(view: View, dataset: Dataset) -> DatasetOut:
    contract = contracts.find(view, dataset.name)
    users = [use.subject for use in lineage.used_by(view, dataset=dataset.name)]
    return DatasetOut(
        name=dataset.name,
        owner=dataset.owner,
        description=dataset.description,
        created_at=dataset.created_at,
        rows_total=datasets.rows_total(view, dataset.name),
        contract=shape(contract) if contract else None,
        snapshots=[_brief(each) for each in snapshots.listed(view, dataset=dataset.name, limit=1000)],
        refusals=[_refusal(each) for each in refusals.listed(view, dataset=dataset.name)],
        refs={ref.name: ref.number for ref in datasets.refs(view, dataset.name)},
        used_by=list(dict.fromkeys(users)),
    )


def _brief(snapshot: Snapshot) -> SnapshotBrief:
    return SnapshotBrief(
        dataset=snapshot.dataset,
        number=snapshot.number,
        kind=snapshot.kind,
        id=snapshot.id,
        digest=snapshot.digest,
        rows=snapshot.rows,
        size=snapshot.size,
        period=snapshot.period,
        source=snapshot.source,
        created_at=snapshot.created_at,
        actor=snapshot.actor,
        run_id=snapshot.run_id,
        blob=snapshot.blob,
        warnings=len(snapshot.warnings),
        dropped_at=snapshot.dropped_at,
    )


def _snapshot(view: View, snapshot: Snapshot) -> SnapshotOut:
    columns, unknown = snapshots.described(view, snapshot)
    users = [use.subject for use in lineage.used_by(view, dataset=snapshot.dataset, number=snapshot.number)]
    return SnapshotOut(
        dataset=snapshot.dataset,
        number=snapshot.number,
        kind=snapshot.kind,
        id=snapshot.id,
        digest=snapshot.digest,
        rows=snapshot.rows,
        size=snapshot.size,
        schema=list(snapshot.schema),
        period=snapshot.period,
        source=snapshot.source,
        created_at=snapshot.created_at,
        actor=snapshot.actor,
        run_id=snapshot.run_id,
        contract_version=snapshot.contract_version,
        blob=snapshot.blob,
        given=snapshot.given,
        parts=list(snapshot.parts),
        parents=list(snapshot.parents),
        warnings=list(snapshot.warnings),
        used_by=list(dict.fromkeys(users)),
        dropped_at=snapshot.dropped_at,
        why_kept=drops.why_kept(view, snapshot),
        is_known=snapshot.is_known,
        reference=_reference(view, snapshot),
        profile={"rows": max((each["n"] for each in columns), default=0), "columns": columns}
        if columns is not None
        else None,
        profile_unknown=unknown,
    )


def _reference(view: View, snapshot: Snapshot) -> Reference | None:
    try:
        return references.of(view.blobs, snapshot)
    except NotFound:
        return None  # it was dropped, and a collection took the address


def _refusal(refused: Refused) -> RefusalOut:
    return RefusalOut(
        id=refused.id,
        dataset=refused.dataset,
        at=refused.at,
        actor=refused.actor,
        blob=refused.blob,
        format=refused.format,
        source=refused.source,
        contract_version=refused.contract_version,
        problems=list(refused.problems),
        rows_blob=refused.rows_blob,
        sentence=refused.sentence,
        resolved_by=refused.resolved_by,
    )


def _refusal_error(refused: Refused) -> dict[str, Any]:
    facts = {
        "refusal": refused.id,
        "problems": [problem.to_json() for problem in refused.problems],
        "rows_blob": refused.rows_blob,
    }
    return {"error": {"kind": "invalid", "message": refused.sentence, "facts": facts, "request_id": refused.id}}
