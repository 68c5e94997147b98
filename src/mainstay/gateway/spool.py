# SPDX-License-Identifier: Apache-2.0
"""The spool: where a gateway keeps segments until the control plane has them.

``<root>/<slot>/`` belongs to one gateway at a time, by a lock on its file ``lock`` that the kernel drops when the
process dies. A slot keeps its gateway's id and the last sequence number given out, so a restarted gateway is the same
gateway. The control plane knows a segment by (gateway, sequence) and takes it once; a number used twice would lose one
of the two, therefore the number is on the disk before the segment that bears it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mainstay.domain import ids, segments
from mainstay.domain.errors import Unavailable

SUFFIX = ".seg"
REFUSED = ".refused"


class Spool:
    """One locked slot. Use `claim` or `orphans`."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self.gateway = _identity(folder)

    def segments(self) -> list[tuple[int, Path]]:
        """Sequence number and file of each segment that is here, oldest first."""
        return sorted((int(path.stem), path) for path in self.folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())

    def next_sequence(self) -> int:
        """Reserve the next number, durably."""
        known = [number for number, _ in self.segments()]
        number = 1 + max([_number(self.folder / "sequence"), *known])
        write_durably(self.folder / "sequence", b"%d" % number)
        return number

    def path(self, sequence: int) -> Path:
        """The file of segment ``sequence``."""
        return self.folder / f"{sequence:06d}{SUFFIX}"

    def recover(self) -> list[tuple[int, Path]]:
        """Cut each segment after its last sound record, remove the empty ones; what is left waits to be shipped."""
        for _, path in self.segments():
            data = path.read_bytes()
            found = segments.scan(data)
            if found.fault:
                os.truncate(path, found.sound_bytes)
            if not found.payloads:
                path.unlink()
        return self.segments()

    def release(self) -> None:
        """Let another gateway have the slot."""
        os.close(self._lock)


def claim(root: Path) -> Spool:
    """The first slot under ``root`` that no living process holds; a new one if all are held."""
    for number in range(1000):
        spool = _try_lock(root / f"{number:03d}")
        if spool is not None:
            return spool
    raise Unavailable(f"1000 gateways hold a slot under {root.name}; end one, or give this one its own workspace.")


def orphans(root: Path) -> Iterator[Spool]:
    """Slots that hold segments of a gateway which is gone, locked for us; the caller releases each."""
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and any(folder.glob(f"*{SUFFIX}")):
            spool = _try_lock(folder)
            if spool is not None:
                yield spool


def write_durably(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` so that a crash leaves the old or the new content, never a mixture."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(fresh, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _try_lock(folder: Path) -> Spool | None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return Spool(folder, handle)


def _identity(folder: Path) -> str:
    path = folder / "gateway"
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if not ids.is_id(found):
        found = ids.uuid7()
        write_durably(path, found.encode())
    return found


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
