# SPDX-License-Identifier: Apache-2.0
"""Blobs in a local folder: ``ab/abcdef…``, written aside, synced, renamed; verified when read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Corrupt, Invalid, NotFound, StorageFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ABANDONED_AFTER_S = 24 * 3600


class LocalBlobs:
    """A folder of blobs, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
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

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """See `Blobs.put`."""
        aside = self._aside / secrets.token_hex(16)
        try:
            digest, size = self._write(aside, [data] if isinstance(data, bytes) else data)
            if expected is not None and digest != expected:
                raise Invalid(
                    f"the bytes received have digest {digest}, the upload was announced as {expected}; send it again."
                )
            self._publish(aside, digest)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull(
                    "the workspace's disk is full: nothing was written. Free some space, then repeat the command."
                ) from error
            raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
        return digest, size

    def read(self, digest: str) -> bytes:
        """See `Blobs.read`."""
        data = self._file(digest).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise self._corrupt(digest)
        return data

    def path(self, digest: str) -> Path:
        """See `Blobs.path`."""
        file = self._file(digest)
        stat = file.stat()
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._verified.get(digest) != mark:
            if _hash_file(file) != digest:
                raise self._corrupt(digest)
            self._verified[digest] = mark
        return file

    def size(self, digest: str) -> int | None:
        """See `Blobs.size`."""
        try:
            return self._place(digest).stat().st_size
        except FileNotFoundError:
            return None

    def digests(self) -> Iterator[str]:
        """Every digest kept here, in order."""
        for folder in sorted(self.folder.iterdir()):
            if len(folder.name) == 2:
                yield from sorted(file.name for file in folder.iterdir())

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
        if not (place.exists() and _hash_file(place) == digest):
            place.parent.mkdir(exist_ok=True, mode=0o700)
            aside.rename(place)
        # A rename is durable only once its folder is: an acknowledged blob must not vanish with the power. Also for one that
        # was here already: whoever brought it may have got only as far as the rename.
        for folder in (place.parent, self.folder):
            _sync_folder(folder)

    def _place(self, digest: str) -> Path:
        if not is_digest(digest):
            raise Invalid(f"{digest[:80]!r} is not a digest; 64 lower-case hexadecimal digits are expected.")
        return self.folder / digest[:2] / digest

    def _file(self, digest: str) -> Path:
        place = self._place(digest)
        if not place.is_file():
            raise NotFound(f"there is no blob {digest}; upload it first.", digest=digest)
        return place

    def _corrupt(self, digest: str) -> Corrupt:
        return Corrupt(
            f"blob {digest} no longer matches its digest: the stored bytes were damaged. Restore it from a backup, "
            "or produce it again; it will not be served.",
            digest=digest,
        )


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
