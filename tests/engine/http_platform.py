# SPDX-License-Identifier: Apache-2.0
"""The platform in memory, behind real HTTP on an ephemeral port: for workers and their child processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from memory_platform import MemoryPlatform

from mainstay.domain.errors import MainstayError

STATUS = {"not_found": 404, "conflict": 409, "unavailable": 503}


@contextmanager
def served(platform: MemoryPlatform) -> Iterator[str]:
    """The address at which ``platform`` answers."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, params = self._asked()
            if path.startswith("/blobs/"):
                self._answer(lambda: platform.get_blob(path.removeprefix("/blobs/")))
            else:
                typed = {name: int(value) if value.isdigit() else value for name, value in params.items()}
                self._answer(lambda: platform.get(path, **typed))

        def do_HEAD(self) -> None:
            path, _ = self._asked()
            known = path.removeprefix("/blobs/") in platform.blobs
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            path, _ = self._asked()
            body = json.loads(self._body() or b"{}")
            self._answer(lambda: platform.post(path, body))

        def do_PUT(self) -> None:
            body = self._body()
            self._answer(lambda: {"digest": platform.put_blob(body)})

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _asked(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            return parts.path.removeprefix("/api"), dict(parse_qsl(parts.query))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def _answer(self, work: Any) -> None:
            try:
                with lock:
                    found = work()
                status = 200
            except MainstayError as error:
                status = STATUS.get(error.kind, 422)
                found = {"error": {"kind": error.kind, "message": error.message, "facts": {}}}
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
