# SPDX-License-Identifier: Apache-2.0
"""Child processes that carry out step calls, seen from the run: started ahead, reused, ended when they take too long.

In: calls. Out: outcomes, in any order. Fresh interpreters, not forks: a fork of a process in which Polars, OpenMP or gRPC
has started its threads may stand still for ever; a child is started once and reused, so its start is paid once. A child that
dies costs its call one try. Each leads a process group of its own, so that nothing it starts outlives it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from mainstay.domain.errors import Invalid, MainstayError
from mainstay.engine.calls import step_calls, tries
from mainstay.engine.calls.child import Answer, Order, Setup
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.step_log import StepLog
from mainstay.engine.calls.step_output import Lines, Say
from mainstay.engine.calls.surroundings import Surroundings
from mainstay.engine.calls.tries import StepTimedOut, WorkerDied
from mainstay.engine.platform import Blobs

_MAIN = "from mainstay.engine.calls.child import main; main()"
_GRACE_S = 5.0
_PIECE = 1 << 16


@dataclass(kw_only=True, eq=False)
class Try:
    """A call and the how-manieth try of it; ``due``: not before."""

    call: StepCall
    attempts: int = 1
    due: float = 0.0
    began: float = field(default_factory=time.monotonic)


class Child:
    """One process. ``doing`` is what it carries out now."""

    def __init__(self, setup: Setup, *, is_fresh: bool) -> None:
        mine, its = socket.socketpair()
        self._lifeline, its_lifeline = socket.socketpair()
        handed = (its.fileno(), its_lifeline.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *map(str, handed)],
            pass_fds=handed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        its.close()
        its_lifeline.close()
        self.connection = Connection(mine.detach())
        self.connection.send_bytes(pickle.dumps(setup))
        self.is_fresh = is_fresh  # for one call only
        self.doing: Try | None = None
        self.lines: Lines | None = None
        self.deadline: float | None = None
        self.is_ready = False
        self.broken: str | None = None
        for pipe in self.pipes():
            os.set_blocking(pipe.fileno(), False)

    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Its standard output and error."""
        assert self.process.stdout is not None and self.process.stderr is not None
        return self.process.stdout, self.process.stderr

    def begin(self, given: Try, say: Say | None) -> None:
        """Have it carry out a call."""
        call = given.call
        order = Order.of(call, given.attempts)
        data = _packed(order)
        self.doing, self.lines = given, Lines(call.label, say) if say else None
        if self.is_ready:
            self.be_timed()
        with contextlib.suppress(OSError):  # it has died just now, which its descriptors will tell
            self.connection.send_bytes(data)

    def be_timed(self) -> None:
        """From now on its call's time counts; what it took to start is not the step's."""
        if self.doing is not None and self.doing.attempts == 1:
            self.doing.began = time.monotonic()
        timeout = self.doing.call.step.options.timeout if self.doing else None
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def read_output(self) -> None:
        """Pass on what it has written since."""
        for pipe, stream, shown in zip(self.pipes(), ("out", "err"), (sys.stdout, sys.stderr), strict=True):
            with contextlib.suppress(BlockingIOError, ValueError):
                while piece := os.read(pipe.fileno(), _PIECE):
                    text = piece.decode(errors="replace")
                    shown.write(text)
                    if self.lines is not None:
                        self.lines.write(stream, text)

    def end(self) -> None:
        """Kill it and what it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(OSError):
            self.connection.close()
        self._lifeline.close()
        for pipe in self.pipes():
            pipe.close()


class Crew:
    """Up to ``size`` children at work."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiting: deque[Try] = deque()
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._folder: Path | None = None
        self._blobs: Blobs | None = None
        self._surroundings = Surroundings(path=())
        self._say: Say | None = None

    def start(self, blobs: Blobs, around: Surroundings, say: Say | None, *, ahead: int = 0) -> None:
        """Be ready; ``ahead``: have so many children start now."""
        self._blobs, self._surroundings, self._say = blobs, around, say
        for _ in range(ahead):
            self._spawn(is_fresh=False)

    def submit(self, call: StepCall) -> None:
        """Take a call."""
        self._waiting.append(Try(call=call))
        self._assign()

    def outcomes(self, *, wait: bool) -> list[tuple[StepCall, Outcome]]:
        """Calls that have ended; with ``wait`` at least one, if any was taken."""
        found: list[tuple[StepCall, Outcome]] = []
        while True:
            self._assign()
            for key, _ in self._selector.select(self._patience(wait and not found)):
                found += self._heard(key.data)
            found += self._late()
            if found or not wait or not (self._waiting or any(child.doing for child in self._children)):
                return found

    def stop(self) -> None:
        """End every child; what they were doing is given up."""
        self._waiting.clear()
        while self._children:
            self._drop(self._children[0])
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # ── giving out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _assign(self) -> None:
        now = time.monotonic()
        for given in [each for each in self._waiting if each.due <= now]:
            options = given.call.step.options
            child = None if options.isolate else self._idle()
            if child is None:
                if sum(each.doing is not None for each in self._children) >= self.size:
                    return
                child = self._spawn(is_fresh=options.isolate)
            self._waiting.remove(given)
            child.begin(given, self._say)

    def _idle(self) -> Child | None:
        return next((each for each in self._children if each.doing is None and not each.is_fresh), None)

    def _spawn(self, *, is_fresh: bool) -> Child:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mainstay-spool-"))
        child = Child(Setup(surroundings=self._surroundings, spool=self._folder), is_fresh=is_fresh)
        self._children.append(child)
        self._selector.register(child.connection.fileno(), selectors.EVENT_READ, child)
        for pipe in child.pipes():
            self._selector.register(pipe.fileno(), selectors.EVENT_READ, child)
        return child

    def _drop(self, child: Child) -> None:
        self._children.remove(child)
        for number in (child.connection.fileno(), *(pipe.fileno() for pipe in child.pipes())):
            with contextlib.suppress(KeyError):
                self._selector.unregister(number)
        child.end()

    def _patience(self, wait: bool) -> float | None:
        if not wait:
            return 0.0
        now = time.monotonic()
        moments = [child.deadline for child in self._children if child.doing and child.deadline is not None]
        moments += [each.due for each in self._waiting if each.due > now]
        return max(0.0, min(moments) - now) if moments else None

    # ── hearing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _heard(self, child: Child) -> list[tuple[StepCall, Outcome]]:
        if child not in self._children:
            return []
        child.read_output()
        try:
            while child.connection.poll():
                what, told = child.connection.recv()
                if what == "done":
                    child.read_output()
                    return self._done(child, told)
                self._answer(child, what, told)
        except (EOFError, OSError, pickle.UnpicklingError):
            return self._died(child)
        return self._died(child) if child.process.poll() is not None else []

    def _answer(self, child: Child, what: str, told: Any) -> None:
        if what == "path":
            assert self._blobs is not None
            try:
                child.connection.send(("path", str(self._blobs.blob_path(told))))
            except MainstayError as error:
                child.connection.send(("error", (error.kind, error.message, {})))
        elif what == "line" and child.lines is not None:
            child.lines.line(told[1], told[2])
        elif what == "ready":
            child.is_ready = True
            child.be_timed()
        elif what == "broken":
            child.broken = told

    def _done(self, child: Child, answer: Answer) -> list[tuple[StepCall, Outcome]]:
        given, self_blobs = child.doing, self._blobs
        assert given is not None and self_blobs is not None and self._folder is not None
        for data in answer.fresh.values():
            self_blobs.put_blob(data)
        for digest in answer.spooled:
            self_blobs.put_blob(self._folder / digest)
            (self._folder / digest).unlink()
        log = replace(answer.outcome.log, blobs=self_blobs)
        cause = pickle.loads(answer.cause) if answer.cause else None
        return self._ended(child, given, replace(answer.outcome, log=log, cause=cause))

    def _late(self) -> list[tuple[StepCall, Outcome]]:
        now, found = time.monotonic(), []
        for child in [each for each in self._children if each.doing and each.deadline is not None]:
            if child.deadline is not None and child.deadline <= now and child.doing is not None:
                given, limit = child.doing, child.doing.call.step.options.timeout
                child.read_output()
                error = StepTimedOut(f"it took longer than its timeout of {limit:g} s, and was ended")
                found += self._lost(child, given, error)
        return found

    def _died(self, child: Child) -> list[tuple[StepCall, Outcome]]:
        given = child.doing
        try:
            code = child.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:  # it has closed its socket, but lives
            code = 0
        if given is None:
            self._drop(child)
            return []
        if child.broken is not None:
            error: MainstayError = Invalid(f"a worker process cannot import the steps: {child.broken}")
        else:
            error = WorkerDied(f"its worker process {_how(code)}")
        return self._lost(child, given, error)

    def _lost(self, child: Child, given: Try, error: MainstayError) -> list[tuple[StepCall, Outcome]]:
        pause = tries.pause(given.call.step.options, given.attempts, error)
        lines = child.lines
        self._drop(child)
        child.lines = lines
        outcome = Outcome(
            seconds=0.0,
            log=StepLog(blobs=self._blobs),
            attempts=given.attempts,
            error=error.message,
            cause=error,
            pause=pause,
        )
        return self._ended(child, given, outcome)

    def _ended(self, child: Child, given: Try, outcome: Outcome) -> list[tuple[StepCall, Outcome]]:
        if child.lines is not None:
            child.lines.end()
        child.doing = child.lines = child.deadline = None
        if child.is_fresh and child in self._children:
            self._drop(child)
        if outcome.pause is not None:
            again = Try(call=given.call, attempts=given.attempts + 1, due=time.monotonic() + outcome.pause)
            again.began = given.began
            self._waiting.append(again)
            return []
        return [(given.call, replace(outcome, seconds=time.monotonic() - given.began))]


def _packed(order: Order) -> bytes:
    try:
        return pickle.dumps(order)
    except Exception as error:  # what a guest's value does when it is pickled is its own affair
        raise Invalid(
            f"an argument of {order.label} cannot be sent to a worker process: {step_calls.sentence(error)}."
        ) from error


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code} before it could answer"
    name = signal.Signals(-code).name
    more = "; the machine may be short of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{more}"
