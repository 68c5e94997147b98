# SPDX-License-Identifier: Apache-2.0
"""Packs: many objects in one file of about 64 MB, because a file, a name and a wait for the disk for each would cost more than
their bytes.

A pack is written once: the objects one after the other, then their index, then the digest of that index, which is also the
pack's name. Three kinds of object stand in it: bytes, named by their SHA-256; *chunks* of large blobs and files, named by their
BLAKE3; and *recipes*: a large blob, named by its SHA-256, as the list of the chunks that make it. Whoever reads gets verified
bytes; which pack they came from is nobody's business.

::

    "MAINSTAY PACK 1" | object | object | … | (digest, offset, length, size, kind) of each | SHA-256 of those | count | "pack end"
"""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Corrupt
from mainstay.store import chunking
from mainstay.store.chunking import Piece

MAGIC = b"MAINSTAY PACK 1\n"
SIZE = 64 << 20
BYTES, RECIPE, CHUNK = 0, 1, 2
_SEEN_S = 600
INDEX = np.dtype([("digest", "V32"), ("offset", "<u8"), ("length", "<u8"), ("size", "<u8"), ("kind", "<u8")])
TAIL = struct.Struct("<32sQ8s")
_END = b"pack end"
_STEP = struct.Struct("<32sI")


class Place(NamedTuple):
    """Where an object stands. ``length`` is what it takes in the pack, ``size`` what it is when it is read."""

    pack: str
    offset: int
    length: int
    size: int
    kind: int


class Shelf(Protocol):
    """Where packs stand: a folder, or an object store."""

    def names(self) -> dict[str, float]:
        """Every pack with the time it was last written (or touched, where that shows), in seconds since 1970."""
        ...

    def token(self) -> object:
        """Differs when there may be packs that were not there before; None if that cannot be told cheaply."""
        ...

    def indexes(self, names: Sequence[str]) -> Iterable[NDArray[np.void]]:
        """What stands in each of some packs; see `read_index`."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Some bytes of a pack; FileNotFoundError if it is gone."""
        ...

    def length(self, name: str) -> int:
        """Bytes of a pack; FileNotFoundError if it is gone."""
        ...

    def touch(self, name: str) -> bool:
        """Make a pack as young as if it were written now; whether it is still there."""
        ...

    def remove(self, name: str, before: float) -> bool:
        """Take a pack away, unless it was written or touched since ``before``."""
        ...


class Catalogue:
    """What stands in which pack; kept in memory, 57 bytes an object, and brought up to date when something is not found."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.damaged: set[tuple[str, int]] = set()
        self._lock = threading.RLock()
        self._token: object = None
        self._packs: dict[str, NDArray[np.void]] = {}
        self._keys = np.empty(0, np.uint64)
        self._sorted: NDArray[np.int64] = np.empty((0, 2), np.int64)
        self._names: list[str] = []
        self._recent: dict[bytes, list[Place]] = {}
        self._is_read = False
        self._whole: dict[str, float] = {}

    def find(self, digest: str) -> Place | None:
        """The newest place of an object."""
        return next(self.places(digest), None)

    def sound(self, digest: str) -> Place | None:
        """The newest place of an object at which nobody found it damaged: one that need not be written again."""
        return next((place for place in self.places(digest) if place[:2] not in self.damaged), None)

    def places(self, digest: str) -> Iterator[Place]:
        """Every place of an object, newest first."""
        key = bytes.fromhex(digest)
        with self._lock:
            if not self._is_read:
                self.refresh()
            found = self._known(key)
            if not found and self._may_have_more():
                self.refresh()
                found = self._known(key)
        yield from found

    def is_known_whole(self, digest: str) -> bool:
        """Whether all chunks of a large blob were seen, and made young, a short while ago."""
        return self._whole.get(digest, 0) > time.monotonic() - _SEEN_S

    def note_whole(self, digest: str) -> None:
        """All chunks of a large blob are there."""
        if len(self._whole) > 10_000:
            self._whole.clear()
        self._whole[digest] = time.monotonic()

    def note_damaged(self, place: Place) -> None:
        """What stands here is not what it was."""
        self.damaged.add((place.pack, place.offset))
        self._whole.clear()

    def known(self, digest: str) -> list[Place]:
        """As `places`, of the packs that were there when somebody last looked."""
        with self._lock:
            return self._known(bytes.fromhex(digest))

    def find_all(self, digests: Sequence[str]) -> dict[str, Place]:
        """One place each of those that stand in packs: for thousands of questions at once."""
        with self._lock:
            if not self._is_read or self._may_have_more():
                self.refresh()
            keys = [bytes.fromhex(digest) for digest in digests]
            found = {
                digest: self._recent[key][-1] for digest, key in zip(digests, keys, strict=True) if key in self._recent
            }
            if len(self._keys) and len(keys):
                wanted = np.frombuffer(b"".join(key[:8] for key in keys), "<u8").astype(np.uint64)
                starts = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
                hits = np.flatnonzero(self._keys[starts] == wanted)
                places = self._sorted[starts[hits]]
                for pack in np.unique(places[:, 0]).tolist():
                    here = places[:, 0] == pack
                    name = self._names[pack]
                    entries = self._packs[name][places[here, 1]].tolist()
                    for asked, (key, *place) in zip(hits[here].tolist(), entries, strict=True):
                        if key == keys[asked]:
                            found.setdefault(digests[asked], Place(name, *place))
                        elif others := self._known(keys[asked]):  # two digests that begin with the same eight bytes
                            found.setdefault(digests[asked], others[0])
            return found

    def look(self) -> None:
        """Take in packs that came from elsewhere, if any may have."""
        with self._lock:
            if not self._is_read or self._may_have_more():
                self.refresh()

    def add(self, name: str, index: NDArray[np.void]) -> None:
        """A pack that was just written."""
        with self._lock:
            self._packs[name] = index
            self._remember(name, index)

    def forget(self, name: str) -> None:
        """A pack that is gone."""
        with self._lock:
            self._whole.clear()
            if self._packs.pop(name, None) is not None:
                self._arrange()

    def refresh(self) -> None:
        """Read the indexes of packs that came, and forget those that went."""
        with self._lock:
            self._token = self.shelf.token()
            there = self.shelf.names()
            gone = [name for name in self._packs if name not in there]
            self._whole.clear()
            for name in gone:
                del self._packs[name]
            came = sorted((name for name in there if name not in self._packs), key=lambda name: there[name])
            self._packs.update(zip(came, self.shelf.indexes(came), strict=True))
            if gone or not self._is_read or len(came) > 100:
                self._arrange()
            else:
                for name in came:
                    self._remember(name, self._packs[name])
            self._is_read = True

    def everything(self, *, is_seen: bool = False) -> Iterator[tuple[str, NDArray[np.void]]]:
        """Every pack with its index. ``is_seen``: those that were there a moment ago will do."""
        with self._lock:
            if is_seen:
                self.look()
            else:
                self.refresh()
            packs = list(self._packs.items())
        yield from packs

    def _may_have_more(self) -> bool:
        token = self.shelf.token()
        return token is None or token != self._token

    def _known(self, key: bytes) -> list[Place]:
        found = list(reversed(self._recent.get(key, ())))
        if not len(self._keys):
            return found
        start = int(np.searchsorted(self._keys, np.uint64(int.from_bytes(key[:8], "little"))))
        while start < len(self._keys) and int(self._keys[start]) == int.from_bytes(key[:8], "little"):
            pack, row = self._sorted[start]
            entry = self._packs[self._names[pack]][row]
            if entry["digest"].tobytes() == key:
                found.append(_place(self._names[pack], entry))
            start += 1
        return found

    def _remember(self, name: str, index: NDArray[np.void]) -> None:
        for digest, *place in index.tolist():  # at once: a look at each element of an array costs more than all of this
            self._recent.setdefault(digest, []).append(Place(name, *place))

    def _arrange(self) -> None:
        """Sort all there is by the first eight bytes of the digest: one search instead of one a pack."""
        self._recent = {}
        self._names = list(self._packs)
        indexes = [self._packs[name] for name in self._names]
        if not indexes:
            self._keys, self._sorted = np.empty(0, np.uint64), np.empty((0, 2), np.int64)
            return
        keys = np.concatenate([_keys(index) for index in indexes])
        packs = np.repeat(np.arange(len(indexes)), [len(index) for index in indexes])
        rows = np.concatenate([np.arange(len(index)) for index in indexes])
        order = np.lexsort((-packs, keys))
        self._keys = keys[order]
        self._sorted = np.column_stack((packs[order], rows[order]))


def known_index(raw: bytes, name: str) -> NDArray[np.void] | None:
    """An index that was kept apart from its pack; None if it is not the one of that name."""
    return np.frombuffer(raw, INDEX) if hashlib.sha256(raw).hexdigest() == name else None


def read_index(shelf: Shelf, name: str) -> NDArray[np.void]:
    """What stands in a pack.

    Raises:
        Corrupt: its index was damaged.
    """
    length = shelf.length(name)
    end = shelf.read(name, max(0, length - TAIL.size), TAIL.size)
    if len(end) == TAIL.size:
        digest, count, mark = TAIL.unpack(end)
        size = count * INDEX.itemsize
        if mark == _END and size + TAIL.size + len(MAGIC) <= length:
            raw = shelf.read(name, length - TAIL.size - size, size)
            if hashlib.sha256(raw).digest() == digest and digest.hex() == name:
                return np.frombuffer(raw, INDEX)
    raise Corrupt(
        f"pack {name} was damaged: its index no longer matches its name. Restore it from a backup.", pack=name
    )


def ending(entries: Iterable[tuple[bytes, int, int, int, int]]) -> tuple[str, bytes, NDArray[np.void]]:
    """The name of a pack, the bytes at its end, and its index."""
    index = np.array(list(entries), INDEX)
    raw = index.tobytes()
    digest = hashlib.sha256(raw).digest()
    return digest.hex(), raw + TAIL.pack(digest, len(index), _END), index


def name_of(data: Piece, kind: int) -> str:
    """What bytes are called that are no recipe."""
    return chunking.name(data) if kind == CHUNK else sha256_hex(data)


def recipe(chunks: Iterable[tuple[str, int]]) -> bytes:
    """A large blob as the digests and sizes of its chunks, in order."""
    return b"".join(_STEP.pack(bytes.fromhex(digest), size) for digest, size in chunks)


def steps(recipe: bytes) -> Iterator[tuple[str, int]]:
    """The chunks that make a blob: digest and size of each."""
    for digest, size in _STEP.iter_unpack(recipe):
        yield digest.hex(), size


def _keys(index: NDArray[np.void]) -> NDArray[np.uint64]:
    raw = np.frombuffer(index["digest"].tobytes(), "<u8")
    return raw.reshape(-1, 4)[:, 0].astype(np.uint64)


def _place(name: str, entry: np.void) -> Place:
    return Place(name, int(entry["offset"]), int(entry["length"]), int(entry["size"]), int(entry["kind"]))
