# SPDX-License-Identifier: Apache-2.0
"""What the engine asks of the control plane: two verbs of the wire and the blobs.

``mainstay.client.session.Session`` has this shape, whether it speaks over a socket or to the app in the same process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class Blobs(Protocol):
    """Bytes by their SHA-256."""

    def put_blob(self, data: bytes | Path) -> str:
        """Keep ``data`` durably and answer its digest; known bytes cost nothing."""
        ...

    def get_blob(self, digest: str) -> bytes:
        """The bytes of ``digest``, verified."""
        ...

    def blob_path(self, digest: str) -> Path:
        """A local, verified, read-only file with the bytes of ``digest``."""
        ...


@runtime_checkable
class Folders(Protocol):
    """Whole folders at once; who only has `Blobs` keeps and reads them file by file."""

    def put_folder(self, path: Path) -> str:
        """Keep a folder, or one file, of any kind; the digest of the manifest that names its files."""
        ...

    def lay_folder(self, digest: str, folder: Path) -> None:
        """Lay out in ``folder`` what `put_folder` kept."""
        ...


class Platform(Blobs, Folders, Protocol):
    """The control plane, as seen from here; paths are those of the API without ``/api``.

    Errors arrive as the ``domain.errors`` that the server raised.
    """

    def get(self, path: str, **params: Any) -> Any:
        """Answer of ``GET path``."""
        ...

    def post(self, path: str, body: Any = None) -> Any:
        """Answer of ``POST path``; sent again with the same idempotency key if the answer was lost."""
        ...
