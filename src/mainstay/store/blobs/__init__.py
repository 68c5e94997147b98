# SPDX-License-Identifier: Apache-2.0
"""Blobs: bytes named by their SHA-256.

In: bytes or a stream. Out: a digest; later, the same bytes or an error, never other bytes. A file here is an adapter. Good
means: a put that returned survives a crash; a put that did not return left nothing under the digest; two writers of the
same bytes do not disturb each other; what is read was verified. No caller ever names a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Blobs(Protocol):
    """A place that keeps bytes by digest."""

    def put(self, data: bytes | Iterable[bytes], *, expected: str | None = None) -> tuple[str, int]:
        """Keep ``data`` durably; its digest and size in bytes.

        Raises:
            Invalid: the bytes do not have the ``expected`` digest; nothing is kept.
            StorageFull: no room; nothing is kept.
        """
        ...

    def read(self, digest: str) -> bytes:
        """The bytes, verified.

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

    def size(self, digest: str) -> int | None:
        """Size in bytes, or None if the blob is not here. Does not verify."""
        ...
