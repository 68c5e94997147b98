# SPDX-License-Identifier: Apache-2.0
"""What is stored, over HTTP: many blobs in one request, the files of a snapshot, whether they are sound, and collecting.

Large blobs and folders are sent as chunks: a client asks which of them are missing and sends those, many at once.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from mainstay.domain import strict_json
from mainstay.domain.data import Snapshot
from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Invalid, Malformed
from mainstay.lifecycle.answers import holding
from mainstay.lifecycle.data import folders, lineage, snapshots
from mainstay.lifecycle.pipelines import results
from mainstay.server import uploads
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Store, View, collecting
from mainstay.store.blobs.packing import Packing, Written

routes = Routes("data")

MOST_AT_ONCE_BYTES = 256 << 20
LARGEST_OBJECT_BYTES = 64 << 20
_LENGTH = struct.Struct("<I")
_ROWS = 65_536


class MissingIn(Body):
    digests: list[str]


class Missing(msgspec.Struct):
    missing: list[str]


class Kept(msgspec.Struct):
    digests: list[str]


class FileOut(msgspec.Struct, kw_only=True):
    path: str
    size: int
    digest: str
    is_list: bool


class Files(msgspec.Struct):
    items: list[FileOut]
    next: str | None


class Examined(msgspec.Struct, kw_only=True):
    snapshot: str
    sound: bool
    rows: int
    size: int
    damaged: list[snapshots.Damage]
    freed: str | None  # who took its bytes away, and when
    affected: list[str]


class CollectIn(Body):
    delete: bool = False
    grace_s: int = int(collecting.GRACE.total_seconds())
    kept_away_s: int = int(collecting.KEPT_AWAY.total_seconds())
    reason: str = ""


class CollectedOut(msgspec.Struct, kw_only=True):
    deleted: bool
    objects: int
    size: int
    kinds: list[collecting.Kind]
    rewritten: int
    kept: int
    kept_size: int
    young: int
    grace_s: int
    kept_away_s: int


@routes.raw("POST", "/blobs/missing", permission="write")
async def missing(*, request: Request, store: Store, actor: Principal) -> Response:
    """Which of these digests are not here; the others stay for a day at least, whether or not anything refers to them."""
    asked: MissingIn = await _body(request, MissingIn)
    if unusable := next((each for each in asked.digests if not is_digest(each)), None):
        raise Invalid(f"{unusable[:80]!r} is not a digest; 64 lower-case hexadecimal digits are expected.")
    return _json(Missing(await run_in_threadpool(store.blobs.missing, asked.digests)))


@routes.raw("POST", "/blobs", permission="write")
async def put_blobs(*, request: Request, store: Store, actor: Principal) -> Response:
    """Keep many blobs at once, each as four bytes of length (little end first) and its bytes; their digests, in order."""
    return await _put(request, store, Packing.add_all)


@routes.raw("POST", "/chunks", permission="write")
async def put_chunks(*, request: Request, store: Store, actor: Principal) -> Response:
    """Keep many chunks of large files at once, framed as blobs are; their BLAKE3 digests, in order."""
    return await _put(request, store, Packing.add_chunks)


@routes.get("/snapshots/{snapshot}/files", permission="read")
def files(view: View, snapshot: str, after: str = "", limit: int = 100) -> Files:
    """The files of a snapshot of files, by path."""
    found = _of_files(snapshots.named(view, snapshot))
    items: list[FileOut] = []
    for file in folders.files_of(view.blobs, found):
        if file.path.split("/") <= after.split("/") and after:
            continue
        if len(items) == limit:
            return Files(items=items, next=items[-1].path)
        items.append(FileOut(path=file.path, size=file.size, digest=file.digest, is_list=file.is_list))
    return Files(items=items, next=None)


@routes.raw("POST", "/snapshots/{snapshot}/verify", permission="read")
async def verify(*, request: Request, store: Store, actor: Principal) -> Response:
    """Hash a snapshot again: what of it is damaged or gone, and who uses it."""

    def examine() -> Examined:
        with store.view() as view:
            found = snapshots.named(view, request.path_params["snapshot"])
            users = [use.subject for use in lineage.used_by(view, dataset=found.dataset, number=found.number)]
        damaged = list(snapshots.damages(store.blobs, found))
        gone = next((each.digest for each in damaged if each.is_gone), "")
        with store.view() as view:
            freed = collecting.freed(view, gone) if gone else None
        return Examined(
            snapshot=found.id,
            sound=not damaged,
            rows=found.rows,
            size=found.size,
            damaged=damaged,
            freed=freed and freed.sentence,
            affected=list(dict.fromkeys(users)) if damaged else [],
        )

    return _json(await run_in_threadpool(examine))


@routes.raw("GET", "/snapshots/{snapshot}/export", permission="read")
async def export(*, request: Request, store: Store, actor: Principal) -> Response:
    """The rows of a snapshot as a file: ``?format=parquet`` (as stored) or ``csv``."""
    format = request.query_params.get("format", "parquet")
    if format not in ("parquet", "csv"):
        raise Invalid(f"query parameter 'format' is {format[:40]!r}; parquet and csv are possible.")

    def find() -> tuple[Snapshot, Any]:
        with store.view() as view:
            found = snapshots.named(view, request.path_params["snapshot"])
        if found.kind == folders.KIND:
            raise Invalid(f"snapshot {found.id} is made of files; `mainstay datasets checkout` lays them out.")
        if not found.parts:
            raise Invalid(
                f"the rows of snapshot {found.id} are not here, they are read where they are; export them there."
            )
        return found, store.blobs.path(found.blob)

    found, path = await run_in_threadpool(find)
    name = f"{found.dataset}-{found.number}.{format}"
    if format == "parquet":
        return FileResponse(path, media_type="application/vnd.apache.parquet", filename=name)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_csv(path), media_type="text/csv; charset=utf-8", headers=headers)


@routes.raw("POST", "/gc", permission="admin")
async def collect(*, request: Request, store: Store, actor: Principal) -> Response:
    """Count the blobs that nothing refers to, or only what was put away long ago; with ``delete`` take them away."""
    asked: CollectIn = await _body(request, CollectIn)
    grace, kept_away = (timedelta(seconds=min(max(each, 0), 10**9)) for each in (asked.grace_s, asked.kept_away_s))
    outcome = await run_in_threadpool(
        lambda: collecting.collect(
            store,
            actor=actor.actor,
            reason=asked.reason,
            grace=grace,
            kept_away=kept_away,
            delete=asked.delete,
            rules=collecting.Rules(away=holding.put_away, forget=results.forget),
        )
    )
    found = {name: value for name, value in vars(outcome.found).items() if name != "gone"}
    periods = {"grace_s": asked.grace_s, "kept_away_s": asked.kept_away_s}
    return _json(CollectedOut(deleted=asked.delete, kinds=outcome.kinds, **periods, **found))


async def _put(
    request: Request, store: Store, add: Callable[[Packing, Iterable[bytes]], Iterator[Written]]
) -> Response:
    received = uploads.chunks(request, most=MOST_AT_ONCE_BYTES)

    def keep() -> list[str]:
        with store.blobs.packing() as packing:
            return [written.digest for written in add(packing, _framed(received))]

    return _json(Kept(await run_in_threadpool(keep)), 201)


async def _body(request: Request, wanted: Any) -> Any:
    data = await read_body(request)
    return convert(strict_json.loads(data) if data.strip() else {}, wanted)


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _of_files(snapshot: Snapshot) -> Snapshot:
    if snapshot.kind != folders.KIND:
        raise Invalid(f"snapshot {snapshot.id} is a table; `mainstay datasets show {snapshot.id}` shows its columns.")
    return snapshot


def _framed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The objects of a body, as they arrive."""
    held = bytearray()
    for piece in pieces:
        held += piece
        at = 0
        while len(held) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(held, at)
            if length > LARGEST_OBJECT_BYTES:
                raise Invalid(
                    f"one of the blobs has {length} bytes; at most {LARGEST_OBJECT_BYTES} go into such a request."
                )
            if len(held) - at < _LENGTH.size + length:
                break
            yield bytes(memoryview(held)[at + _LENGTH.size : at + _LENGTH.size + length])
            at += _LENGTH.size + length
        del held[:at]
    if held:
        raise Malformed("the body ends in the middle of a blob; send it again.")


def _csv(path: Any) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
        head = io.BytesIO()
        pacsv.write_csv(file.schema_arrow.empty_table(), head, pacsv.WriteOptions(quoting_style="needed"))
        yield head.getvalue()
        for batch in file.iter_batches(batch_size=_ROWS):
            sink = io.BytesIO()
            pacsv.write_csv(batch, sink, options)
            yield sink.getvalue()
