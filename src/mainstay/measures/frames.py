# SPDX-License-Identifier: Apache-2.0
"""Frames: tables that need not fit into memory, asked for one column at a time.

Whoever measures or checks goes column by column, so a table in memory and a Parquet file are alike to him: both are a `Frame`.
Of a file one column is decoded when somebody asks for it; a few are kept at hand, up to a bound in bytes. The columns of a file
are plain (``columns``), whatever types they stand there with.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain.errors import Invalid
from mainstay.measures import columns

#: Bytes of decoded columns that a file keeps at hand; a table up to that size is read once, as a whole.
AT_HAND = 256 << 20
_MOST_ROWS = 1 << 16
_BATCH_VALUES = 1 << 20


class Frame(Protocol):
    """What a `pyarrow.Table` and a `FileFrame` have in common."""

    @property
    def column_names(self) -> list[str]:
        """In order."""
        ...

    @property
    def num_rows(self) -> int:
        """Of every column."""
        ...

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column."""
        ...


@dataclass(frozen=True)
class _Column:
    """A column of the frame: what it is called in the file, and the type that it is given."""

    name: str
    type: pa.DataType


class FileFrame:
    """The columns of a Parquet file, decoded when somebody asks for them; ``owner`` lives as long as they do."""

    def __init__(self, path: Path, owner: object = None) -> None:
        self._reader = _Reader(path, owner)
        self._columns = {
            field.name: _Column(field.name, _plain_type(field.name, field.type)) for field in self._reader.schema
        }
        self.num_rows: int = self._reader.rows

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column.

        Raises:
            Invalid: a value does not fit the type that stands for its kind.
        """
        wanted = self._columns[name]
        return self._reader.column(wanted.name).cast(wanted.type)

    def types(self) -> dict[str, pa.DataType]:
        """The type of each column, without reading any."""
        return {name: column.type for name, column in self._columns.items()}

    def with_columns(self, wanted: Mapping[str, tuple[str, pa.DataType]]) -> FileFrame:
        """The same file with other columns: each new name with that of a column here, and a type."""
        new = object.__new__(FileFrame)
        new._reader, new.num_rows = self._reader, self.num_rows
        new._columns = {name: _Column(self._columns[old].name, kind) for name, (old, kind) in wanted.items()}
        return new

    def groups(self, rows: int) -> Iterator[pa.Table]:
        """All of it from its beginning, so many rows at once."""
        held: list[pa.Table] = []
        count = 0
        for batch in self._reader.batches():
            part = pa.table(
                {name: columns.plain(c.name, batch.column(c.name)).cast(c.type) for name, c in self._columns.items()}
            )
            while part.num_rows:
                taken = part.slice(0, rows - count)
                held.append(taken)
                count += taken.num_rows
                part = part.slice(taken.num_rows)
                if count == rows:
                    yield pa.concat_tables(held)
                    held, count = [], 0
        if held:
            yield pa.concat_tables(held)


class _Reader:
    """The plain columns of a file; those asked for last are kept."""

    def __init__(self, path: Path, owner: object) -> None:
        self._path = path
        self._owner = owner
        self._kept: OrderedDict[str, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow
            self.rows: int = file.metadata.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        with self._opened() as file:
            read = file.read(columns=[name]).column(name)
        read.validate(
            full=True
        )  # offsets and UTF-8 may come from a stranger, and are used without looking from here on
        values = columns.plain(name, read)
        with self._lock:
            self._kept[name] = values
            while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > AT_HAND:
                self._kept.popitem(last=False)
        return values

    def batches(self) -> Iterator[pa.Table]:
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=batch_rows(file.metadata.num_columns)):
                yield pa.Table.from_batches([batch])

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        # Opened by us, so that a path can never be taken for an address; and not read ahead, which would be all of it.
        with self._path.open("rb") as stream, pq.ParquetFile(stream, memory_map=False, pre_buffer=False) as file:
            yield file


def select(frame: Frame, types: Mapping[str, pa.DataType]) -> Frame:
    """Some columns of a frame, in that order, each in a type that its values fit."""
    if isinstance(frame, FileFrame):
        return frame.with_columns({name: (name, kind) for name, kind in types.items()})
    return pa.table({name: frame.column(name).cast(kind) for name, kind in types.items()})


def rename(frame: Frame, names: Mapping[str, str]) -> Frame:
    """A frame with other names for some columns."""
    if isinstance(frame, FileFrame):
        return frame.with_columns({names.get(old, old): (old, kind) for old, kind in frame.types().items()})
    assert isinstance(frame, pa.Table)
    return frame.rename_columns([names.get(name, name) for name in frame.column_names])


def types(frame: Frame) -> dict[str, pa.DataType]:
    """The type of each column."""
    if isinstance(frame, FileFrame):
        return frame.types()
    return {name: frame.column(name).type for name in frame.column_names}


def rows_at(frame: Frame, rows: Sequence[int]) -> list[dict[str, Any]]:
    """A few rows as Python values, counted from 0."""
    found: list[dict[str, Any]] = [{} for _ in rows]
    for name in frame.column_names:
        values = frame.column(name)
        for row, told in zip(rows, found, strict=True):
            told[name] = values[row].as_py()
    return found


def spooled(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path, owner: object = None) -> FileFrame:
    """What comes in batches, written into a file and read again from there; without columns whose types are not plain ones."""
    names = [field.name for field in schema if _is_plain(field)]
    kept = pa.schema([schema.field(name) for name in names])
    with pq.ParquetWriter(path, kept, compression="lz4") as writer:
        for batch in batches:
            writer.write_batch(batch.select(names).cast(kept))
    return FileFrame(path, owner)


def write(frame: Frame, sink: Any, *, group: int, **how: Any) -> None:
    """Write Parquet, so many rows a group; equal rows give equal bytes, in memory or not."""
    if isinstance(frame, FileFrame):
        schema = pa.schema(list(frame.types().items()))
        with pq.ParquetWriter(sink, schema, **how) as writer:
            for part in frame.groups(group):
                writer.write_table(part.combine_chunks(), row_group_size=group)
        return
    assert isinstance(frame, pa.Table)
    # One chunk: with many of them, pages begin in other places (seen with 50 chunks of 300 000 rows).
    pq.write_table(frame.combine_chunks(), sink, row_group_size=group, **how)


def batch_rows(width: int) -> int:
    """Rows to read at once of a table with so many columns."""
    return max(1, min(_MOST_ROWS, _BATCH_VALUES // max(1, width)))


def _plain_type(name: str, kind: pa.DataType) -> pa.DataType:
    return columns.plain(name, pa.chunked_array([pa.nulls(0, kind)])).type


def _is_plain(field: pa.Field) -> bool:
    try:
        _plain_type(field.name, field.type)
    except Invalid:
        return False
    return True
