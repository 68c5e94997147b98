# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way in, the same wherever they go: how large they are, what they are called, and what a full disk means."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import chain
from typing import TypeVar

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Invalid, StorageFull
from mainstay.store import chunking
from mainstay.store.blobs.packing import Packing

#: From here on a blob is kept as chunks.
LARGE_PARQUET = 1 << 20
LARGE = 8 << 20
_PARQUET = b"PAR1"
_AT_ONCE = 8
_T = TypeVar("_T")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def key(digest: str) -> str:
    """Where a blob of its own stands, below the folder or prefix.

    Raises:
        Invalid: it is no digest.
    """
    if not is_digest(digest):
        raise Invalid(f"{digest[:80]!r} is not a digest; 64 lower-case hexadecimal digits are expected.")
    return f"{digest[:2]}/{digest}"


def begin(pieces: Iterable[bytes]) -> tuple[list[bytes], Iterator[bytes] | None]:
    """The first pieces of a stream, and the rest of it if it is a large one; None if that was all."""
    stream, head, size = iter(pieces), [], 0
    for piece in stream:
        if not piece:
            continue
        head.append(piece)
        size += len(piece)
        if size >= (LARGE_PARQUET if head[0].startswith(_PARQUET) else LARGE):
            return head, stream
    return head, None


def at_once(act: Callable[[_T], object], each: Collection[_T]) -> None:
    """``act`` on a few small things at once: a file system or an object store lets them wait together."""

    def act_on(some: Sequence[_T]) -> None:
        for one in some:
            act(one)

    things, count = list(each), min(_AT_ONCE, len(each))
    if count < 2:
        act_on(things)
        return
    with ThreadPoolExecutor(count, "mainstay-blobs") as pool:
        list(pool.map(act_on, [things[place::count] for place in range(count)]))


def put_large(
    batch: AbstractContextManager[Packing], head: list[bytes], rest: Iterator[bytes], expected: str | None
) -> tuple[str, int]:
    """Keep a large blob as chunks, and the list of them under its digest."""
    rule = chunking.FINE if head[0].startswith(_PARQUET) else chunking.COARSE
    with batch as packing, _Whole() as whole:
        chunks = list(packing.add_chunks(chunking.split(whole.passing(chain(head, rest)), rule)))
        digest, size = whole.named()
        check(digest, expected)
        packing.add_recipe(digest, size, chunks)
    return digest, size


class _Whole:
    """The name of a stream that passes, counted by a thread of its own beside whatever is done with it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._thread = ThreadPoolExecutor(1, "mainstay-whole")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Whole:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces."""
        for piece in pieces:
            self._waiting.append(self._thread.submit(self._hash.update, piece))
            self._size += len(piece)
            if len(self._waiting) > _AT_ONCE:
                self._waiting.popleft().result()
            yield piece

    def named(self) -> tuple[str, int]:
        """SHA-256 of all that passed, and how many bytes it was."""
        for each in self._waiting:
            each.result()
        return self._hash.hexdigest(), self._size


def check(digest: str, expected: str | None) -> None:
    """See that the bytes are those that were announced.

    Raises:
        Invalid: they are others.
    """
    if expected is not None and digest != expected:
        raise Invalid(
            f"the bytes received have digest {digest}, the upload was announced as {expected}; send it again."
        )


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Say in our words that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                "the workspace's disk is full: nothing was written. Free some space, then repeat the command."
            ) from error
        raise
