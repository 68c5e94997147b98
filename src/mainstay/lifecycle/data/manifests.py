# SPDX-License-Identifier: Apache-2.0
"""Manifests: what a snapshot is, as a few lines of canonical JSON that name the Parquet file by its digest.

In: a plain table. Out: one Parquet blob whose bytes depend on the rows alone, and the manifest, which is a blob too:
its SHA-256 is the snapshot's digest. Fixed row groups, zstd, no metadata of whoever wrote the table, and page
boundaries by content (so that a store which deduplicates sees what two snapshots share). The bytes do name the
Parquet writer's version: after an upgrade of pyarrow, equal rows may give another digest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mainstay.domain.data import Field, Part
from mainstay.domain.digests import canonical_json
from mainstay.measures import columns, frames
from mainstay.measures.frames import Frame
from mainstay.store.blobs import Blobs

# Small groups cost much: a row that is put in moves the borders of all that follow, and each border begins the pages anew.
ROW_GROUP = 1 << 20
_PIECE = 4 << 20
_IN_MEMORY = 64 << 20  # bytes of the file on its way to the blobs


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of a snapshot; ``digest`` covers all of it."""

    schema: tuple[Field, ...]
    rows: int
    parts: tuple[Part, ...]
    digest: str
    size: int


def publish(blobs: Blobs, table: Frame) -> Manifest:
    """Keep ``table`` as a Parquet blob and its manifest as another."""
    schema = tuple(Field(name=name, type=columns.type_of(kind) or "") for name, kind in frames.types(table).items())
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        encode(table, file)
        file.seek(0)
        digest, size = blobs.put(iter(lambda: file.read(_PIECE), b""))
    parts = (Part(digest=digest, rows=table.num_rows, size=size),)
    name, _ = blobs.put(canonical_json(content(schema, table.num_rows, parts)))
    return Manifest(schema=schema, rows=table.num_rows, parts=parts, digest=name, size=size)


def content(schema: Sequence[Field], rows: int, parts: Sequence[Part]) -> dict[str, Any]:
    """What the digest of a snapshot covers."""
    return {"form": 1, "schema": [asdict(f) for f in schema], "rows": rows, "parts": [asdict(p) for p in parts]}


def encode(table: Frame, sink: Any) -> None:
    """Write ``table`` as Parquet: equal rows give equal bytes, however they were chunked, in memory or in a file."""
    frames.write(
        table,
        sink,
        group=ROW_GROUP,
        compression="zstd",
        version="2.6",
        store_schema=False,
        use_content_defined_chunking=True,
    )
