# SPDX-License-Identifier: Apache-2.0
"""The same app, in this very process: the one place where a client reaches the server's code.

In: a workspace folder. Out: an httpx transport that hands each request to the ASGI app on a thread of its own. The loops
run as they would in a server, so what a request sets going goes on while this process lives.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import httpx

from mainstay.server.app import make_app
from mainstay.server.presence import read_server_file
from mainstay.server.workspace import TOKEN_FILE, open_workspace

URL = "http://127.0.0.1"

__all__ = ["URL", "InProcess", "read_server_file"]


class InProcess(httpx.BaseTransport):
    """A transport without a socket."""

    def __init__(self, workspace: Path, *, loops: bool = True) -> None:
        self.store = open_workspace(workspace)
        self.token = (workspace / TOKEN_FILE).read_text().strip()
        self._app = make_app(self.store, loops=loops)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mainstay-in-process", daemon=True)
        self._thread.start()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._life = asyncio.run_coroutine_threadsafe(self._live(), self._loop)
        self._pass("lifespan.startup")
        atexit.register(self.close)  # a program that forgets to close must not leave the loops in the middle of a write

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Hand one request to the app; the whole answer."""
        return self._wait(self._answer(request))

    def close(self) -> None:
        """Stop the app as a server would; once."""
        if self._loop.is_closed():
            return
        atexit.unregister(self.close)
        self._pass("lifespan.shutdown")
        self._life.result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        self.store.close()

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        await self._app(scope, self._to_app.get, self._from_app.put)

    def _pass(self, kind: str) -> None:
        async def tell() -> None:
            await self._to_app.put({"type": kind})
            told = await self._from_app.get()
            if told["type"].endswith("failed"):
                raise RuntimeError(told.get("message", kind))

        self._wait(tell())

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = _pieces(request)
        status, headers, content = 500, [], bytearray()
        is_read, answered = False, asyncio.Event()

        async def receive() -> dict[str, Any]:
            nonlocal is_read
            if is_read:
                await answered.wait()  # as on a socket: after the body there is nothing until the connection ends
                return {"type": "http.disconnect"}
            piece = await anext(body, None)
            is_read = piece is None
            return {"type": "http.request", "body": piece or b"", "more_body": not is_read}

        async def send(message: Any) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], message.get("headers", [])
            else:
                content.extend(message.get("body", b""))

        try:
            await self._app(_scope(request), receive, send)
        finally:
            answered.set()
        return httpx.Response(status, headers=list(headers), content=bytes(content), request=request)


async def _pieces(request: httpx.Request) -> AsyncIterator[bytes]:
    assert isinstance(request.stream, httpx.SyncByteStream)
    for piece in request.stream:
        yield piece


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        # A body of unknown length is sent in chunks on a socket; here the header would only contradict nothing.
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
