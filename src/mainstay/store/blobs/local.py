# SPDX-License-Identifier: Apache-2.0
"""Blobs in a local folder: ``ab/abcdef…``, written aside, synced, renamed; verified when read.

What is large is cut into chunks that stand in ``packs/``, each once however many blobs share it; many small ones that come
together stand there too. ``whole/`` holds such blobs as files for those who asked for a path; it can be thrown away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mainstay.domain.digests import is_digest, sha256_hex, sha256_of_file
from mainstay.store import chunking
from mainstay.store.blobs import Collected, arriving, packs, readings, sweeping
from mainstay.store.blobs.digest_sets import DigestSet, words_in
from mainstay.store.blobs.packing import Packing
from mainstay.store.blobs.packs import RECIPE, Catalogue
from mainstay.store.blobs.readings import WholeFiles, corrupt, unknown

_ABANDONED_AFTER_S = 24 * 3600
# Whoever asks for a blob is about to refer to it: its file is made young again, but not at every look.
_TOUCH_AFTER_S = 1800
MOST_WHOLE_BYTES = 16 << 30
_MOST_TOGETHER = 200  # files that are open at once


def is_local(workspace: Path) -> bool:
    """Whether the blobs of a workspace that was made are in its own folder."""
    return (workspace / "blobs" / "incoming").is_dir()


class LocalBlobs:
    """A folder of blobs, readable by its owner only."""

    is_near = True

    def __init__(self, folder: Path, *, most_whole: int = MOST_WHOLE_BYTES) -> None:
        self.folder = folder
        self._aside = folder / "incoming"
        if not self._aside.is_dir():
            for made in (folder, self._aside):  # one by one: parents=True would make the outer one open to all
                made.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(folder)
            _sync_folder(folder.parent)
        self._sweep()
        # A file that was verified and has not been touched since need not be hashed again; the key is its identity on disk.
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._shelf = FolderShelf(folder / "packs")
        self.catalogue = Catalogue(self._shelf)
        self._whole = WholeFiles(folder / "whole", most_whole)

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """See `Blobs.put`."""
        head, rest = arriving.begin([data] if isinstance(data, bytes) else data)
        with arriving.room():
            if rest is not None:
                return arriving.put_large(self.packing(), head, rest, expected)
            aside = self._aside / secrets.token_hex(16)
            try:
                digest, size = self._write(aside, head)
                arriving.check(digest, expected)
                self._publish(aside, digest)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    aside.unlink()
        return digest, size

    def put_all(self, contents: Sequence[bytes]) -> None:
        """See `Blobs.put_all`."""
        if any(len(content) >= arriving.LARGE_PARQUET for content in contents):
            arriving.at_once(self.put, contents)
            return
        with arriving.room():
            for first in range(0, len(contents), _MOST_TOGETHER):
                self._put_together(contents[first : first + _MOST_TOGETHER])

    def _put_together(self, contents: Sequence[bytes]) -> None:
        small = {sha256_hex(content): content for content in contents}
        places = {digest: self._place(digest) for digest in small}
        new = {
            digest: self._aside / secrets.token_hex(16)
            for digest, content in small.items()
            if not self._holds(places[digest], content)
        }
        try:
            # The disk is waited for by several threads at once, and by them alone: all else is quicker done by one.
            with contextlib.ExitStack() as stack:
                arriving.at_once(os.fsync, [_written(aside, small[digest], stack) for digest, aside in new.items()])
            for digest, aside in new.items():
                _name(aside, places[digest])
        except BaseException:
            for aside in new.values():
                aside.unlink(missing_ok=True)
            raise
        # Each folder once, after all names; also of those that were here already: see `_publish`.
        arriving.at_once(_sync_folder, {self.folder, *(place.parent for place in places.values())})

    @contextlib.contextmanager
    def packing(self) -> Iterator[Packing]:
        """See `Blobs.packing`."""
        with arriving.room(), Packing(self.catalogue, self._aside, self._shelf.keep, self._shelf.settle) as packing:
            yield packing

    def read(self, digest: str) -> bytes:
        """See `Blobs.read`."""
        return b"".join(self.pieces(digest))

    def pieces(self, digest: str) -> Iterator[bytes]:
        """See `Blobs.pieces`."""
        place = self._place(digest)
        if not place.is_file():
            packed = readings.pieces(self.catalogue, digest)
            if packed is None:
                raise unknown(digest)
            return packed
        data = place.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise corrupt(digest)
        return iter([data])

    def path(self, digest: str) -> Path:
        """See `Blobs.path`."""
        file = self._place(digest)
        if not file.is_file():
            return self._whole.find(digest) or self._whole.keep(digest, self.pieces(digest))
        self._stays(digest)
        stat = file.stat()
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._verified.get(digest) != mark:
            if sha256_of_file(file) != digest:
                raise corrupt(digest)
            self._verified[digest] = mark
        return file

    def begin(self, digest: str) -> bytes:
        """See `Blobs.begin`."""
        try:
            with self._place(digest).open("rb") as file:
                return file.read(1)
        except FileNotFoundError:
            found = readings.begin(self.catalogue, digest)
            if found is None:
                raise unknown(digest) from None
            return found

    def size(self, digest: str) -> int | None:
        """See `Blobs.size`."""
        try:
            size = self._place(digest).stat().st_size
        except FileNotFoundError:
            place = self.catalogue.find(digest)
            size = place.size if place else None  # type: ignore[assignment]
        return size if self._stays(digest) else None

    def missing(self, digests: Iterable[str]) -> list[str]:
        """See `Blobs.missing`."""
        asked = [digest for digest in digests if arriving.key(digest)]
        packed = self.catalogue.find_all(asked)
        touched = {pack: self._shelf.touch(pack) for pack in {place.pack for place in packed.values()}}

        def stays(digest: str) -> bool:
            place = packed.get(digest)
            if place and place.kind != RECIPE and touched[place.pack] and place[:2] not in self.catalogue.damaged:
                return True  # of most there is nothing more to ask
            return self._stays(digest) and not self._is_damaged(digest)

        return [digest for digest in asked if not stays(digest)]

    def digests(self, since: float = 0) -> Iterator[str]:
        """See `Blobs.digests`; those of files come first, in order."""
        for folder in sorted(self.folder.iterdir()):
            if len(folder.name) == 2:
                yield from sorted(file.name for file in _blobs_in(folder) if not since or _age(file) >= since)
        yield from sweeping.packed(self.catalogue, since)

    def beginning(self, among: DigestSet, first: bytes) -> Iterator[str]:
        """See `Blobs.beginning`."""
        return sweeping.beginning(self.catalogue, among, first, lambda digests: map(self.begin, digests))

    def collect(self, live: Collection[str], *, before: float, delete: bool) -> Collected:
        """See `Blobs.collect`."""
        live = DigestSet.of(live)
        loose = self._collect_files(live, before, delete)
        packed = sweeping.collect_packs(self.catalogue, self.packing, live, before=before, delete=delete)
        return sweeping.together(loose, packed)

    def _collect_files(self, live: DigestSet, before: float, delete: bool) -> Collected:
        counted = sweeping.Counted()
        for folder in [each for each in self.folder.iterdir() if len(each.name) == 2]:
            files = _blobs_in(folder)
            is_live = live.holds(words_in(bytes.fromhex("".join(file.name for file in files)))).tolist()
            for file, lives in zip(files, is_live, strict=True):
                with contextlib.suppress(FileNotFoundError):
                    stat = file.stat()
                    is_young = stat.st_mtime >= before
                    if counted.add(file.name, lives, is_young, stat.st_size, stat.st_mtime) and delete:
                        _remove(file, self._aside / secrets.token_hex(16), before)
        return counted.result()

    def _sweep(self) -> None:
        """Drop what writers that were killed left aside. A day old: another process may be writing just now."""
        before = time.time() - _ABANDONED_AFTER_S
        for file in self._aside.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()

    def _write(self, aside: Path, chunks: Iterable[bytes]) -> tuple[str, int]:
        hasher, size = hashlib.sha256(), 0
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
            for chunk in chunks:
                hasher.update(chunk)
                file.write(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        return hasher.hexdigest(), size

    def _publish(self, aside: Path, digest: str) -> None:
        place = self._place(digest)
        if place.exists() and sha256_of_file(place) == digest and self._stays(digest):
            pass
        else:
            _name(aside, place)
        # A rename is durable only once its folder is: an acknowledged blob must not vanish with the power. Also for one that
        # was here already: whoever brought it may have got only as far as the rename.
        for folder in (place.parent, self.folder):
            _sync_folder(folder)

    def _holds(self, place: Path, content: bytes) -> bool:
        """Whether these bytes stand here as a file, undamaged; if so, they stay."""
        with contextlib.suppress(FileNotFoundError):  # a collection may come between
            return place.exists() and place.read_bytes() == content and self._stays(place.name)
        return False

    def _stays(self, digest: str) -> bool:
        """Make a blob young, so that a collection lets it be while somebody is about to refer to it; whether it is here."""
        file = self._place(digest)
        try:
            stat = file.stat()
        except FileNotFoundError:
            return readings.stay(self.catalogue, digest)
        if stat.st_mtime < time.time() - _TOUCH_AFTER_S:
            try:
                os.utime(file)
            except FileNotFoundError:
                return False
            mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._verified.get(digest) == mark:
                self._verified[digest] = (*mark[:2], file.stat().st_mtime_ns)
        return True

    def _is_damaged(self, digest: str) -> bool:
        """Whether it stands in packs only, and nowhere as what it was."""
        return bool(self.catalogue.damaged) and not self._place(digest).exists() and not self.catalogue.sound(digest)

    def _place(self, digest: str) -> Path:
        return self.folder / arriving.key(digest)


class FolderShelf:
    """Packs in a folder; see `packs.Shelf`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, int] = {}
        self._young: dict[str, float] = {}

    def names(self) -> dict[str, float]:
        """See `Shelf.names`."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for each in os.scandir(self.folder):
                with contextlib.suppress(FileNotFoundError):
                    found[each.name] = each.stat().st_mtime
        return found

    def token(self) -> object:
        """See `Shelf.token`."""
        try:
            return self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def indexes(self, names: Sequence[str]) -> Iterator[NDArray[np.void]]:
        """See `Shelf.indexes`."""
        return (packs.read_index(self, name) for name in names)

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See `Shelf.read`."""
        handle = os.open(self.folder / name, os.O_RDONLY)
        try:
            return chunking.read_at(handle, offset, offset + length)
        finally:
            os.close(handle)

    def length(self, name: str) -> int:
        """See `Shelf.length`."""
        return (self.folder / name).stat().st_size

    def touch(self, name: str) -> bool:
        """See `Shelf.touch`."""
        now = time.time()
        if self._young.get(name, 0) > now - _TOUCH_AFTER_S:
            return (self.folder / name).exists()
        try:
            os.utime(self.folder / name)
        except FileNotFoundError:
            return False
        self._young[name] = now
        return True

    def remove(self, name: str, before: float) -> bool:
        """See `Shelf.remove`."""
        return _remove(self.folder / name, self.folder.parent / "incoming" / secrets.token_hex(16), before)

    def keep(self, path: Path, name: str) -> None:
        """Give a finished pack its name."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        path.rename(self.folder / name)

    def settle(self) -> None:
        """Make names durable, also those that another writer gave a moment ago."""
        if self.folder.is_dir():
            _sync_folder(self.folder)
            _sync_folder(self.folder.parent)


def _written(file: Path, content: bytes, stack: contextlib.ExitStack) -> int:
    """A new file with ``content``, to be synced: its handle, which is closed with ``stack``."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    stack.callback(os.close, handle)
    if os.write(handle, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return handle


def _name(aside: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True, mode=0o700)
    aside.rename(place)


def _blobs_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if is_digest(file.name)]


def _age(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(file: Path, aside: Path, before: float) -> bool:
    """Take a file away unless somebody touched it meanwhile: aside first, for then whoever touches it finds it gone."""
    file.rename(aside)
    if aside.stat().st_mtime >= before:
        aside.rename(file)
        return False
    aside.unlink()
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
