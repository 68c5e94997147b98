# SPDX-License-Identifier: Apache-2.0
"""A session: whom to ask, found once, and the few shapes of asking that everything else is made of.

Order: ``MAINSTAY_URL`` · the running server of this workspace · the same app in this process. Paths are as the API writes
them, without ``/api``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mainstay import settings
from mainstay.client.wire import Wire
from mainstay.domain.digests import sha256_hex, sha256_of_file
from mainstay.domain.errors import Corrupt, MainstayError, Unavailable

_CHUNK = 1 << 20
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Session:
    """A client of one control plane. Thread-safe."""

    def __init__(
        self, wire: Wire, *, cache: Path, workspace: Path | None = None, gateway_url: str | None = None
    ) -> None:
        self.wire = wire
        self.workspace = workspace
        self.gateway_url = gateway_url
        self._before_close: list[Callable[[], None]] = []
        self.cache = cache
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, path: str, **params: Any) -> Any:
        """The answer to a read."""
        return self.wire.ask("GET", "/api" + path, params=params).json()

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """The answer to a write; it happens once, however often it had to be sent."""
        return self.wire.ask("POST", "/api" + path, json=body or {}, params=params).json()

    def post_bytes(self, path: str, content: bytes, *, content_type: str, **params: Any) -> Any:
        """A write whose body is not JSON."""
        return self.wire.ask("POST", "/api" + path, content=content, content_type=content_type, params=params).json()

    def put_blob(self, data: bytes | Path, *, retry_s: float | None = None) -> str:
        """Upload bytes or a file; its digest. What is large and known there is not sent again."""
        digest = sha256_hex(data) if isinstance(data, bytes) else sha256_of_file(data)
        path = f"/api/blobs/{digest}"
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        # For a small one the question would cost as much as the bytes.
        if size < _CHUNK or not self.wire.knows(path, retry_s=retry_s):
            self.wire.send_stream(path, lambda: _read(data), retry_s=retry_s)
        return digest

    def get_blob(self, digest: str) -> bytes:
        """The bytes of a blob, or of a chunk of a large one, verified here too.

        Raises:
            Corrupt: they arrived damaged. NotFound: there is no such blob.
        """
        data = self.wire.ask("GET", f"/api/blobs/{digest}").content
        if sha256_hex(data) != digest:
            from mainstay.client.packing import is_chunk  # the store's code: only for who takes a large file out

            if not is_chunk(data, digest):
                raise Corrupt(f"blob {digest} arrived damaged; ask again.", digest=digest)
        return data

    def blob_path(self, digest: str) -> Path:
        """A local, verified file with the bytes; fetched once and kept."""
        kept = self.cache / digest
        if not (kept.exists() and sha256_of_file(kept) == digest):
            self._fetch(digest, kept)
        return kept

    def put_folder(self, path: Path) -> str:
        """Keep a folder, or one file, of any kind; the digest of the manifest that names its files."""
        from mainstay.client import folders

        return folders.bring(self, path).digest

    def lay_folder(self, digest: str, folder: Path) -> None:
        """Lay out in ``folder`` what `put_folder` kept."""
        from mainstay.client import checkouts

        checkouts.lay_out(self, digest, folder)

    def _fetch(self, digest: str, kept: Path) -> None:
        handle, fresh = tempfile.mkstemp(dir=self.cache)
        try:
            with open(handle, "wb") as file:
                self.wire.stream_to(f"/api/blobs/{digest}", file.write)
            if sha256_of_file(Path(fresh)) != digest:
                raise Corrupt(f"blob {digest} arrived damaged; ask again.", digest=digest)
            os.replace(fresh, kept)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)

    def before_close(self, act: Callable[[], None]) -> None:
        """Have ``act`` called while the connection is still there."""
        self._before_close.append(act)

    def close(self) -> None:
        """Let go of the connection; in-process, stop the app."""
        while self._before_close:
            self._before_close.pop()()
        self.wire.close()


def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    workspace: str | Path | None = None,
    retry_s: float | None = None,
) -> Session:
    """A new session; see the module's order for what is asked when no ``url`` is given.

    Raises:
        Unavailable: ``url`` needs a token and none is known.
    """
    folder = Path(workspace).expanduser().resolve() if workspace else settings.workspace()
    insist = float(settings.get("retry_seconds")) if retry_s is None else retry_s
    token = token or settings.get("token") or None
    address = url or ("" if workspace else settings.get("url"))
    if address:
        return Session(Wire(address, token or _token_for(address, folder), retry_s=insist), cache=_cache_folder())
    running = _running_server(folder)
    if running is not None:
        wire = Wire(running["url"], token or _token_of(folder), retry_s=insist)
        return Session(wire, cache=folder / "cache", workspace=folder, gateway_url=running.get("gateway_url"))
    from mainstay.client.inprocess import URL, InProcess  # the whole server's code: only when no other server is there

    transport = InProcess(folder)
    wire = Wire(URL, token or transport.token, retry_s=0, transport=transport)
    return Session(wire, cache=folder / "cache", workspace=folder)


_default: Session | None = None
_making = threading.Lock()


def default() -> Session:
    """The session that module-level functions of the SDK use; made at first need."""
    global _default
    with _making:
        if _default is None:
            _default = connect()
            atexit.register(_default.close)
        return _default


def use(session: Session | None) -> None:
    """Make ``session`` the default one; None forgets it."""
    global _default
    with _making:
        _default = session


def _running_server(folder: Path) -> dict[str, Any] | None:
    """What ``server.json`` says, if that very server answers there.

    A server that was killed leaves the file behind, and by now its port may be another program's, which must not be shown
    our token: so the one that answers has to say the word that only this workspace's server and its file know.
    """
    try:
        told = json.loads((folder / "server.json").read_text())
        probe = Wire(told["url"], None, retry_s=0)
    except (MainstayError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        found = probe.ask("GET", "/health", timeout=2).json()
        return dict(told) if found["instance"] == told["instance"] else None
    except (MainstayError, ValueError, KeyError, TypeError):
        return None
    finally:
        probe.close()


def _token_for(address: str, folder: Path) -> str:
    """The workspace's own token, for a server on this machine only: it opens everything, so it is never sent elsewhere."""
    if urlsplit(address).hostname not in _LOOPBACK:
        raise Unavailable(f"{address} asks for a token; set MAINSTAY_TOKEN to one that was made for you there.")
    if token := _token_of(folder):
        return token
    raise Unavailable(
        f"{address} asks for a token and this workspace has none; set MAINSTAY_TOKEN, or use --workspace."
    )


def _token_of(folder: Path) -> str | None:
    try:
        return (folder / "token").read_text().strip()
    except OSError:
        return None


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mainstay"


def _read(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    with data.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
