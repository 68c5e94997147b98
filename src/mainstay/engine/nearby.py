# SPDX-License-Identifier: Apache-2.0
"""The control plane with small bytes kept at hand: what a step has just written is read by the next one without asking.

In: a platform. Out: the same, which holds back small blobs until a commit takes them along (`fresh`), and remembers
small ones that passed. Whatever else is asked of the control plane goes out after the bytes it may speak of.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mainstay.domain.digests import sha256_hex
from mainstay.engine.platform import Platform

SMALL = 64 << 10
_MOST_REMEMBERED = 64 << 20
_MOST_TAKEN = 3 << 20  # with one commit; a request may have 8 MiB, and base64 grows by a third


def to_wire(fresh: Mapping[str, bytes]) -> list[str]:
    """Small bytes as a request brings them along."""
    return [base64.b64encode(each).decode() for each in fresh.values()]


class Nearby:
    """A `Platform` over a platform. Thread-safe."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._lock = threading.Lock()
        self._fresh: dict[str, bytes] = {}
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._folder: Path | None = None

    def get(self, path: str, **params: Any) -> Any:
        """See `Platform.get`."""
        self.send_fresh()
        return self.platform.get(path, **params)

    def post(self, path: str, body: Any = None) -> Any:
        """See `Platform.post`."""
        self.send_fresh()
        return self.platform.post(path, body)

    def put_blob(self, data: bytes | Path) -> str:
        """See `Blobs.put_blob`; small bytes are durable with the next commit, before anything refers to them."""
        if isinstance(data, Path) or len(data) > SMALL:
            return self.platform.put_blob(data)
        digest = sha256_hex(data)
        with self._lock:
            if digest not in self._known:
                self._fresh[digest] = data
                self._remember(digest, data)
        return digest

    def put_folder(self, path: Path) -> str:
        """See `Blobs.put_folder`."""
        return self.platform.put_folder(path)

    def lay_folder(self, digest: str, folder: Path) -> None:
        """See `Blobs.lay_folder`."""
        self.send_fresh()  # what names the folder's files may be on its way
        self.platform.lay_folder(digest, folder)

    def get_blob(self, digest: str) -> bytes:
        """See `Blobs.get_blob`."""
        with self._lock:
            if (found := self._fresh.get(digest) or self._known.get(digest)) is not None:
                return found
        data = self.platform.get_blob(digest)
        with self._lock:
            self._remember(digest, data)
        return data

    def blob_path(self, digest: str) -> Path:
        """See `Blobs.blob_path`."""
        with self._lock:
            data = self._fresh.get(digest) or self._known.get(digest)
            return self.platform.blob_path(digest) if data is None else self._written(digest, data)

    def fresh(self) -> dict[str, bytes]:
        """What a commit has to bring along, as much as fits; the rest goes out at once."""
        with self._lock:
            held = dict(self._fresh)
        taken, size = {}, 0
        for digest, data in held.items():
            if size + len(data) > _MOST_TAKEN:
                self.platform.put_blob(data)
                self.forget([digest])
            else:
                taken[digest] = data
                size += len(data)
        return taken

    def send_fresh(self) -> None:
        """Have everything with the control plane that was put."""
        with self._lock:
            held = dict(self._fresh)
        for digest, data in held.items():
            self.platform.put_blob(data)
            self.forget([digest])

    def forget(self, digests: Iterable[str]) -> None:
        """These are durable; nothing has to bring them any more."""
        with self._lock:
            for digest in digests:
                self._fresh.pop(digest, None)

    def close(self) -> None:
        """Forget; what was put and never committed belongs to nothing."""
        with self._lock:
            self._fresh.clear()
            self._known.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def _remember(self, digest: str, data: bytes) -> None:
        if len(data) > SMALL or digest in self._known:
            return
        self._known[digest] = data
        self._size += len(data)
        while self._size > _MOST_REMEMBERED:
            _, old = self._known.popitem(last=False)
            self._size -= len(old)

    def _written(self, digest: str, data: bytes) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mainstay-near-"))
        path = self._folder / digest
        if not path.exists():
            path.write_bytes(data)
        return path
