# SPDX-License-Identifier: Apache-2.0
"""Diffs of snapshots over HTTP: worked out beside the threads that answer requests, two at a time, and remembered.

What a diff says depends on two digests and the key alone, so the last few are kept; asking again costs nothing.
"""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain.data import Snapshot
from mainstay.lifecycle.data import contracts, diffs, snapshots
from mainstay.server.principals import Principal
from mainstay.server.routes import Routes, encode
from mainstay.store import Store

routes = Routes("data")

# Each may hold a column of both tables: more at once would make memory depend on how many ask.
_workers = ThreadPoolExecutor(2, thread_name_prefix="diff")


@routes.raw("GET", "/snapshots/{before}/diff/{after}", permission="read")
async def diff(*, request: Request, store: Store, actor: Principal) -> Response:
    """What is different between two snapshots; `key` (repeated, or with commas) says which columns name a row."""
    wanted = [name for text in request.query_params.getlist("key") for name in text.split(",") if name]
    names = request.path_params["before"], request.path_params["after"]
    before, after, key = await run_in_threadpool(_find, store, *names, tuple(wanted))
    loop = asyncio.get_running_loop()
    content = await loop.run_in_executor(_workers, lambda: _compare(store, before, after, key))
    return Response(content, media_type="application/json")


def _find(store: Store, before: str, after: str, wanted: tuple[str, ...]) -> tuple[Snapshot, Snapshot, tuple[str, ...]]:
    """Both snapshots, and the key that is asked for, else the one that the contract of the later names."""
    with store.view() as view:
        old, new = snapshots.named(view, before), snapshots.named(view, after)
        key = wanted or diffs.key_of(contracts.find(view, new.dataset))
    there = [{field.name for field in each.schema} for each in (old, new)]
    return old, new, key if wanted or all(set(key) <= names for names in there) else ()


@functools.lru_cache(maxsize=32)
def _compare(store: Store, before: Snapshot, after: Snapshot, key: tuple[str, ...]) -> bytes:
    return encode(diffs.compare(store.blobs, before, after, key=key))
