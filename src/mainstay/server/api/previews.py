# SPDX-License-Identifier: Apache-2.0
"""Previews: the first rows of a columnar file, for whoever looks at it in a browser, which cannot read such files.

In: the digest of a Parquet, Arrow or Feather file. Out: its columns with their types and a few rows as JSON. Only the
first batch is decoded, whatever the file's size; nothing in the file is run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from mainstay.domain.errors import Malformed, TooLarge
from mainstay.server.routes import Routes
from mainstay.store import View

routes = Routes("data")

MOST_COLUMNS = 500
MOST_DECODED_BYTES = 256 << 20
LONGEST_TEXT = 400


class ColumnOut(msgspec.Struct):
    name: str
    type: str


class Preview(msgspec.Struct):
    columns: list[ColumnOut]
    rows: list[list[Any]]
    rows_total: int | None  # None where the file does not say


class _Start(NamedTuple):
    """The beginning of a file."""

    schema: pa.Schema
    rows: list[list[Any]]
    total: int | None


@routes.get("/previews/{digest}", permission="read")
def preview(view: View, digest: str, limit: int = 100) -> Preview:
    """The columns and first rows of a Parquet, Arrow or Feather file."""
    start = _read(view.blobs.path(digest), digest, limit)
    names = start.schema.names[:MOST_COLUMNS]
    columns = [ColumnOut(name, str(start.schema.field(index).type)) for index, name in enumerate(names)]
    return Preview(columns=columns, rows=start.rows, rows_total=start.total)


def _read(path: Path, digest: str, limit: int) -> _Start:
    for reader in (_parquet, _arrow):
        try:
            return reader(path, limit)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            continue
    raise Malformed(f"blob {digest[:12]} is no Parquet, Arrow or Feather file that can be read; download it instead.")


def _parquet(path: Path, limit: int) -> _Start:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names[:MOST_COLUMNS]
        if file.metadata.num_row_groups:
            _check_size(file.metadata.row_group(0).total_byte_size)
        batch = next(file.iter_batches(batch_size=limit, columns=names), None)
        return _Start(file.schema_arrow, _rows(batch, limit), file.metadata.num_rows)


def _arrow(path: Path, limit: int) -> _Start:
    _check_size(path.stat().st_size)
    with pa.memory_map(str(path)) as source, ipc.open_file(source) as file:
        batch = file.get_batch(0) if file.num_record_batches else None
        return _Start(file.schema, _rows(batch, limit), None)


def _check_size(size: int) -> None:
    if size > MOST_DECODED_BYTES:
        raise TooLarge(
            f"the first part of the file holds {size} bytes; a preview decodes at most {MOST_DECODED_BYTES}. Download it.",
            limit=MOST_DECODED_BYTES,
        )


def _rows(batch: pa.RecordBatch | None, limit: int) -> list[list[Any]]:
    if batch is None:
        return []
    few = batch.slice(0, limit)
    # By place and not by name: a name may occur twice.
    columns = [few.column(index).to_pylist() for index in range(min(few.num_columns, MOST_COLUMNS))]
    return [[_shown(value) for value in row] for row in zip(*columns, strict=True)]


_WRITTEN: dict[type, Callable[[Any], Any]] = {
    bytes: lambda value: f"{len(value)} bytes",
    Decimal: str,
    timedelta: str,
    time: str,
    date: lambda value: value.isoformat(),
    datetime: lambda value: value.isoformat(),
}


def _shown(value: Any) -> Any:
    """A value as JSON can hold it; long texts are cut, and what is not finite is said in words."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    for kind, write in _WRITTEN.items():
        if isinstance(value, kind):
            return write(value)
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
