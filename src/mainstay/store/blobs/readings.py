# SPDX-License-Identifier: Apache-2.0
"""Reading what stands in packs, verified; and a folder of whole files for those who need a path, made anew whenever needed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mainstay.domain.digests import sha256_of_file
from mainstay.domain.errors import Corrupt, NotFound
from mainstay.store.blobs import packs
from mainstay.store.blobs.packs import RECIPE, Catalogue, Place

_READ = 4 << 20
_IN_USE_S = 600


def corrupt(digest: str) -> Corrupt:
    """The error for bytes that are no longer what their name says."""
    return Corrupt(
        f"blob {digest} no longer matches its digest: the stored bytes were damaged. Restore it from a backup, "
        "or produce it again; it will not be served.",
        digest=digest,
    )


def unknown(digest: str) -> NotFound:
    """The error for a blob that is not here."""
    return NotFound(f"there is no blob {digest}; upload it first.", digest=digest)


def pieces(catalogue: Catalogue, digest: str) -> Iterator[bytes] | None:
    """The bytes of an object in a pack, each piece verified before it is given out; None if it stands in none.

    Raises:
        Corrupt: it was damaged, in every place where it stands.
    """
    places = list(catalogue.places(digest))
    if not places:
        return None
    if all(place.kind != RECIPE for place in places):
        return iter([_whole(catalogue, digest)])
    return _assembled(catalogue, digest)


def begin(catalogue: Catalogue, digest: str) -> bytes | None:
    """The first byte of an object, not verified; None if it stands in no pack."""
    for _ in range(2):
        place = catalogue.find(digest)
        if place is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            if place.kind != RECIPE:
                return catalogue.shelf.read(place.pack, place.offset, min(1, place.length))
            first = next(iter(_recipe(catalogue, digest)), None)
            return begin(catalogue, first[0]) if first and first[0] != digest else b""
        catalogue.refresh()
    return None


def stay(catalogue: Catalogue, digest: str) -> bool:
    """Make an object young, and whatever it is made of; whether all of it is here.

    A large blob that nothing refers to may have lost chunks to a collection before its recipe went: it counts as gone. So does
    what was found damaged: whoever has the bytes is to send them again.
    """
    try:
        place = catalogue.sound(digest)
        if place is None or not catalogue.shelf.touch(place.pack):
            return False
        if place.kind != RECIPE or catalogue.is_known_whole(digest):
            return True
        made_of = {chunk: catalogue.sound(chunk) for chunk, _ in _recipe(catalogue, digest)}
        kept = {place.pack for place in made_of.values() if place}
        if None in made_of.values() or not all(catalogue.shelf.touch(pack) for pack in kept):
            return False
    except (Corrupt, FileNotFoundError):
        return False
    catalogue.note_whole(digest)
    return True


def _whole(catalogue: Catalogue, digest: str) -> bytes:
    """An object that stands in one piece."""
    for _ in range(2):  # its pack may be written anew just now; the second look finds the new one
        for place in catalogue.places(digest):
            with contextlib.suppress(FileNotFoundError):
                data = catalogue.shelf.read(place.pack, place.offset, place.length)
                if packs.name_of(data, place.kind) == digest:
                    return data
                catalogue.note_damaged(place)
        catalogue.refresh()
    raise corrupt(digest)


def _assembled(catalogue: Catalogue, digest: str) -> Iterator[bytes]:
    """A large blob, chunk by chunk."""
    whole = hashlib.sha256()
    try:
        for data in _chunks(catalogue, _recipe(catalogue, digest)):
            whole.update(data)
            yield data
    except Corrupt as error:
        _note_all_damage(catalogue, digest)
        raise corrupt(digest) from error  # whoever asks knows nothing of chunks
    if whole.hexdigest() != digest:
        _give_up(catalogue, digest)
        raise corrupt(digest)


def _recipe(catalogue: Catalogue, digest: str) -> list[tuple[str, int]]:
    for _ in range(2):
        for place in catalogue.places(digest):
            with contextlib.suppress(FileNotFoundError):
                data = catalogue.shelf.read(place.pack, place.offset, place.length)
                if place.kind != RECIPE:
                    return [(digest, place.size)]
                if len(data) % 36 == 0 and sum(size for _, size in packs.steps(data)) == place.size:
                    return list(packs.steps(data))
                catalogue.note_damaged(place)
        catalogue.refresh()
    raise corrupt(digest)


def _note_all_damage(catalogue: Catalogue, digest: str) -> None:
    """Find every damaged chunk, so that the next put writes all of them anew and not only the first."""
    with contextlib.suppress(Corrupt):
        for chunk in dict.fromkeys(chunk for chunk, _ in _recipe(catalogue, digest)):
            with contextlib.suppress(Corrupt):
                _whole(catalogue, chunk)


def _give_up(catalogue: Catalogue, digest: str) -> None:
    """A recipe whose chunks are sound and whose whole is not is itself damaged: the next put writes it anew."""
    for place in list(catalogue.places(digest)):
        catalogue.note_damaged(place)


def _chunks(catalogue: Catalogue, steps: Iterable[tuple[str, int]]) -> Iterator[bytes]:
    """Chunks in order; what stands side by side is read at once."""
    run: list[tuple[str, Place]] = []
    for digest, _ in steps:
        place = catalogue.find(digest)
        if place is None:
            raise corrupt(digest)
        if run and (place.pack != run[0][1].pack or place.offset != _end(run) or _end(run) - run[0][1].offset > _READ):
            yield from _run(catalogue, run)
            run = []
        run.append((digest, place))
    yield from _run(catalogue, run)


def _end(run: list[tuple[str, Place]]) -> int:
    return run[-1][1].offset + run[-1][1].length


def _run(catalogue: Catalogue, run: list[tuple[str, Place]]) -> Iterator[bytes]:
    if not run:
        return
    first = run[0][1]
    try:
        data = memoryview(catalogue.shelf.read(first.pack, first.offset, _end(run) - first.offset))
    except FileNotFoundError:
        data = memoryview(b"")
    for digest, place in run:
        chunk = data[place.offset - first.offset :][: place.length]
        if packs.name_of(chunk, place.kind) == digest:
            yield bytes(chunk)
        else:
            yield _whole(catalogue, digest)


class WholeFiles:
    """Files made of what stands elsewhere, by digest; the least recently asked for go when there are more than ``most`` bytes."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most
        self._verified: dict[str, tuple[int, int]] = {}

    def find(self, digest: str) -> Path | None:
        """The file, if it is here and whole."""
        file = self.folder / digest[:2] / digest
        try:
            stat = file.stat()
            mark = (stat.st_ino, stat.st_size)
            if self._verified.get(digest) != mark:
                if sha256_of_file(file) != digest:  # the power failed while it was written: nobody waited for the disk
                    file.unlink()
                    return None
                self._verified[digest] = mark
            os.utime(file)
        except FileNotFoundError:
            return None
        return file

    def keep(self, digest: str, pieces: Iterable[bytes]) -> Path:
        """Write the file; ``pieces`` are verified."""
        file = self.folder / digest[:2] / digest
        self.folder.mkdir(exist_ok=True, mode=0o700)
        file.parent.mkdir(exist_ok=True, mode=0o700)
        aside = self.folder / secrets.token_hex(16)
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
                for piece in pieces:
                    stream.write(piece)
            aside.rename(file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
        stat = file.stat()
        self._verified[digest] = (stat.st_ino, stat.st_size)
        self._make_room()
        return file

    def drop(self, digest: str) -> None:
        """Forget the file."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / digest[:2] / digest).unlink()

    def _make_room(self) -> None:
        found = []
        for file in self.folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                stat = file.stat()
                found.append((stat.st_mtime, stat.st_size, file))
        total, now = sum(size for _, size, _ in found), time.time()
        for used, size, file in sorted(found):
            if total <= self.most or used > now - _IN_USE_S:
                return
            file.unlink(missing_ok=True)
            total -= size
