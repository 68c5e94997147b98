# SPDX-License-Identifier: Apache-2.0
"""The outbox of this process: what its runs say, on its way to the control plane.

In: points of metrics (an append to a list, nothing more, because it happens inside training loops) and requests. Out:
first the spool, every half second, synced by the thread that writes it; from there the server, one request after the other,
by a thread of its own. So a kill or a power cut costs what was said in the last moment, and a server that is away costs
nothing. Without a session (offline) the spool is the end of it, until somebody calls ``mainstay runs sync``.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mainstay.client import delivery
from mainstay.client import spool as spools
from mainstay.client.session import Session
from mainstay.client.spool import Request, Spool
from mainstay.domain import ids
from mainstay.domain.errors import MainstayError, Unavailable
from mainstay.domain.tracking import MOST_POINTS

DRAINS_EVERY_S = 0.5
MOST_WAITING = 200_000  # points in memory; beyond that whoever logs helps to write them down
LONGEST_PAUSE_S = 5.0
PATIENCE_AT_START_S = 5.0


class Said(NamedTuple):
    """One point, as it waits in memory."""

    run: str
    key: str
    step: int
    at_ns: int
    value: float


class Refused(NamedTuple):
    """A request of a run that the server did not take."""

    run: str
    message: str


class Outbox:
    """Use `of`. ``points`` takes `Said`; appending is all that the caller of a log verb pays for."""

    def __init__(self, session: Session | None, root: Path) -> None:
        self.session = session
        self.root = root
        self.refused: list[Refused] = []
        self.lost = 0
        self.has_forked = False
        self._target = None if session is None else delivery.target_of(session)
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        self.points: deque[tuple[str, str, int, int, float]] = deque()
        self.add = self.points.append
        self._spool: Spool | None = None
        self._draining = threading.RLock()
        self._changed = threading.Condition()
        self._given = self._settled = 0
        self._waiting: dict[str, Future[None]] = {}
        self._failing_since: float | None = None
        self.last_failure = ""
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self._opened().folder

    @property
    def is_away(self) -> bool:
        """Whether the last try found nobody."""
        return self._failing_since is not None

    def put(self, run: str, path: str, body: Any, *, blob: str | None = None, is_asked: bool = False) -> Future[None]:
        """Keep a POST behind everything said before; the future ends when it was answered.

        ``is_asked``: the caller waits for the answer, and is told of a refusal; otherwise one is set aside.
        """
        answered: Future[None] = Future()
        with self._draining:
            self.drain()
            request = Request(key=ids.uuid7(), run=run, path=path, body=msgspec.json.encode(body), blob=blob)
            if is_asked:
                self._waiting[request.key] = answered
            self._keep(request)
        self._wake.set()
        return answered

    def help_drain(self) -> None:
        """`drain` for whoever logs faster than is written; where nothing can be written, the oldest points go."""
        try:
            self.drain()
        except OSError:
            self.lost += len(_taken(self.points, len(self.points) - MOST_WAITING // 2))

    def ask_no_more(self, answered: Future[None]) -> None:
        """Nobody waits for this answer any longer; a refusal is set aside like any other."""
        self._waiting = {key: future for key, future in self._waiting.items() if future is not answered}

    def keep_blob(self, content: bytes | Path) -> tuple[str, str, int]:
        """A copy of ``content`` in the spool, for it may change before it is sent; its name, digest and size."""
        import hashlib

        name, digest, size = ids.uuid7(), hashlib.sha256(), 0
        with self._opened().blob(name).open("xb") as file:
            for piece in _pieces(content):
                digest.update(piece)
                size += file.write(piece)
        return name, digest.hexdigest(), size

    def drain(self) -> None:
        """Write the points that wait in memory into the spool."""
        with self._draining:
            while self.points:
                batch = _taken(self.points, MOST_POINTS)
                try:
                    for run, body in _requests(batch):
                        self._keep(Request(key=ids.uuid7(), run=run, path=f"/runs/{run}/points", body=body))
                except OSError:
                    self.points.extendleft(reversed(batch))
                    raise
        self._wake.set()

    def gather(self) -> None:
        """Deliver what forked children said; each has a spool of its own, and is done with it once it has ended."""
        if self.has_forked and self.session is not None:
            with contextlib.suppress(MainstayError, OSError):
                delivery.sync(self.session, self.root, unaddressed=False)

    def flush(self) -> bool:
        """Wait until all that was said was answered, or nobody has answered for ``MAINSTAY_RETRY_SECONDS``.

        Whether all of it was. Offline: at once, and it was not.
        """
        self.drain()
        session = self.session
        if session is None or self._spool is None:
            self._sync()
            return self._spool is None
        with self._changed:
            until = self._given
            self._wake.set()
            self._changed.wait_for(lambda: self._settled >= until or self._gave_up(session.wire.retry_s))
            is_answered = self._settled >= until
        if not is_answered:
            self._sync()
        return is_answered

    def close(self) -> None:
        """Send what can be sent, and let go of the spool."""
        with contextlib.suppress(OSError):
            self.flush()
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=5)
        if self._spool is not None:
            self._spool.release()
            self._spool = None
        _forget(self)

    def _keep(self, request: Request) -> None:
        self._opened().append(request)
        with self._changed:
            self._given += 1

    def _sync(self) -> None:
        spool = self._spool
        if spool is not None:
            spool.sync()

    def _opened(self) -> Spool:
        with self._draining:
            if self._spool is None:
                try:
                    self._spool = spools.make(self.root, self._target)
                except OSError as error:
                    instead = Path(tempfile.mkdtemp(prefix="mainstay-"))
                    warnings.warn(f"{self.root} cannot be written ({error.strerror}); using {instead}.", stacklevel=2)
                    self.root = instead
                    self._spool = spools.make(instead, self._target)
                self._start()
            return self._spool

    def _start(self) -> None:
        self._stop = threading.Event()  # a run may outlive the first close of its session
        works = {"mainstay-spooling": self._keep_draining}
        if self.session is not None:
            works["mainstay-sending"] = self._keep_sending
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works.items()]
        for thread in self._threads:
            thread.start()

    def _keep_draining(self) -> None:
        told = False
        while not self._stop.wait(DRAINS_EVERY_S):
            try:
                self.drain()
                self._sync()
            except OSError as error:
                if not told:
                    warnings.warn(f"{self.root} cannot be written ({error.strerror}); kept in memory.", stacklevel=2)
                told = True

    def _keep_sending(self) -> None:
        pause: float | None = None
        has_looked = False
        while not self._stop.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if not self._send_all():
                pause = min(LONGEST_PAUSE_S, (pause or 0.05) * 2)
                self._stop.wait(0.1)  # not again at once, however often somebody wakes this thread
                continue
            pause = None
            if not has_looked and self.session is not None:
                has_looked = True
                with contextlib.suppress(MainstayError, OSError):
                    delivery.sync(self.session, self.root, unaddressed=False)

    def _send_all(self) -> bool:
        """Send until nothing waits; whether one got there."""
        spool, session = self._spool, self.session
        assert spool is not None and session is not None
        while (request := spool.head()) and not self._stop.is_set():
            try:
                delivery.send(session, spool, request)
                spool.done(request)
                self._tell(request, None)
            except MainstayError as error:
                if not self._is_over(spool, request, error):
                    return False
            # The thread must outlive whatever goes wrong in it, or a run would wait for ever for its end.
            except Exception as error:
                self._note_failure(Unavailable(f"{type(error).__name__}: {error}"))
                return False
        return True

    def _is_over(self, spool: Spool, request: Request, error: MainstayError) -> bool:
        """What follows from a refusal; False: the request stays where it is, for later."""
        is_asked = request.key in self._waiting
        if error.kind not in delivery.FINAL and not (is_asked and error.kind in ("unauthenticated", "forbidden")):
            self._note_failure(error)
            return False
        if is_asked:
            spool.done(request)
        else:
            spool.set_aside(request, error.message)
            self.refused.append(Refused(request.run, error.message))
        self._tell(request, error)
        return True

    def _tell(self, request: Request, error: MainstayError | None) -> None:
        with self._changed:
            self._settled += 1
            self._failing_since = None
            self._changed.notify_all()
        if asked := self._waiting.pop(request.key, None):
            asked.set_exception(error) if error else asked.set_result(None)

    def _note_failure(self, error: MainstayError) -> None:
        with self._changed:
            self.last_failure = error.message
            self._failing_since = self._failing_since or time.monotonic()
            self._changed.notify_all()

    def _gave_up(self, retry_s: float) -> bool:
        return self._failing_since is not None and time.monotonic() - self._failing_since >= retry_s

    def _after_fork(self) -> None:
        """In a forked child: what waits is the parent's to send, and its connection is not ours. The child spools only."""
        if self._spool is not None:
            self._spool.forget()
        self._begin()
        self.session = None
        self.add = self._add_first

    def _add_first(self, said: tuple[str, str, int, int, float]) -> None:
        self.points.append(said)
        self.add = self.points.append
        self._opened()
        if "multiprocessing.util" in sys.modules:
            # Such a child ends without the handlers of atexit.
            sys.modules["multiprocessing.util"].Finalize(self, self.drain, exitpriority=10)


_living: weakref.WeakSet[Outbox] = weakref.WeakSet()
_known: dict[tuple[int | None, Path], Outbox] = {}
_choosing = threading.Lock()


def of(session: Session | None, root: Path) -> Outbox:
    """The one outbox of this process for ``session`` (None: offline) and ``root``."""
    place = (None if session is None else id(session), root)
    with _choosing:
        found = _known.get(place)
        if found is None:
            found = _known[place] = Outbox(session, root)
            if session is not None:
                session.before_close(found.close)
        return found


def all_known() -> list[Outbox]:
    """Every outbox that is open."""
    return list(_known.values())


def _forget(outbox: Outbox) -> None:
    with _choosing:
        for place in [place for place, known in _known.items() if known is outbox]:
            del _known[place]


def _after_fork() -> None:
    global _choosing
    _choosing = threading.Lock()
    for outbox in list(_living):
        outbox._after_fork()


def _note_fork() -> None:
    for outbox in list(_living):
        outbox.has_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork, after_in_parent=_note_fork)


def _taken(points: deque[Any], most: int) -> list[Any]:
    # One at a time: others append meanwhile, and an iteration would notice.
    return [points.popleft() for _ in range(min(len(points), most))]


def _requests(batch: Sequence[tuple[str, str, int, int, float]]) -> Iterator[tuple[str, bytes]]:
    """The bodies that bring a batch, one for each run: its points by key, column by column."""
    by_run: dict[str, dict[str, tuple[list[int], list[int], list[Any]]]] = {}
    for run, key, step, at_ns, value in batch:
        columns = by_run.setdefault(run, {}).setdefault(key, ([], [], []))
        columns[0].append(step)
        columns[1].append(at_ns // 1000)
        columns[2].append(value if math.isfinite(value) else _word_for(value))
    for run, series in by_run.items():
        told = [
            {"key": key, "steps": steps, "at_us": at_us, "values": values}
            for key, (steps, at_us, values) in series.items()
        ]
        yield run, msgspec.json.encode({"series": told})


def _word_for(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece
