# SPDX-License-Identifier: Apache-2.0
"""A process that carries out step calls for another one: what runs in it.

In: surroundings once, then calls, over a socket. Out: outcomes; its standard output is read at the other end. It holds no
token and asks nobody but its parent: inputs come as paths of files, outputs go back as small bytes or as files in a folder.
It ends when its parent does, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import shutil
import signal
import sys
import threading
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mainstay.domain.digests import sha256_hex, sha256_of_file
from mainstay.domain.errors import MainstayError, of_kind
from mainstay.engine.calls import step_calls, step_output, surroundings
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.surroundings import Place, Surroundings
from mainstay.engine.nearby import SMALL


@dataclass(frozen=True, kw_only=True)
class Setup:
    """``spool``: the folder for outputs that are too large for the socket."""

    surroundings: Surroundings
    spool: Path


@dataclass(frozen=True, kw_only=True)
class Order:
    """A call as it travels."""

    label: str
    place: Place
    arguments: dict[str, Any]
    seed: int
    root: Path
    known: frozenset[Path]
    attempts: int

    @classmethod
    def of(cls, call: StepCall, attempts: int) -> Order:
        return cls(
            label=call.label,
            place=surroundings.place_of(call.step),
            arguments=dict(call.arguments),
            seed=call.seed,
            root=call.root,
            known=call.known,
            attempts=attempts,
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An outcome as it travels: bytes, and files in the spool, that its digests name. ``cause``: pickled, if it can be."""

    outcome: Outcome
    fresh: dict[str, bytes]
    spooled: tuple[str, ...]
    cause: bytes | None


@dataclass(kw_only=True)
class FolderBlobs:
    """Blobs on their way back: small ones in memory, the others as files of the spool."""

    spool: Path
    fresh: dict[str, bytes] = field(default_factory=dict)
    spooled: list[str] = field(default_factory=list)

    def put_blob(self, data: bytes | Path) -> str:
        """See `Blobs.put_blob`: here until the answer goes."""
        if isinstance(data, bytes) and len(data) <= SMALL:
            digest = sha256_hex(data)
            self.fresh[digest] = data
            return digest
        digest = sha256_hex(data) if isinstance(data, bytes) else sha256_of_file(data)
        if digest not in self.spooled:
            aside = self.spool / f"{digest}.{os.getpid()}"
            aside.write_bytes(data) if isinstance(data, bytes) else shutil.copyfile(data, aside)
            aside.replace(self.spool / digest)
            self.spooled.append(digest)
        return digest

    def get_blob(self, digest: str) -> bytes:
        """See `Blobs.get_blob`."""
        found = self.fresh.get(digest)
        return self.blob_path(digest).read_bytes() if found is None else found

    def blob_path(self, digest: str) -> Path:
        """See `Blobs.blob_path`."""
        raise NotImplementedError


@dataclass(kw_only=True)
class ParentBlobs(FolderBlobs):
    """Blobs by way of the parent, which has their files."""

    connection: Connection
    _paths: dict[str, Path] = field(default_factory=dict)

    def blob_path(self, digest: str) -> Path:
        """See `Blobs.blob_path`: the parent's verified file."""
        if digest in self.spooled:
            return self.spool / digest
        if digest not in self._paths:
            self.connection.send(("path", digest))
            what, told = self.connection.recv()
            if what != "path":
                raise of_kind(*told)
            self._paths[digest] = Path(told)
        return self._paths[digest]


def serve(connection: Connection) -> None:
    """Carry out what comes, until the other end is closed."""
    with contextlib.suppress(EOFError, OSError):
        setup: Setup = pickle.loads(connection.recv_bytes())
        try:
            surroundings.enter(setup.surroundings)
        # Importing the project's modules may raise anything, and the parent has to hear it.
        except BaseException as error:
            connection.send(("broken", step_calls.sentence(error)))
            return
        connection.send(("ready", os.getpid()))
        while True:
            order: Order = pickle.loads(connection.recv_bytes())
            connection.send(("done", _carried_out(order, connection, setup)))


def _carried_out(order: Order, connection: Connection, setup: Setup) -> Answer:
    def say(label: str, stream: str, text: str) -> None:
        if threading.current_thread() is threading.main_thread():  # the socket has one user
            connection.send(("line", (label, stream, text)))

    blobs = ParentBlobs(spool=setup.spool, connection=connection)
    with step_output.logging_told(order.label, say):
        found = _answered(order, blobs)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return found


def answer(order: Order, blobs: FolderBlobs, say: step_output.Say) -> Answer:
    """Carry out one try where nobody reads this process's output; ``say`` is told what the step writes."""
    with step_output.told(order.label, say):
        return _answered(order, blobs)


def _answered(order: Order, blobs: FolderBlobs) -> Answer:
    call = StepCall(
        label=order.label,
        step=surroundings.find(order.place),
        arguments=order.arguments,
        seed=order.seed,
        root=order.root,
        known=order.known,
    )
    outcome = step_calls.attempt(call, blobs, order.attempts)
    cause = outcome.cause
    return Answer(
        outcome=replace(outcome, cause=None, log=replace(outcome.log, blobs=None)),
        fresh=blobs.fresh,
        spooled=tuple(blobs.spooled),
        cause=_pickled(cause) if cause is not None else None,
    )


def _pickled(error: BaseException) -> bytes | None:
    if isinstance(error, MainstayError):
        return None  # its sentence says it all
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # what a guest's exception does when it is pickled is its own affair
        return None
    return data


def _end_with_the_parent(lifeline: int) -> None:
    """The parent holds the other end and says nothing, ever; its end is the parent's.

    Where the kernel can tell (Linux) it does so by a signal that ends this process even inside a library that lets no
    other thread run.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())  # the whole group, so also what it has started
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)  # with whatever it has started

    threading.Thread(target=watch, name="mainstay-parent", daemon=True).start()


def main() -> None:
    """Descriptors of the socket and of the lifeline are the arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear; it ends its children
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_the_parent(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
