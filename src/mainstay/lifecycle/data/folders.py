# SPDX-License-Identifier: Apache-2.0
"""Snapshots of files: a folder, or a single file, of any kind.

In: the manifest that a client made of them (``domain.folders``), when everything it names is here. Out: what the snapshot is.
Nothing in the files is read: they have no rows, no contract and no profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mainstay.domain import folders
from mainstay.domain.data import Snapshot
from mainstay.domain.errors import Corrupt, Invalid, NotFound
from mainstay.domain.folders import File
from mainstay.lifecycle.data.manifests import Manifest
from mainstay.store.blobs import Blobs

FORMAT = KIND = "files"
_TOLD = 5


def read(blobs: Blobs, digest: str) -> Manifest:
    """The manifest ``digest``, when whatever it names is here.

    Raises:
        NotFound: there is no such blob. Invalid: it is no manifest of files, or something it names is missing.
    """
    root = folders.read_root(blobs.read(digest))
    found = list(folders.walk(blobs.read, root.folder))
    if missing := blobs.missing(sorted({file.digest for file in found})):
        raise _incomplete(missing)
    chunks = {name for file in found if file.is_list for name, _ in chunks_of(blobs, file)}
    if missing := blobs.missing(sorted(chunks)):
        raise _incomplete(missing)
    if (len(found), sum(file.size for file in found)) != (root.files, root.size):
        raise Invalid("the manifest counts other files than it holds; take the snapshot with this program.")
    return Manifest(schema=(), rows=root.files, parts=(), digest=digest, size=root.size)


def files_of(blobs: Blobs, snapshot: Snapshot) -> Iterator[File]:
    """Every file of a snapshot, by path.

    Raises:
        NotFound, Corrupt: a part of the manifest is gone or damaged.
    """
    return folders.walk(blobs.read, folders.read_root(blobs.read(snapshot.digest)).folder)


def chunks_of(blobs: Blobs, file: File) -> list[tuple[str, int]]:
    """The chunks of a large file: digest and size."""
    return folders.read_chunks(blobs.read(file.digest), file.size)


def pieces(blobs: Blobs, file: File) -> Iterator[bytes]:
    """The bytes of a file, verified piece by piece.

    Raises:
        NotFound, Corrupt: something is gone or damaged.
    """
    for digest in [name for name, _ in chunks_of(blobs, file)] if file.is_list else [file.digest]:
        yield from blobs.pieces(digest)


def damaged(blobs: Blobs, snapshot: Snapshot) -> Iterator[tuple[File, NotFound | Corrupt]]:
    """The files that are gone or damaged, each with what is wrong."""
    for file in files_of(blobs, snapshot):
        try:
            for _ in pieces(blobs, file):
                pass
        except (NotFound, Corrupt) as error:
            yield file, error


def _incomplete(missing: list[str]) -> Invalid:
    told = ", ".join(islice(missing, _TOLD))
    more = f" and {len(missing) - _TOLD} more" if len(missing) > _TOLD else ""
    return Invalid(
        f"the manifest names {len(missing)} objects that are not here ({told}{more}); upload them first.",
        missing=missing[:1000],
    )
