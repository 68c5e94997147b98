# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts: a large file that a client sends in several requests at once, in any order.

Nothing of an upload is remembered here. A part is a blob like any other, and its digest is the ``ETag`` that the client brings
back at the end; then the parts are read one after the other into the file. Parts of an upload that nobody ends are reached by
nothing, and go with the next collection of such blobs. A client sends its parts without credentials of its own, so it is told
to use those with which it began.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import TooLarge
from mainstay.server import uploads
from mainstay.server.principals import Principal
from mainstay.server.protocols.mlflow import artifacts, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.routes import read_body
from mainstay.store import Store

calls = Calls()

MOST_PARTS = 10_000
LARGEST_PART = 5 << 30


class Begin(wire.Request):
    path: str  # as it is called on the client's disk
    num_parts: int = 1


class Part(msgspec.Struct):
    part_number: int
    etag: str


class End(wire.Request):
    path: str
    parts: list[Part]
    upload_id: str = ""


@calls.raw("POST", "mlflow-artifacts/mpu/create/{path:path}", permission="write")
async def begin(*, request: Request, store: Store, actor: Principal) -> Response:
    """Begin to send a file in parts: where each of them goes."""
    body = wire.read(Begin, await read_body(request))
    if not 1 <= body.num_parts <= MOST_PARTS:
        raise wire.unusable("num_parts", body.num_parts, f"from 1 to {MOST_PARTS} parts are possible.")
    await run_in_threadpool(artifacts.check_open, store, _place(request, body.path))
    upload = secrets.token_hex(16)
    given = request.headers.get("authorization")
    headers = {"Authorization": given} if given else {}
    where = f"{request.base_url}api/2.0/mlflow-artifacts/mpu/parts/{upload}"
    credentials = [
        {"url": f"{where}/{number}", "part_number": number, "headers": headers}
        for number in range(1, body.num_parts + 1)
    ]
    return artifacts.answer({"upload_id": upload, "credentials": credentials})


@calls.raw("PUT", "mlflow-artifacts/mpu/parts/{upload}/{number:whole}", permission="write")
async def put(*, request: Request, store: Store, actor: Principal) -> Response:
    """One part of a file; its ``ETag`` is brought back at the end."""
    digest, _ = await run_in_threadpool(store.blobs.put, uploads.chunks(request, most=LARGEST_PART))
    return Response(wire.encode({}), headers={"ETag": f'"{digest}"'}, media_type="application/json")


@calls.raw("POST", "mlflow-artifacts/mpu/complete/{path:path}", permission="write")
async def end(*, request: Request, store: Store, actor: Principal) -> Response:
    """Make a file of its parts, in the order of their numbers."""
    body = wire.read(End, await read_body(request))
    place = _place(request, body.path)
    digests = _in_order(body.parts)
    await run_in_threadpool(artifacts.keep, store, actor, place, _joined(store, digests))
    return artifacts.answer({})


@calls.raw("POST", "mlflow-artifacts/mpu/abort/{path:path}", permission="write")
async def abort(*, request: Request, store: Store, actor: Principal) -> Response:
    """Give an upload up; its parts were never a file, and go by themselves."""
    body = wire.read(Begin, await read_body(request))
    _place(request, body.path)
    return artifacts.answer({})


def _place(request: Request, name: str) -> artifacts.Place:
    """Where the file will be: in the folder of the address, under the last part of its name on the client's disk."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return artifacts.place_of(f"{request.path_params['path'].rstrip('/')}/{last}")


def _in_order(parts: Sequence[Part]) -> list[str]:
    by_number = {part.part_number: part.etag.strip('"') for part in parts}
    if len(by_number) != len(parts) or sorted(by_number) != list(range(1, len(parts) + 1)) or not parts:
        numbers = sorted(part.part_number for part in parts)[:20]
        raise wire.unusable("parts", numbers, "each part from 1 on is expected once.")
    digests = [by_number[number] for number in sorted(by_number)]
    if odd := next((digest for digest in digests if not is_digest(digest)), None):
        raise wire.unusable("parts", odd[:80], "the ETag that was answered to the part is expected.")
    return digests


def _joined(store: Store, digests: Sequence[str]) -> Iterator[bytes]:
    size = 0
    for digest in digests:
        for piece in store.blobs.pieces(digest):
            size += len(piece)
            if size > artifacts.MOST_BYTES:
                raise TooLarge(f"the file is larger than {artifacts.MOST_BYTES} bytes; split it.")
            yield piece
