# SPDX-License-Identifier: Apache-2.0
"""A snapshot laid out on the disk: the files of a folder as they were, or the rows of a table as one file.

What is there already and differs is never overwritten; what is there and is the same is left alone, so that a checkout which was
cut short goes on where it stopped. Files are copies (on a file system that can, sharing their blocks until one is changed), never
hard links: whoever edits one must not edit the store.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mainstay.domain import folders
from mainstay.domain.digests import sha256_of_file
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.folders import File

if TYPE_CHECKING:
    from mainstay.client.packing import Source
    from mainstay.client.session import Session

_CLONE = 0x40049409  # FICLONE of linux/fs.h
_FORMATS = {".parquet": "parquet", ".csv": "csv"}

Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Laid:
    """What a checkout left in a folder: files written, and files that were there already."""

    snapshot: str
    digest: str
    folder: str
    files: int
    size: int
    written: int
    there: int


def checkout(session: Session, snapshot: str, folder: Path, *, told: Told = lambda done, total: None) -> Laid:
    """Lay the files of ``snapshot`` out in ``folder``, which is made; a table is one Parquet file.

    Raises:
        Conflict: something else is there; nothing was written. NotFound, Corrupt: the store cannot give it.
    """
    from mainstay.client.packing import source_of  # the store's code: only for who takes something out

    found = _here(session, snapshot)
    source = source_of(session)
    files = list(_files(found, source))
    waiting = [file for file in files if not _is_there(folder, file, source)]
    folder.mkdir(parents=True, exist_ok=True)
    for done, file in enumerate(waiting):
        told(done, len(waiting))
        if found["kind"] == "table":
            _place(folder / file.path, lambda aside: copy(session.blob_path(found["blob"]), aside))
        else:
            _lay(folder, file, source)
    return Laid(
        snapshot=found["id"],
        digest=found["digest"],
        folder=str(folder),
        files=len(files),
        size=sum(file.size for file in files),
        written=len(waiting),
        there=len(files) - len(waiting),
    )


def lay_out(session: Session, manifest: str, folder: Path) -> None:
    """Lay the files of a manifest out in ``folder``, where nothing of their names is yet.

    Raises:
        NotFound, Corrupt: the store cannot give it.
    """
    from mainstay.client.packing import source_of

    source = source_of(session)
    root = folders.read_root(_read(source, manifest))
    for file in folders.walk(lambda digest: _read(source, digest), root.folder):
        _lay(folder, file, source)


def export(session: Session, snapshot: str, file: Path) -> dict[str, Any]:
    """Write the rows of ``snapshot`` into ``file``, as Parquet or CSV by its name; the snapshot.

    Raises:
        Invalid: another kind of file, or a snapshot without rows. Conflict: the file is there already.
    """
    format = _FORMATS.get(file.suffix.lower())
    if format is None:
        raise Invalid(
            f"{file.name} is called neither .parquet nor .csv; name the file so that one can tell what to write."
        )
    if file.exists() or file.is_symlink():
        raise Conflict(f"{file.name} is there already; choose another name, or remove it.")
    found = _here(session, snapshot)
    if found["kind"] != "table":
        raise Invalid(
            f"snapshot {found['id']} is made of files; `mainstay datasets checkout {found['id']} FOLDER` lays them out."
        )
    if format == "parquet":
        _place(file, lambda aside: copy(session.blob_path(found["blob"]), aside))
        return found

    def write(aside: Path) -> None:
        with aside.open("xb") as stream:
            session.wire.stream_to(f"/api/snapshots/{quote(found['id'], safe='@')}/export?format=csv", stream.write)

    _place(file, write)
    return found


def copy(source: Path, target: Path) -> None:
    """A file of its own with the bytes of ``source``: blocks are shared where the file system can, else copied."""
    with source.open("rb") as given, target.open("xb") as made:
        try:
            fcntl.ioctl(made.fileno(), _CLONE, given.fileno())
        except OSError:
            shutil.copyfileobj(given, made, 1 << 20)


def _here(session: Session, snapshot: str) -> dict[str, Any]:
    """A snapshot whose content is here. Raises Invalid: it is a reference."""
    found: dict[str, Any] = session.get(f"/snapshots/{quote(snapshot, safe='@')}")
    if found["kind"] == "reference":
        place = found["reference"]["uri"]
        raise Invalid(f"the rows of snapshot {found['id']} are not here, they are read where they are: {place}.")
    return found


def _files(snapshot: dict[str, Any], source: Source) -> Iterator[File]:
    if snapshot["kind"] == "table":
        name = f"{snapshot['dataset']}-{snapshot['number']}.parquet"
        yield File(path=name, digest=snapshot["blob"], size=snapshot["size"])
        return
    root = folders.read_root(_read(source, snapshot["digest"]))
    yield from folders.walk(lambda digest: _read(source, digest), root.folder)


def _read(source: Source, digest: str) -> bytes:
    return b"".join(source.pieces(digest))


def _is_there(folder: Path, file: File, source: Source) -> bool:
    """Whether the very file is there.

    Raises:
        Conflict: something else is.
    """
    place = folder
    for part in file.path.split("/")[:-1]:
        place = place / part
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise _in_the_way(place.relative_to(folder).as_posix())
    target = folder / file.path
    if not target.exists() and not target.is_symlink():
        return False
    if (
        target.is_symlink()
        or not target.is_file()
        or target.stat().st_size != file.size
        or not _is_same(target, file, source)
    ):
        raise _in_the_way(file.path)
    return True


def _is_same(target: Path, file: File, source: Source) -> bool:
    from mainstay.client.packing import is_chunk

    if not file.is_list:
        return sha256_of_file(target) == file.digest
    with target.open("rb") as stream:
        chunks = folders.read_chunks(_read(source, file.digest), file.size)
        return all(is_chunk(stream.read(size), digest) for digest, size in chunks)


def _in_the_way(path: str) -> Conflict:
    return Conflict(
        f"{path!r} is there already and is not what the snapshot has; nothing was written. Choose another folder."
    )


def _lay(folder: Path, file: File, source: Source) -> None:
    digests = (
        [digest for digest, _ in folders.read_chunks(_read(source, file.digest), file.size)]
        if file.is_list
        else [file.digest]
    )

    def write(aside: Path) -> None:
        with aside.open("xb") as stream:
            for digest in digests:
                for piece in source.pieces(digest):
                    stream.write(piece)

    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    _place(target, write)


def _place(target: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside and give it its name, so that there is never half of it."""
    aside = target.with_name(f".mainstay-{secrets.token_hex(8)}")
    try:
        write(aside)
        os.link(aside, target)  # unlike a rename it does not overwrite what came meanwhile
    except FileExistsError:
        raise _in_the_way(target.name) from None
    except OSError as error:
        raise Invalid(f"{target.name!r} cannot be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
