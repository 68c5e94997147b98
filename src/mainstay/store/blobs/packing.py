# SPDX-License-Identifier: Apache-2.0
"""Writing packs: objects come in, and when `Packing.close` has returned each of them is durable.

One wait for the disk a pack, and that beside the reading and hashing of what comes next. What stands in a pack already is not
written again; its pack is touched, so that a collection which runs meanwhile lets it be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from mainstay.store.blobs import packs
from mainstay.store.blobs.packs import Catalogue
from mainstay.store.chunking import Piece

_HASHERS = min(4, os.cpu_count() or 1)
# Bytes that wait for their hash: enough to keep the threads busy, and little enough for a server with little memory.
_AHEAD = 6 << 20
# Below this many bytes handing the work to another thread costs more than the work.
_WORTH_A_THREAD = 64 << 10


class Written(NamedTuple):
    """One object: its digest, its size, and whether it had to be written."""

    digest: str
    size: int
    is_new: bool


class Packing:
    """One batch of objects on their way into packs.

    Args:
        catalogue: what is there already. aside: a folder for what is not finished. ship: puts a finished, synced file where
        packs stand, under its name. settle: called once after the last one was shipped.
    """

    def __init__(
        self, catalogue: Catalogue, aside: Path, ship: Callable[[Path, str], None], settle: Callable[[], None]
    ) -> None:
        self._catalogue = catalogue
        catalogue.look()
        self._aside = aside
        self._ship = ship
        self._settle = settle
        self._touched: dict[str, bool] = {}
        self._written: set[str] = set()
        self._file: IO[bytes] | None = None
        self._path = aside
        self._entries: list[tuple[bytes, int, int, int, int]] = []
        self._offset = 0
        # One thread, so that packs get their names in the order they were written: a recipe never comes before its chunks.
        self._shipping = ThreadPoolExecutor(1, "mainstay-packs")
        self._hashing = ThreadPoolExecutor(_HASHERS, "mainstay-hashes")
        self._shipped: list[Future[None]] = []

    def __enter__(self) -> Packing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._hashing.shutdown(cancel_futures=True)
            self._shipping.shutdown()
            if self._file is not None:
                self._file.close()
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()

    def add(self, data: Piece, digest: str | None = None) -> Written:
        """Keep one object. ``digest``: if it was counted already."""
        name = digest or hashlib.sha256(data).hexdigest()
        return Written(name, len(data), self._put(name, data, len(data), packs.BYTES))

    def add_all(self, objects: Iterable[Piece]) -> Iterator[Written]:
        """Keep objects in order, hashed on several threads if they are large."""
        waiting: deque[tuple[Piece, Future[str] | None]] = deque()
        size = 0
        for data in objects:
            far = len(data) >= _WORTH_A_THREAD
            waiting.append((data, self._hashing.submit(_hash, data) if far else None))
            size += len(data)
            while waiting and (size > _AHEAD or waiting[0][1] is None):
                size -= len(waiting[0][0])
                yield self._take(waiting)
        while waiting:
            yield self._take(waiting)

    def add_recipe(self, digest: str, size: int, chunks: Iterable[Written]) -> bool:
        """Keep the blob ``digest`` as the list of its chunks; whether that was new."""
        made = packs.recipe((chunk.digest, chunk.size) for chunk in chunks)
        return self._put(digest, made, size, packs.RECIPE)

    def leave_out(self, pack: str) -> None:
        """Write anew what stands in ``pack`` and nowhere else, as if it were not there."""
        self._touched[pack] = False

    def bring(self, digest: str, stored: bytes, size: int, kind: int) -> None:
        """Keep an object as it stands in another pack, damaged or not: what it is shows when it is read."""
        self._put(digest, stored, size, kind)

    def close(self) -> None:
        """Finish; what was added is durable when this has returned."""
        self._end_pack()
        for shipped in self._shipped:
            shipped.result()
        self._settle()

    def _take(self, waiting: deque[tuple[Piece, Future[str] | None]]) -> Written:
        data, hashed = waiting.popleft()
        return self.add(data, hashed.result() if hashed else None)

    def _put(self, digest: str, stored: Piece, size: int, kind: int) -> bool:
        if digest in self._written or self._is_kept(digest):
            return False
        if self._file is None:
            self._begin_pack()
        assert self._file is not None
        self._file.write(stored)
        self._entries.append((bytes.fromhex(digest), self._offset, len(stored), size, kind))
        self._offset += len(stored)
        self._written.add(digest)
        if self._offset >= packs.SIZE:
            self._end_pack()
        return True

    def _is_kept(self, digest: str) -> bool:
        for place in self._catalogue.known(digest):
            if place[:2] in self._catalogue.damaged:
                continue
            if place.pack not in self._touched:
                self._touched[place.pack] = self._catalogue.shelf.touch(place.pack)
                if not self._touched[place.pack]:
                    self._catalogue.forget(place.pack)  # a collection was here
            if self._touched[place.pack]:
                return True
        return False

    def _begin_pack(self) -> None:
        self._path = self._aside / secrets.token_hex(16)
        self._file = open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb", 1 << 20)  # noqa: SIM115
        self._file.write(packs.MAGIC)
        self._entries, self._offset = [], len(packs.MAGIC)

    def _end_pack(self) -> None:
        if self._file is None:
            return
        file, path, entries = self._file, self._path, self._entries
        self._file = None
        self._shipped.append(self._shipping.submit(self._finish, file, path, entries))

    def _finish(self, file: IO[bytes], path: Path, entries: list[tuple[bytes, int, int, int, int]]) -> None:
        try:
            with file:
                name, end, index = packs.ending(entries)
                file.write(end)
                file.flush()
                os.fsync(file.fileno())
            self._ship(path, name)
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self._catalogue.add(name, index)


def _hash(data: Piece) -> str:
    return hashlib.sha256(data).hexdigest()
