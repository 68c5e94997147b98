# SPDX-License-Identifier: Apache-2.0
"""Blobs: bytes named by their SHA-256.

In: bytes or a stream. Out: a digest; later, the same bytes or an error, never other bytes. A file here is an adapter
(``local``, ``objects``), or what adapters share (``packs``, ``packing``, ``readings`` …). Good means: a put that returned
survives a crash; a put that did not return left nothing under the digest; two writers of the same bytes do not disturb each
other; what is read was verified; what is large and shares its bytes with what is there takes little room. No caller ever
names a path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from mainstay.store.blobs.digest_sets import DigestSet
    from mainstay.store.blobs.packing import Packing


class Gone(NamedTuple):
    """One object that a collection took away, or would: its bytes, when it was last written or asked for (seconds since 1970),
    and the large blob it was a chunk of, if that goes as well."""

    digest: str
    size: int
    written: float
    chunk_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a collection took away, or would: objects and bytes; ``rewritten`` packs held more than that."""

    objects: int = 0
    size: int = 0
    rewritten: int = 0
    kept: int = 0
    kept_size: int = 0
    young: int = 0  # reached by nothing, but not old enough
    gone: Sequence[Gone] = ()


class Blobs(Protocol):
    """A place that keeps bytes by digest. ``is_near``: looking at them takes no request."""

    is_near: bool

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """Keep ``data`` durably; its digest and size in bytes.

        Raises:
            Invalid: the bytes do not have the ``expected`` digest; nothing is kept.
            StorageFull: no room; nothing is kept.
        """
        ...

    def put_all(self, contents: Sequence[bytes]) -> None:
        """Keep a few small ones, each durable when this has returned: they wait for the disk together.

        Raises:
            StorageFull: no room for all of them.
        """
        ...

    def packing(self) -> AbstractContextManager[Packing]:
        """For many objects at once: each is durable when the block has ended.

        Raises:
            StorageFull: no room.
        """
        ...

    def read(self, digest: str) -> bytes:
        """The bytes, verified.

        Raises:
            NotFound, Corrupt.
        """
        ...

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The bytes piece by piece, each of them verified.

        Raises:
            NotFound, Corrupt.
        """
        ...

    def path(self, digest: str) -> Path:
        """A local, verified, read-only file with the bytes.

        Raises:
            NotFound, Corrupt.
        """
        ...

    def begin(self, digest: str) -> bytes:
        """The first byte, or none; not verified.

        Raises:
            NotFound.
        """
        ...

    def size(self, digest: str) -> int | None:
        """Size in bytes, or None if the blob is not here. Does not verify."""
        ...

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those that are not here; those that are will stay for a grace period at least."""
        ...

    def digests(self, since: float = 0) -> Iterator[str]:
        """Every digest kept here that was written or asked for ``since`` (seconds since 1970)."""
        ...

    def beginning(self, among: DigestSet, first: bytes) -> Iterator[str]:
        """Those whose first byte, not verified, is one of ``first``.

        Raises:
            NotFound: one of them is not here.
        """
        ...

    def collect(self, live: Collection[str], *, before: float, delete: bool) -> Collected:
        """Take away what is not ``live`` and was neither written nor asked for since ``before`` (seconds since 1970)."""
        ...
