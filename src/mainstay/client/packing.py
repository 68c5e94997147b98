# SPDX-License-Identifier: Apache-2.0
"""Where bytes go to and come from by the thousand: the workspace's own folder, or a server elsewhere in large requests.

The way into the folder is for a client of the workspace itself, whose user could write there anyway; it is the store's own
code, and whatever it leaves is verified when it is read. A server is never told of a path.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Corrupt
from mainstay.store import chunking
from mainstay.store.blobs.local import LocalBlobs, is_local
from mainstay.store.blobs.packing import Packing

if TYPE_CHECKING:
    from mainstay.client.session import Session

_AT_ONCE = 32 << 20
_LENGTH = struct.Struct("<I")


class Sent(NamedTuple):
    """One object that is or will be kept."""

    digest: str
    size: int


class Sink(Protocol):
    """Takes objects; they are durable when the block that made it has ended."""

    def add(self, data: bytes) -> Sent:
        """Keep one object."""
        ...

    def add_file(self, handle: int, size: int) -> Iterator[Sent]:
        """Keep a large open file as chunks, in order; together they are less than ``size`` if it was cut short meanwhile."""
        ...


class Source(Protocol):
    """Gives objects, verified."""

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The bytes of one.

        Raises:
            NotFound, Corrupt.
        """
        ...


def sink_of(session: Session) -> AbstractContextManager[Sink]:
    """The nearest way to keep something where ``session`` asks."""
    if session.workspace is not None and is_local(session.workspace):
        return _near(LocalBlobs(session.workspace / "blobs"))
    return _far(session)


def source_of(session: Session) -> Source:
    """The nearest way to read what stands where ``session`` asks."""
    if session.workspace is not None and is_local(session.workspace):
        return LocalBlobs(session.workspace / "blobs")
    return FarSource(session)


def is_chunk(data: bytes, digest: str) -> bool:
    """Whether these are the bytes of that chunk."""
    return chunking.name(data) == digest


@contextmanager
def _near(blobs: LocalBlobs) -> Iterator[Sink]:
    with blobs.packing() as packing:
        yield Near(packing)


@contextmanager
def _far(session: Session) -> Iterator[Sink]:
    far = Far(session)
    yield far
    far.send()


class Near:
    """The workspace's own folder."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def add(self, data: bytes) -> Sent:
        """See `Sink.add`."""
        return Sent(*self._packing.add(data)[:2])

    def add_file(self, handle: int, size: int) -> Iterator[Sent]:
        """See `Sink.add_file`."""
        for written in self._packing.add_file(handle, size, chunking.COARSE):
            yield Sent(*written[:2])


class Far:
    """A server elsewhere; it is asked first which of the objects it lacks."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._blobs: dict[str, bytes] = {}
        self._chunks: dict[str, bytes] = {}
        self._size = 0

    def add(self, data: bytes) -> Sent:
        """See `Sink.add`."""
        return self._put(self._blobs, sha256_hex(data), data)

    def add_file(self, handle: int, size: int) -> Iterator[Sent]:
        """See `Sink.add_file`."""
        for start, end in chunking.spans_of_file(handle, size, chunking.COARSE):
            chunk = chunking.read_at(handle, start, end)
            yield self._put(self._chunks, chunking.name(chunk), chunk)

    def send(self) -> None:
        """Send what waits.

        Raises:
            Corrupt: something arrived as other bytes.
        """
        blobs, chunks = self._blobs, self._chunks
        self._blobs, self._chunks, self._size = {}, {}, 0
        self._send(chunks, "/api/chunks")
        self._send(blobs, "/api/blobs")

    def _put(self, waiting: dict[str, bytes], digest: str, data: bytes) -> Sent:
        if digest not in waiting:
            waiting[digest] = data
            self._size += len(data)
        if self._size >= _AT_ONCE:
            self.send()
        return Sent(digest, len(data))

    def _send(self, waiting: dict[str, bytes], to: str) -> None:
        if not waiting:
            return
        wire = self._session.wire
        lacking = wire.ask("POST", "/api/blobs/missing", json={"digests": list(waiting)}).json()["missing"]
        if not lacking:
            return
        body = b"".join(_LENGTH.pack(len(waiting[digest])) + waiting[digest] for digest in lacking)
        kept = wire.ask("POST", to, content=body, content_type="application/octet-stream", timeout=600).json()[
            "digests"
        ]
        if kept != lacking:
            raise Corrupt("what was sent arrived damaged; repeat the command.")


class FarSource:
    """A server elsewhere."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pieces(self, digest: str) -> Iterator[bytes]:
        """See `Source.pieces`."""
        yield self._session.get_blob(digest)
