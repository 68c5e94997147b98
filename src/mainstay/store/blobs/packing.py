# SPDX-License-Identifier: Apache-2.0
"""Writing packs: objects come in, and when `Packing.close` has returned each of them is durable.

One wait for the disk a pack, and that beside the reading and hashing of what comes next. What is large is read, hashed and
written by several threads, each object at the place that is its own; what becomes of it is decided in order, by one. What stands
in a pack already is not written again; its pack is touched, so that a collection which runs meanwhile lets it be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.digests import sha256_hex
from mainstay.store import chunking
from mainstay.store.blobs import packs
from mainstay.store.blobs.packs import Catalogue
from mainstay.store.chunking import Piece, Rule

_THREADS = min(4, os.cpu_count() or 1)
# Bytes on their way to a hash, and as many to the disk: enough to keep the threads busy, and little for a small server.
_AHEAD = 6 << 20
# Below so many bytes handing the work to another thread costs more than the work.
_WORTH_A_THREAD = 64 << 10
_WORTH_A_THREAD_AS_CHUNK = 256 << 10
_TOGETHER = 1 << 20


class Written(NamedTuple):
    """One object: its digest, its size, and whether it had to be written."""

    digest: str
    size: int
    is_new: bool


def _nothing() -> None:
    pass


class _Named(NamedTuple):
    """An object that has its name. ``done``: called when its memory is needed no longer."""

    digest: str
    data: Piece
    done: Callable[[], None] = _nothing


class _Coming(NamedTuple):
    """An object that has its name, or will have."""

    size: int
    named: _Named | Future[_Named]


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
        self._open: _OpenPack | None = None
        # One thread, so that packs get their names in the order they were written: a recipe never comes before its chunks.
        self._shipping = ThreadPoolExecutor(1, "mainstay-packs")
        self._threads = ThreadPoolExecutor(_THREADS, "mainstay-hashes")
        self._shipped: list[Future[None]] = []

    def __enter__(self) -> Packing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._threads.shutdown(cancel_futures=True)
            self._shipping.shutdown()
            if self._open is not None:
                self._open.abandon()

    def add(self, data: Piece) -> Written:
        """Keep one object."""
        digest = sha256_hex(data)
        return Written(digest, len(data), self._put(digest, data, len(data), packs.BYTES))

    def add_all(self, objects: Iterable[Piece]) -> Iterator[Written]:
        """Keep objects in order."""
        return self._keep((self._named(data, packs.BYTES, _WORTH_A_THREAD) for data in objects), packs.BYTES)

    def add_chunks(self, chunks: Iterable[Piece]) -> Iterator[Written]:
        """Keep the chunks of something large, in order."""
        return self._keep((self._named(data, packs.CHUNK, _WORTH_A_THREAD_AS_CHUNK) for data in chunks), packs.CHUNK)

    def add_file(self, handle: int, size: int, rule: Rule) -> Iterator[Written]:
        """Keep the chunks of an open file, in order; together they are smaller than ``size`` if it became shorter meanwhile."""
        spans, memory = chunking.spans_of_file(handle, size, rule), _Memory(rule.most)
        coming = (_Coming(end - start, self._threads.submit(memory.read, handle, start, end)) for start, end in spans)
        return self._keep(coming, packs.CHUNK)

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

    def _named(self, data: Piece, kind: int, worth: int) -> _Coming:
        return _Coming(len(data), self._threads.submit(_name, data, kind) if len(data) >= worth else _name(data, kind))

    def _keep(self, coming: Iterable[_Coming], kind: int) -> Iterator[Written]:
        waiting: deque[_Coming] = deque()
        size = 0
        for each in coming:
            waiting.append(each)
            size += each.size
            while waiting and (size > _AHEAD or isinstance(waiting[0].named, _Named)):
                size -= waiting[0].size
                yield self._take(waiting.popleft(), kind)
        while waiting:
            yield self._take(waiting.popleft(), kind)

    def _take(self, coming: _Coming, kind: int) -> Written:
        digest, data, done = coming.named if isinstance(coming.named, _Named) else coming.named.result()
        return Written(digest, len(data), self._put(digest, data, len(data), kind, done))

    def _put(self, digest: str, stored: Piece, size: int, kind: int, done: Callable[[], None] = _nothing) -> bool:
        if digest in self._written or self._is_kept(digest):
            done()
            return False
        if self._open is None:
            self._open = _OpenPack(self._aside, self._threads)
        self._open.put(digest, stored, size, kind, done)
        self._written.add(digest)
        if self._open.size >= packs.SIZE:
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

    def _end_pack(self) -> None:
        if self._open is not None:
            self._shipped.append(self._shipping.submit(self._finish, self._open))
            self._open = None

    def _finish(self, pack: _OpenPack) -> None:
        try:
            name, index = pack.finish()
            self._ship(pack.path, name)
        finally:
            pack.abandon()
        self._catalogue.add(name, index)


class _OpenPack:
    """A pack that is being written: small objects together, large ones by threads."""

    def __init__(self, aside: Path, threads: ThreadPoolExecutor) -> None:
        self.path = aside / secrets.token_hex(16)
        self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        self._threads = threads
        self._entries: list[tuple[bytes, int, int, int, int]] = []
        self._together = bytearray(packs.MAGIC)
        self._writes: deque[tuple[int, Future[None]]] = deque()
        self._waiting = 0
        self.size = len(packs.MAGIC)

    def put(self, digest: str, stored: Piece, size: int, kind: int, done: Callable[[], None]) -> None:
        """Write one object behind the others; errors of the disk may come with a later one."""
        self._entries.append((bytes.fromhex(digest), self.size, len(stored), size, kind))
        if len(stored) < _WORTH_A_THREAD_AS_CHUNK:
            self._together += stored
            done()
        else:
            self._write_together()
            self._write(stored, self.size, done)
        self.size += len(stored)
        if len(self._together) >= _TOGETHER:
            self._write_together()

    def finish(self) -> tuple[str, NDArray[np.void]]:
        """Write the index; the pack's name, and its index. What was put is on the disk when this has returned."""
        name, end, index = packs.ending(self._entries)
        self._wait(0)
        _write(self._handle, self._together + end, self.size - len(self._together), _nothing)
        os.fsync(self._handle)
        return name, index

    def abandon(self) -> None:
        """Close the file, and take it away if it got no name; once is enough."""
        if self._handle >= 0:
            for _, write in self._writes:
                with contextlib.suppress(CancelledError):
                    write.exception()
            os.close(self._handle)
            self._handle = -1
        self.path.unlink(missing_ok=True)

    def _write_together(self) -> None:
        together, self._together = self._together, bytearray()
        if together:
            self._write(together, self.size - len(together), _nothing)

    def _write(self, data: Piece | bytearray, at: int, done: Callable[[], None]) -> None:
        self._writes.append((len(data), self._threads.submit(_write, self._handle, data, at, done)))
        self._waiting += len(data)
        self._wait(_AHEAD)

    def _wait(self, most: int) -> None:
        """Have no more than ``most`` bytes on their way to the disk."""
        while self._waiting > most:
            size, write = self._writes.popleft()
            self._waiting -= size
            write.result()


class _Memory:
    """Memory to read chunks into, used again and again: new memory would cost more than the reading. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: deque[bytearray] = deque()

    def read(self, handle: int, start: int, end: int) -> _Named:
        """One chunk of a file, or what is left of it."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = bytearray(self._size)
        whole, size = memoryview(memory)[: end - start], 0
        while size < len(whole) and (more := os.preadv(handle, [whole[size:]], start + size)):
            size += more  # a file system elsewhere may give less than it is asked for
        data = whole[:size]
        return _Named(packs.name_of(data, packs.CHUNK), data, lambda: self._free.append(memory))


def _name(data: Piece, kind: int) -> _Named:
    return _Named(packs.name_of(data, kind), data)


def _write(handle: int, data: Piece | bytearray, at: int, done: Callable[[], None]) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, at)
        rest, at = rest[written:], at + written
    done()
