# SPDX-License-Identifier: Apache-2.0
"""The prediction log: every prediction is in the kernel's hands before its answer leaves, and on the disk 50 ms later.

In: framed records (see ``domain.segments``). Out: segments, shipped to the control plane in order and removed once it
has them. ``append`` is a plain write(2) on the caller's thread: the page cache survives kill -9 and the out-of-memory
killer, so only a kernel or power failure can lose the last interval. A write that fails (disk full) is taken back and,
under the policy ``fail_closed``, fails the request: an answer that left no trace would be worse than none.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mainstay.domain import segments
from mainstay.domain.errors import (
    Conflict,
    Corrupt,
    Invalid,
    MainstayError,
    Malformed,
    NotFound,
    TooLarge,
    Unavailable,
)
from mainstay.gateway import spool as spools
from mainstay.gateway.control import ask

logger = logging.getLogger(__name__)

Ship = Callable[[str, int, bytes], int | None]  # gateway, sequence, segment → rows taken, if told
# An id is made before its record is written: the model runs in between, for as long as a request may last.
ID_BEFORE_RECORD_MS = 60_000
# The control plane will never take these bytes, however often they are sent.
_FINAL = (Corrupt, Invalid, Malformed, NotFound, TooLarge)


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """How the log behaves. ``when_full``: what happens to a request whose record cannot be written."""

    sync_every_s: float = 0.05
    segment_bytes: int = 16 << 20
    segment_age_s: float = 60.0
    # A lull ends a segment early, so that what was just predicted can be asked about; a trickle of requests must not
    # make one segment each, hence the gap.
    lull_s: float = 0.3
    lull_records: int = 500
    lull_gap_s: float = 10.0
    when_full: Literal["fail_closed", "drop_and_count"] = "fail_closed"
    retry_first_s: float = 0.5
    retry_longest_s: float = 30.0


@dataclass(slots=True)
class LogFigures:
    """Counters since the start, for the metrics page."""

    records: int = 0
    written_bytes: int = 0
    dropped: int = 0
    write_failures: int = 0
    syncs: int = 0
    sync_failures: int = 0
    shipped: int = 0
    ship_failures: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Open:
    """The segment being written."""

    sequence: int
    path: Path
    handle: int
    size: int = 0
    since: float = 0.0  # monotonic time of the first record
    since_ms: int = 0  # wall clock of the first record
    last: float = 0.0  # monotonic time of the latest record
    records: int = 0
    is_torn: bool = False  # a failed write could not be taken back: nothing may follow it


class PredictionLog:
    """Writes segments into one claimed spool and ships them. Create with `open_log`, then ``start`` on the event
    loop.
    """

    def __init__(self, spool: spools.Spool, root: Path, ship: Ship, settings: LogSettings) -> None:
        self.settings = settings
        self.figures = LogFigures()
        self.fault: str | None = None
        self._spool = spool
        self._root = root
        self._ship = ship
        self._waiting = deque((spool, sequence, path) for sequence, path in spool.recover())
        self._oldest_ms: dict[int, int] = {}
        self._current = self._open_next()
        self._is_dirty = False
        self._rotated_at = float("-inf")
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._disk = ThreadPoolExecutor(1, "log-disk")

    @property
    def gateway(self) -> str:
        """The id by which the control plane knows this gateway."""
        return self._spool.gateway

    @property
    def unshipped(self) -> int:
        """Sealed segments that the control plane does not have yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin syncing, rotating and shipping; needs a running loop."""
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._courier_loop())]

    def append(self, frames: bytes, records: int) -> None:
        """Write ``frames`` (whole records) to the open segment.

        Raises:
            Unavailable: they could not be written, and the policy is to fail closed. Nothing of them remains.
        """
        current = self._current
        try:
            self._write(current, frames)
        except OSError as error:
            self._write_failed(error, records)
            return
        if not current.since:
            current.since, current.since_ms = time.monotonic(), time.time_ns() // 1_000_000
        current.last = time.monotonic()
        current.records += records
        self.fault = None
        self._is_dirty = True
        self.figures.records += records
        self.figures.written_bytes += len(frames)

    async def flush(self, made_ms: int | None = None, *, timeout_s: float) -> bool:
        """Ship every segment that may hold the prediction whose id was made at ``made_ms`` (None: every segment).

        Returns False if the control plane did not take them in time.
        """
        current = self._current
        if current.size and (made_ms is None or made_ms >= current.since_ms - ID_BEFORE_RECORD_MS):
            await self._rotate()
        wanted = [
            sequence
            for spool, sequence, _ in self._waiting
            if spool is self._spool
            and (made_ms is None or made_ms >= self._oldest_ms.get(sequence, 0) - ID_BEFORE_RECORD_MS)
        ]
        last = max(wanted, default=0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(lambda: self._is_shipped(last))
        return self._is_shipped(last)

    async def close(self, *, timeout_s: float) -> None:
        """Sync, seal, ship for at most ``timeout_s``, release the spool. What was not shipped waits for the next
        start.
        """
        await self.flush(timeout_s=timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        os.close(self._current.handle)
        if not self._current.size:
            self._current.path.unlink(missing_ok=True)
        self._disk.shutdown()
        self._spool.release()

    def _write(self, current: _Open, frames: bytes) -> None:
        if current.is_torn:
            raise OSError(errno.EIO, "the segment ends in a torn record; a new one is being opened")
        written = 0
        try:
            written = os.write(current.handle, frames)
            if written < len(frames):
                raise OSError(errno.ENOSPC, "only a part could be written")
        except OSError:
            self._take_back(current)
            raise
        current.size += written

    def _take_back(self, current: _Open) -> None:
        try:
            os.ftruncate(current.handle, current.size)
        except OSError:
            current.is_torn = True

    def _write_failed(self, error: OSError, records: int) -> None:
        self.figures.write_failures += 1
        reason = error.strerror or type(error).__name__
        self.fault = f"the prediction log cannot be written ({reason})"
        if self.settings.when_full == "drop_and_count":
            self.figures.dropped += records
            return
        raise Unavailable(
            f"{self.fault}, and a prediction that is not logged is not given (policy fail_closed);"
            " free space in the gateway's workspace, then ask again.",
            policy=self.settings.when_full,
        )

    async def _keep(self) -> None:
        """Sync when something was written; rotate when the segment is big, old or torn."""
        while True:
            await asyncio.sleep(self.settings.sync_every_s)
            current = self._current
            age = time.monotonic() - current.since if current.since else 0.0
            is_due = current.size >= self.settings.segment_bytes or age >= self.settings.segment_age_s
            if (current.size and (is_due or self._is_lull(current))) or current.is_torn:
                await self._rotate()
            elif self._is_dirty:
                await self._sync()

    def _is_lull(self, current: _Open) -> bool:
        """Nothing was written for a moment, and the segment is worth closing."""
        now = time.monotonic()
        worth = current.records >= self.settings.lull_records or now - self._rotated_at >= self.settings.lull_gap_s
        return worth and now - current.last >= self.settings.lull_s

    async def _sync(self) -> None:
        async with self._turn:
            self._is_dirty = False
            try:
                await asyncio.get_running_loop().run_in_executor(self._disk, os.fdatasync, self._current.handle)
                self.figures.syncs += 1
            except OSError as error:
                # After a failed sync the kernel may have forgotten the pages, so this file is not to be trusted
                # further.
                self.figures.sync_failures += 1
                self._current.is_torn = True
                logger.error("segment %s could not be synced: %s", self._current.path.name, error)

    async def _rotate(self) -> None:
        """Put a fresh segment in place, then seal the one that was open."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            if not self._current.size and not self._current.is_torn:
                return
            try:
                fresh = await loop.run_in_executor(self._disk, self._open_next)
            except OSError as error:
                self.fault = f"a new segment cannot be opened ({error.strerror})"
                return
            sealed, self._current = self._current, fresh
            self._rotated_at = time.monotonic()
            self._is_dirty = False
            if not await loop.run_in_executor(self._disk, _seal, sealed.handle):
                self.figures.sync_failures += 1
            if sealed.size:
                self._oldest_ms[sealed.sequence] = sealed.since_ms
                self._waiting.append((self._spool, sealed.sequence, sealed.path))
            self._wake.set()

    def _open_next(self) -> _Open:
        sequence = self._spool.next_sequence()
        path = self._spool.path(sequence)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        spools.sync_folder(path.parent)
        return _Open(sequence, path, handle)

    def _is_shipped(self, sequence: int) -> bool:
        return all(spool is not self._spool or number > sequence for spool, number, _ in self._waiting)

    async def _courier_loop(self) -> None:
        """Ship in order; wait longer after each failure in a row."""
        loop = asyncio.get_running_loop()
        orphans = await loop.run_in_executor(self._disk, self._adopt)
        self._waiting.extendleft(reversed(orphans))
        pause = self.settings.retry_first_s
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            if await self._ship_first():
                pause = self.settings.retry_first_s
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.settings.retry_longest_s)

    def _adopt(self) -> list[tuple[spools.Spool, int, Path]]:
        found = []
        for spool in spools.orphans(self._root):
            left = spool.recover()
            if not left:
                spool.release()
            found += [(spool, sequence, path) for sequence, path in left]
        return found

    async def _ship_first(self) -> bool:
        spool, sequence, path = self._waiting[0]
        try:
            await ask(lambda: self._send(spool.gateway, sequence, path))
        except Conflict as error:
            # The number was given to other bytes before (a disk that forgot). The bytes are right: give them another
            # one.
            self.figures.ship_failures += 1
            async with self._turn:
                fresh = await asyncio.get_running_loop().run_in_executor(self._disk, spool.next_sequence)
            self._oldest_ms[fresh] = self._oldest_ms.pop(sequence, 0)
            logger.error("segment %s becomes %d: %s", path.name, fresh, error)
            self._waiting[0] = (spool, fresh, path.rename(spool.path(fresh)))
            return False
        except _FINAL as error:
            self.figures.refused += 1
            logger.error("segment %s of gateway %s was refused and is kept aside: %s", path.name, spool.gateway, error)
            path.rename(path.with_suffix(spools.REFUSED))
        except (MainstayError, OSError) as error:
            self.figures.ship_failures += 1
            logger.warning("segment %s stays in the spool for now: %s", path.name, error)
            return False
        else:
            self.figures.shipped += 1
            path.unlink(missing_ok=True)
        self._waiting.popleft()
        self._oldest_ms.pop(sequence, None) if spool is self._spool else None
        if spool is not self._spool and not any(other is spool for other, _, _ in self._waiting):
            spool.release()
        async with self._arrived:
            self._arrived.notify_all()
        return True

    def _send(self, gateway: str, sequence: int, path: Path) -> None:
        data = path.read_bytes()
        taken = self._ship(gateway, sequence, data)
        held = len(segments.scan(data).payloads)
        if taken is not None and taken != held:
            raise Conflict(f"the control plane holds {taken} rows of it, the file has {held}; the number served twice.")


def open_log(root: Path, ship: Ship, settings: LogSettings | None = None) -> PredictionLog:
    """Claim a slot under ``root``, cut what a killed writer left at its last sound record, open the next segment."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return PredictionLog(spools.claim(root), root, ship, settings or LogSettings())


def _seal(handle: int) -> bool:
    """Sync and close; False if the disk refused. What was written is shipped all the same."""
    try:
        os.fdatasync(handle)
    except OSError as error:
        logger.error("a segment could not be synced: %s", error)
        return False
    finally:
        os.close(handle)
    return True
