# SPDX-License-Identifier: Apache-2.0
"""Blobs in an object store; see `buckets`.

Keys are those of the local folder (``ab/abcdef…``, ``packs/…``), so that a workspace is moved by copying. What is acknowledged
is as durable as the store makes it. What somebody wants a path of is fetched once, verified, and kept in a local folder that
has a bound. A request takes as long as a hundred small writes to a disk: what this process wrote or saw a moment ago it does
not ask for again, for a collection lets it be far longer than that.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.digests import is_digest
from mainstay.store.blobs import Collected, arriving, packs, readings, sweeping
from mainstay.store.blobs.buckets import MOST_DELETED, Bucket
from mainstay.store.blobs.digest_sets import DigestSet
from mainstay.store.blobs.packing import Packing
from mainstay.store.blobs.packs import Catalogue
from mainstay.store.blobs.readings import WholeFiles, corrupt, unknown

_SEEN_S = 600
_MOST_SEEN = 100_000
_AT_ONCE = 16
# Beyond so many questions one listing of everything is cheaper.
_MANY = 500
# Packs are read by such blocks where little is asked for: who wants one small object next wants its neighbour.
_BLOCK = 512 << 10
_MOST_BLOCKS = 32
_BLOCK_S = 60
_FRESH, _MOST_FRESH, _FRESH_S = 256 << 10, 64, 10
_EMPTY = hashlib.sha256().hexdigest()


class Seen(NamedTuple):
    """A blob of its own that was there: its size, when that was seen, and whether its bytes were, too."""

    size: int
    at: float
    is_sound: bool


class Fresh(NamedTuple):
    """A small blob as it was written, for its first reader: mostly whoever looks at what has just been sent."""

    content: bytes
    at: float


class ObjectBlobs:
    """A bucket, or a prefix in one.

    Args:
        url: such as ``s3://bucket/prefix``. folder: a local one for what is on its way and for files that were fetched.
        most_whole: how many bytes of those to keep.
    """

    is_near = False

    def __init__(self, url: str, folder: Path, *, most_whole: int) -> None:
        self._bucket = Bucket(url)
        self._aside = folder / "incoming"
        self._aside.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._shelf = ObjectShelf(self._bucket, folder / "indexes")
        self.catalogue = Catalogue(self._shelf)
        self._whole = WholeFiles(folder / "whole", most_whole)
        self._seen: dict[str, Seen] = {}
        self._fresh: dict[str, Fresh] = {}
        self._lock = threading.Lock()

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """See `Blobs.put`."""
        head, rest = arriving.begin([data] if isinstance(data, bytes) else data)
        with arriving.room():
            if rest is not None:
                return arriving.put_large(self.packing(), head, rest, expected)
        content = b"".join(head)
        digest = hashlib.sha256(content).hexdigest()
        arriving.check(digest, expected)
        key, seen = arriving.key(digest), self._just_seen(digest)
        if seen and seen.is_sound:
            return digest, len(content)
        # Of one that was seen there is no need to send the bytes, only to see that they are what they were.
        if (seen or not self._bucket.create(key, content)) and not self._is_sound(digest):
            self._bucket.replace(key, content)
        self._note(digest, len(content), is_sound=True)
        if len(content) <= _FRESH:
            with self._lock:
                self._fresh[digest] = Fresh(content, time.time())
                if len(self._fresh) > _MOST_FRESH:
                    del self._fresh[next(iter(self._fresh))]
        return digest, len(content)

    def put_all(self, contents: Sequence[bytes]) -> None:
        """See `Blobs.put_all`."""
        arriving.at_once(self.put, contents)

    @contextlib.contextmanager
    def packing(self) -> Iterator[Packing]:
        """See `Blobs.packing`."""
        self.catalogue.refresh()
        with (
            arriving.room(),
            Packing(self.catalogue, self._aside, self._shelf.keep, lambda: None) as packing,
        ):
            yield packing

    def read(self, digest: str) -> bytes:
        """See `Blobs.read`."""
        return b"".join(self.pieces(digest))

    def pieces(self, digest: str) -> Iterator[bytes]:
        """See `Blobs.pieces`."""
        key = arriving.key(digest)
        with self._lock:
            fresh = self._fresh.pop(digest, None)
        if fresh and _is_now(fresh.at, _FRESH_S):
            return iter([fresh.content])
        packed = None if self._just_seen(digest) else readings.pieces(self.catalogue, digest)
        if packed is not None:
            return packed
        found = self._bucket.fetch(key)
        if found is None:
            self._seen.pop(digest, None)
            self.catalogue.refresh()  # another process may have brought it
            packed = readings.pieces(self.catalogue, digest)
            if packed is None:
                raise unknown(digest)
            return packed
        if hashlib.sha256(found[0]).hexdigest() != digest:
            self._seen.pop(digest, None)
            raise corrupt(digest)
        return iter([found[0]])

    def path(self, digest: str) -> Path:
        """See `Blobs.path`."""
        arriving.key(digest)
        if not self._stays(digest):
            self._whole.drop(digest)
            raise unknown(digest)
        with arriving.room():
            return self._whole.find(digest) or self._whole.keep(digest, self.pieces(digest))

    def begin(self, digest: str) -> bytes:
        """See `Blobs.begin`."""
        key = arriving.key(digest)
        found = readings.begin(self.catalogue, digest)
        if found is None and digest != _EMPTY:  # of which no part can be asked for
            found = self._bucket.get(key, 0, 1)
        if found is None:
            return next(self.pieces(digest), b"")[:1]
        return found

    def size(self, digest: str) -> int | None:
        """See `Blobs.size`."""
        key = arriving.key(digest)
        if seen := self._just_seen(digest):
            return seen.size
        place, found = self.catalogue.find(digest), None
        if place is None:
            found = self._bucket.look(key)
        if place is None and found is None:
            self.catalogue.refresh()  # another process may have brought it
            place = self.catalogue.find(digest)
        if place is not None:
            return place.size if readings.stay(self.catalogue, digest) else None
        if found is None or not self._bucket.hold(key, found[1]):
            return None
        self._note(digest, found[0], is_sound=False)
        return found[0]

    def missing(self, digests: Iterable[str]) -> list[str]:
        """See `Blobs.missing`."""
        asked = list(digests)
        loose = [digest for digest in asked if not (self._just_seen(digest) or self._is_packed(digest))]
        if len(loose) > _MANY:
            there = {key.rpartition("/")[2] for key, _, _ in self._bucket.listed() if _is_loose(key)}
            loose_gone = {digest for digest in loose if digest not in there}
            loose = [digest for digest in loose if digest in there]
        else:
            loose_gone = set()
        with ThreadPoolExecutor(_AT_ONCE, "mainstay-objects") as pool:
            loose_gone.update(
                digest for digest, stays in zip(loose, pool.map(self._stays_loose, loose), strict=True) if not stays
            )
        if loose_gone:
            self.catalogue.refresh()  # another process may have brought them
        gone = {digest for digest in loose_gone if not self._is_packed(digest)}
        return [digest for digest in asked if digest in gone]

    def digests(self, since: float = 0) -> Iterator[str]:
        """See `Blobs.digests`."""
        held = self._bucket.held() if since else {}
        for key, _, age in self._bucket.listed():
            if _is_loose(key) and max(age, held.get(key, 0)) >= since:
                yield key.rpartition("/")[2]
        yield from sweeping.packed(self.catalogue, since)

    def beginning(self, among: DigestSet, first: bytes) -> Iterator[str]:
        """See `Blobs.beginning`."""
        with ThreadPoolExecutor(_AT_ONCE, "mainstay-objects") as pool:
            yield from sweeping.beginning(self.catalogue, among, first, lambda digests: pool.map(self.begin, digests))

    def collect(self, live: Collection[str], *, before: float, delete: bool) -> Collected:
        """See `Blobs.collect`."""
        live = DigestSet.of(live)
        counted, held, dead = sweeping.Counted(), self._bucket.held(), list[str]()
        for key, size, age in self._bucket.listed():
            if not _is_loose(key):
                continue
            digest, is_young = key.rpartition("/")[2], max(age, held.get(key, 0)) >= before
            if counted.add(digest, digest in live, is_young, size, age):
                dead.append(key)
        if delete:
            self._seen.clear()
            self._fresh.clear()
            self._bucket.forget_words(before)
            for start in range(0, len(dead), MOST_DELETED):
                self._bucket.remove(dead[start : start + MOST_DELETED], before)
        packed = sweeping.collect_packs(self.catalogue, self.packing, live, before=before, delete=delete)
        return sweeping.together(counted.result(), packed)

    def _is_packed(self, digest: str) -> bool:
        return self.catalogue.sound(digest) is not None and readings.stay(self.catalogue, digest)

    def _stays(self, digest: str) -> bool:
        return self.size(digest) is not None

    def _stays_loose(self, digest: str) -> bool:
        key = arriving.key(digest)
        found = self._bucket.look(key)
        if found is None or not self._bucket.hold(key, found[1]):
            return False
        self._note(digest, found[0], is_sound=False)
        return True

    def _is_sound(self, digest: str) -> bool:
        key = arriving.key(digest)
        found = self._bucket.fetch(key)
        return found is not None and hashlib.sha256(found[0]).hexdigest() == digest and self._bucket.hold(key, found[1])

    def _just_seen(self, digest: str) -> Seen | None:
        seen = self._seen.get(digest)
        return seen if seen and _is_now(seen.at, _SEEN_S) else None

    def _note(self, digest: str, size: int, *, is_sound: bool) -> None:
        """A blob was written, or is there and will stay."""
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        self._seen[digest] = Seen(size, time.time(), is_sound)


class ObjectShelf:
    """Packs in an object store; see `packs.Shelf`. ``kept``: a folder for their indexes, which every process asks for."""

    def __init__(self, bucket: Bucket, kept: Path) -> None:
        self._bucket = bucket
        self._kept = kept
        kept.mkdir(exist_ok=True, mode=0o700)
        self._there: dict[str, tuple[int, float]] = {}
        self._listed_at = float("-inf")
        self._blocks: OrderedDict[tuple[str, int], tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> dict[str, float]:
        """See `Shelf.names`."""
        at = time.time()
        there = {key.rpartition("/")[2]: (size, written) for key, size, written in self._bucket.listed("packs")}
        self._there, self._listed_at = there, at
        for file in self._kept.iterdir():
            if file.name not in there:
                file.unlink(missing_ok=True)
        return {name: written for name, (_, written) in there.items()}

    def token(self) -> object:
        """See `Shelf.token`."""
        return 0  # a listing takes a request: whoever must know asks for one

    def indexes(self, names: Sequence[str]) -> Iterable[NDArray[np.void]]:
        """See `Shelf.indexes`."""
        if not names:
            return []
        with ThreadPoolExecutor(_AT_ONCE, "mainstay-objects") as pool:
            return list(pool.map(self._index, names))

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See `Shelf.read`."""
        if length > _BLOCK // 4:
            return self._ask(name, offset, length)
        first, last = offset // _BLOCK, (offset + max(length, 1) - 1) // _BLOCK
        data = b"".join(self._block(name, number) for number in range(first, last + 1))
        return data[offset - first * _BLOCK :][:length]

    def length(self, name: str) -> int:
        """See `Shelf.length`."""
        found = self._there.get(name) or self._bucket.look(f"packs/{name}")
        if found is None:
            raise FileNotFoundError(name)
        return found[0]

    def touch(self, name: str) -> bool:
        """See `Shelf.touch`."""
        key = f"packs/{name}"
        is_fresh = _is_now(self._listed_at, _SEEN_S)
        found = (self._there.get(name) if is_fresh else None) or self._bucket.look(key)
        return found is not None and self._bucket.hold(key, found[1])

    def remove(self, name: str, before: float) -> bool:
        """See `Shelf.remove`."""
        self._there.pop(name, None)
        return bool(self._bucket.remove([f"packs/{name}"], before))

    def keep(self, path: Path, name: str) -> None:
        """Give a finished pack its name."""
        size = path.stat().st_size
        self._bucket.replace(f"packs/{name}", path)
        with self._lock:
            for block in [block for block in self._blocks if block[0] == name]:
                del self._blocks[block]
        self._there[name] = (size, time.time())

    def _index(self, name: str) -> NDArray[np.void]:
        file = self._kept / name
        with contextlib.suppress(FileNotFoundError):
            known = packs.known_index(file.read_bytes(), name)
            if known is not None:
                return known
        found = packs.read_index(self, name)
        with contextlib.suppress(OSError):  # then it is asked for again
            file.write_bytes(found.tobytes())
        return found

    def _block(self, name: str, number: int) -> bytes:
        now = time.time()
        with self._lock:
            at, data = self._blocks.get((name, number), (float("-inf"), b""))
            if _is_now(at, _BLOCK_S):
                self._blocks.move_to_end((name, number))
                return data
        start = number * _BLOCK
        data = self._ask(name, start, min(_BLOCK, self.length(name) - start))
        with self._lock:
            self._blocks[name, number] = (now, data)
            if len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        return data

    def _ask(self, name: str, offset: int, length: int) -> bytes:
        found = self._bucket.get(f"packs/{name}", offset, length)
        if found is None:
            self._there.pop(name, None)
            raise FileNotFoundError(name)
        return found


def _is_now(at: float, within_s: float) -> bool:
    """By the clock on the wall: another one may stand still while this machine sleeps and others collect."""
    return 0 <= time.time() - at < within_s


def _is_loose(key: str) -> bool:
    return len(key) == 67 and key[2] == "/" and is_digest(key[3:])
