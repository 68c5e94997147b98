# SPDX-License-Identifier: Apache-2.0
"""Bringing a file or a folder of any kind: its bytes go to the store in packs, and a tree of digests stands for it.

What has not changed since the last time is not read again: an index beside the workspace remembers, by size, times and place on
the disk, which bytes a file had. On the same machine the bytes go straight into the workspace's folder, which belongs to the same
user; from afar only those are sent that the server does not have.

A link to a file counts as the file; a link to a folder, a socket or a device is refused, and so is a name that could not be laid
out elsewhere. A file that is written to meanwhile is noticed. Neither times nor permissions are kept, nor empty folders.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mainstay.domain import folders
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.folders import File

if TYPE_CHECKING:
    from mainstay.client.packing import Sink
    from mainstay.client.session import Session

# A file written this shortly before it was looked at may be written again without another time to show for it.
_RACY_NS = 2_000_000_000
_INDEX = 2  # the form of what is remembered

Told = Callable[[int, int], None]


class Found(NamedTuple):
    """A file as it stands on the disk."""

    path: str  # below the folder
    place: str
    mark: tuple[int, int, int, int]  # size, time of the bytes, time of the entry, number on the disk


@dataclass(frozen=True, kw_only=True)
class Brought:
    """What now stands in the store: the manifest's digest, how much there is, and how many files had to be read."""

    digest: str
    files: int
    size: int
    read: int


def bring(session: Session, path: Path, *, told: Told = lambda done, total: None) -> Brought:
    """Bring ``path``; every byte of it is durable when this returns. ``told``: how many of the changed files are done.

    Raises:
        Invalid: there is nothing, or something that cannot be kept. Conflict: a file changes while it is read.
    """
    from mainstay.client.packing import sink_of  # numpy and the store's code: only for who brings something

    found = list(survey(path))
    index = Index(session.cache / "folders", path)
    began = time.time_ns()
    with sink_of(session) as sink:
        known = {each.path: index.find(each) for each in found}
        changed = [each for each in found if known[each.path] is None]
        for done, each in enumerate(changed):
            told(done, len(changed))
            known[each.path] = _keep(each, sink)
        files = [file for each in found if (file := known[each.path])]
        digest, root = folders.write(files, lambda content: sink.add(content).digest)
    if changed or len(index) != len(found):
        index.write(zip(found, files, strict=True), began)
    return Brought(digest=digest, files=root.files, size=root.size, read=len(changed))


def forget(session: Session, path: Path) -> None:
    """Read everything the next time."""
    Index(session.cache / "folders", path).forget()


def survey(path: Path) -> Iterator[Found]:
    """The files of a folder, or the one file.

    Raises:
        Invalid: there are none, or something else is among them.
    """
    if path.is_file():
        yield _look(folders.check_part(_named(path.name)), os.fspath(path))
        return
    if not path.is_dir():
        raise Invalid(f"there is no file or folder {path.name!r}; name one that exists.")
    count = 0
    for found in _below("", os.fspath(path), 0):
        count += 1
        yield found
    if not count:
        raise Invalid(f"folder {path.name!r} holds no file; a snapshot needs at least one.")


def _below(above: str, folder: str, depth: int) -> Iterator[Found]:
    if depth > folders.DEEPEST:
        raise Invalid(f"there are folders more than {folders.DEEPEST} deep in {above[:80]!r}; take one further down.")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(above or os.path.basename(folder), error) from error
    for entry in entries:
        path = f"{above}/{_named(entry.name)}" if above else _named(entry.name)
        folders.check_part(entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path, entry.path, depth + 1)
        else:
            yield _look(path, entry.path)


def _look(path: str, place: str) -> Found:
    try:
        seen = os.stat(place)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(seen.st_mode):
        raise Invalid(
            f"{path!r} is neither a file nor a real folder (a link to a folder, a socket, a device …); move it out."
        )
    return Found(path, place, _mark(seen))


def _mark(seen: os.stat_result) -> tuple[int, int, int, int]:
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


def _named(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Invalid(f"the name {os.fsencode(name)!r} is not UTF-8; rename it.") from None
    return name


def _keep(found: Found, sink: Sink) -> File:
    for _ in range(2):  # whoever wrote just now may be done by now
        try:
            kept = _read(found, sink)
        except OSError as error:
            raise _unreadable(found.path, error) from error
        if kept is not None:
            return kept
        found = _look(found.path, found.place)
    raise Conflict(f"file {found.path!r} changes while it is read; take the snapshot when nobody writes to it.")


def _read(found: Found, sink: Sink) -> File | None:
    """The file as it is kept; None if it changed since it was looked at."""
    size = found.mark[0]
    handle = os.open(found.place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size < folders.LARGE:
            data = os.read(handle, size + 1)
            while len(data) < size and (more := os.read(handle, size + 1 - len(data))):
                data += more
            is_same = len(data) == size and _mark(os.fstat(handle)) == found.mark
            return File(path=found.path, digest=sink.add(data).digest, size=size) if is_same else None
        chunks = [(each.digest, each.size) for each in sink.add_file(handle, size)]
        if sum(length for _, length in chunks) != size or _mark(os.fstat(handle)) != found.mark:
            return None
        return File(path=found.path, digest=sink.add(folders.chunk_list(chunks)).digest, size=size, is_list=True)
    finally:
        os.close(handle)


def _unreadable(path: str, error: OSError) -> Invalid:
    return Invalid(f"{path[:200]!r} cannot be read: {error.strerror}.")


class Index:
    """Which bytes the files of one folder had when they were last read."""

    def __init__(self, cache: Path, path: Path) -> None:
        self._file = cache / sha256_hex(os.fsencode(path.resolve()))
        self._known: dict[str, list[object]] = {}
        try:
            told = json.loads(self._file.read_bytes())
            self._known = told["files"] if told["form"] == _INDEX else {}
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or one that was cut short: everything is read

    def __len__(self) -> int:
        return len(self._known)

    def find(self, found: Found) -> File | None:
        """What the file is kept as, if it is still the one that was read."""
        known = self._known.get(found.path)
        if known is None or known[:4] != [*found.mark]:
            return None
        return File(path=found.path, digest=str(known[4]), size=found.mark[0], is_list=bool(known[5]))

    def write(self, files: Iterator[tuple[Found, File]], began: int) -> None:
        """Remember what was read, but nothing that may have been written again since without showing it."""
        newest = began - _RACY_NS
        told = {
            found.path: [*found.mark, file.digest, file.is_list]
            for found, file in files
            if max(found.mark[1], found.mark[2]) < newest
        }
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = self._file.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({"form": _INDEX, "files": told}))
        aside.replace(self._file)

    def forget(self) -> None:
        """Remember nothing."""
        self._file.unlink(missing_ok=True)
