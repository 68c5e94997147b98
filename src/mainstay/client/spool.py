# SPDX-License-Identifier: Apache-2.0
"""The spool: requests on disk, from the moment they are meant until the server has answered each.

``<root>/<id>/`` belongs to one process at a time, by a lock that the kernel drops when it dies. Requests stand one
behind the other in segments; one that was cut off by a kill ends what is read. A request keeps its idempotency key, so
that sending it again after a crash changes nothing. A segment goes once all of it was answered; until then a mark
beside it says how far one got.

What was appended outlives its process at once, and a power cut from the next `sync` on: one wait for the disk, for all that came
meanwhile. Marks are never waited for: a request that is sent again under its key changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from mainstay.domain import ids

SUFFIX = ".spool"
SEGMENT_BYTES = 16 << 20
_LONGEST_HEAD = 4096


@dataclass(frozen=True, kw_only=True)
class Request:
    """A POST that waits. ``key`` is its idempotency key, and orders the requests of several spools by time.

    ``blob``: a file of the spool whose bytes the server must have first. ``run``: whose it is.
    """

    key: str
    run: str
    path: str
    body: bytes
    blob: str | None = None


class _Place(NamedTuple):
    segment: int
    begin: int
    end: int


class Spool:
    """One locked folder. Use `make` or `leftovers`. ``target`` says for whom it is; None: for whoever is asked to sync."""

    def __init__(self, folder: Path, lock: int, target: str | None) -> None:
        self.folder = folder
        self.target = target
        self.refused = 0
        self._lock_handle = lock
        self._guard = threading.Lock()
        self._places: deque[_Place] = deque()
        self._number = 0
        self._file: IO[bytes] | None = None
        self._unsynced: set[Path] = {folder / "target.json"} if target is not None else set()
        self._recover()

    def __len__(self) -> int:
        return len(self._places)

    def append(self, request: Request) -> None:
        """Keep one request, behind all others.

        Raises:
            OSError: the disk is full, or the folder is gone. What was there before is sound.
        """
        record = _record(request)
        with self._guard:
            file = self._file or self._open_next()
            begin = file.tell()
            try:
                _write_all(file, record)
            except OSError:
                self._cut(file, begin)
                raise
            self._places.append(_Place(self._number, begin, begin + len(record)))
            self._unsynced.add(self._path(self._number))
            if request.blob:
                self._unsynced.add(self.blob(request.blob))
            if begin + len(record) >= SEGMENT_BYTES:
                self._close_file()

    def sync(self) -> None:
        """Have the disk itself keep all that was appended so far. Whoever appends meanwhile does not wait.

        Raises:
            OSError: the disk fails; the next call tries again.
        """
        with self._guard:
            files, self._unsynced = self._unsynced, set()
        try:
            for path in files:
                with contextlib.suppress(FileNotFoundError):  # answered, and so gone
                    _sync(path, os.O_RDWR)
            if files and sys.platform != "win32":
                for folder in (self.folder / "blobs", self.folder, self.folder.parent):  # their names, too
                    with contextlib.suppress(FileNotFoundError):
                        _sync(folder, os.O_RDONLY)
        except OSError:
            with self._guard:
                self._unsynced |= files
            raise

    def head(self) -> Request | None:
        """The oldest request that was not answered yet."""
        with self._guard:
            if not self._places:
                return None
            place = self._places[0]
        with self._path(place.segment).open("rb") as file:
            file.seek(place.begin)
            found = _read(file)
        assert found is not None, "a segment that was sound has changed"
        return found

    def done(self, request: Request) -> None:
        """The head was answered."""
        with self._guard:
            place = self._places.popleft()
            if self._places and self._places[0].segment == place.segment:
                # Added to, never written anew: a kill between emptying and writing would send everything again.
                with self._mark(place.segment).open("ab", buffering=0) as mark:
                    mark.write(b"%d\n" % place.end)
            else:
                self._drop_segment(place.segment)
        if request.blob:
            self.blob(request.blob).unlink(missing_ok=True)

    def set_aside(self, request: Request, message: str) -> None:
        """The head was refused for good: keep it apart, with what was said, so that it is not lost and not in the way."""
        said = {"run": request.run, "path": request.path, "message": message, "blob": request.blob}
        with (self.folder / "refused.jsonl").open("ab") as file:
            file.write(json.dumps({**said, "body": request.body.decode("utf-8", "replace")}).encode() + b"\n")
        self.refused += 1
        self.done(Request(key=request.key, run=request.run, path=request.path, body=b""))

    def blob(self, name: str) -> Path:
        """The file of a blob that waits."""
        return self.folder / "blobs" / name

    def release(self) -> None:
        """Let go of the folder; one that holds nothing any more is removed."""
        with self._guard:
            self._close_file()
            if not self._places and not (self.folder / "refused.jsonl").exists():
                shutil.rmtree(self.folder, ignore_errors=True)
            if self._lock_handle >= 0:
                os.close(self._lock_handle)
                self._lock_handle = -1

    def forget(self) -> None:
        """In a forked child: leave the parent's folder to the parent, whose lock this process holds as well by now."""
        os.close(self._lock_handle)
        self._lock_handle = -1
        self._file = None

    def _recover(self) -> None:
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            segment = int(path.stem)
            begin = _marked(self._mark(segment))
            with path.open("rb") as file:
                file.seek(begin)
                while _read(file) is not None:
                    self._places.append(_Place(segment, begin, file.tell()))
                    begin = file.tell()
            self._number = segment

    def _open_next(self) -> IO[bytes]:
        self._number += 1
        # Unbuffered: a forked child would write what stands in a buffer a second time.
        self._file = self._path(self._number).open("xb", buffering=0)
        return self._file

    def _cut(self, file: IO[bytes], begin: int) -> None:
        # Half a request would hide those behind it from whoever reads the segment after a crash.
        with contextlib.suppress(OSError):
            file.close()
        with contextlib.suppress(OSError):
            os.truncate(self._path(self._number), begin)
        self._file = None

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _drop_segment(self, segment: int) -> None:
        if segment == self._number:
            self._close_file()
        self._path(segment).unlink(missing_ok=True)
        self._mark(segment).unlink(missing_ok=True)

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}{SUFFIX}"

    def _mark(self, segment: int) -> Path:
        return self.folder / f"{segment:06d}.answered"


def make(root: Path, target: str | None) -> Spool:
    """A new, empty spool below ``root``.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = root / ids.uuid7()
    root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for place in (root, folder, folder / "blobs"):
        place.mkdir(exist_ok=True, mode=0o700)  # each by itself: what ``parents`` makes would be open to all
    handle = _locked(folder)
    assert handle is not None, "a folder that nobody else knows"
    (folder / "target.json").write_text(json.dumps(target))
    return Spool(folder, handle, target)


def leftovers(root: Path) -> Iterator[Spool]:
    """Spools whose process is gone, oldest first and locked for us; the caller releases each."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if ids.is_id(folder.name) and (folder / "target.json").is_file():
            handle = _locked(folder)
            if handle is not None:
                yield Spool(folder, handle, _target(folder))


def _marked(mark: Path) -> int:
    """How far a segment was answered: the last whole line."""
    try:
        lines = mark.read_bytes().split(b"\n")
    except FileNotFoundError:
        return 0
    return int(lines[-2]) if len(lines) > 1 else 0


def _target(folder: Path) -> str | None:
    try:
        found = json.loads((folder / "target.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _locked(folder: Path) -> int | None:
    """A handle that holds the lock of ``folder``; None if a living process does."""
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None  # its last owner has just removed it
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _record(request: Request) -> bytes:
    head = {
        "key": request.key,
        "run": request.run,
        "path": request.path,
        "blob": request.blob,
        "size": len(request.body),
        "crc": zlib.crc32(request.body),
    }
    return json.dumps(head).encode() + b"\n" + request.body + b"\n"


def _sync(path: Path, how: int) -> None:
    handle = os.open(path, how)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _read(file: IO[bytes]) -> Request | None:
    """The request that begins here; None at the end, or where a kill cut one off."""
    try:
        head = json.loads(file.readline(_LONGEST_HEAD))
        body = file.read(head["size"])
        is_whole = len(body) == head["size"] and zlib.crc32(body) == head["crc"] and file.read(1) == b"\n"
    except (ValueError, KeyError, TypeError):
        return None
    if not is_whole:
        return None
    return Request(key=head["key"], run=head["run"], path=head["path"], body=body, blob=head["blob"])
