# SPDX-License-Identifier: Apache-2.0
"""From an address to its endpoint, by how its path begins, where a framework tries one route after the other.

In: a request that the guard has let in. Out: its answer. What is logged metric by metric, and what a step puts on record, is
a call of which the trying would take the larger part. What is not found here is the framework's: the page, the API's
description, and what to say of an address that there is not. It is made when somebody asks for one of these.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from mainstay.server.protocols import Mount

Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """An ASGI app. ``otherwise`` makes the one that answers the rest; ``lifespan`` is entered while the server is up."""

    def __init__(
        self,
        mounts: Iterable[Mount],
        *,
        otherwise: Callable[[], ASGIApp],
        lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
    ) -> None:
        self._fixed: dict[tuple[str, str], Endpoint] = {}
        self._by_beginning: dict[tuple[str, str], list[Mount]] = {}
        for mount in mounts:
            if "{" not in mount.path:
                self._fixed.setdefault((mount.method, mount.path), mount.endpoint)
            elif "{" not in _beginning(mount.path):
                self._by_beginning.setdefault((mount.method, _beginning(mount.path)), []).append(mount)
        self._life = Starlette(lifespan=lifespan)
        self._make_other = otherwise
        self._making = asyncio.Lock()
        self._other: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._life(scope, receive, send)
        elif (endpoint := self._find(scope)) is not None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)
        else:
            other = self._other or await self._made()
            await other(scope, receive, send)

    def _find(self, scope: Scope) -> Endpoint | None:
        """The endpoint for a request; what its path fills in is noted in ``scope``."""
        method, path = scope["method"], scope["path"]
        if endpoint := self._fixed.get((method, path)):
            return endpoint
        for mount in self._by_beginning.get((method, _beginning(path)), ()):
            pattern, convertors = _compiled(mount.path)
            if found := pattern.match(path):
                filled = found.groupdict().items()
                scope["path_params"] = {name: convertors[name].convert(text) for name, text in filled}
                return mount.endpoint
        return None

    async def _made(self) -> ASGIApp:
        async with self._making:
            if self._other is None:
                self._other = await run_in_threadpool(self._make_other)
        return self._other


def _beginning(path: str) -> str:
    """The first two words of a path, such as ``/api/runs``."""
    return "/".join(path.split("/", 3)[:3])


@cache
def _compiled(path: str) -> tuple[re.Pattern[str], dict[str, Convertor[Any]]]:
    pattern, _, convertors = compile_path(path)
    return pattern, convertors
