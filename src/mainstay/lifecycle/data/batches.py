# SPDX-License-Identifier: Apache-2.0
"""Batches: bytes from strangers, read into a plain table or refused with one sentence.

In: a verified file that claims to be Parquet or CSV. Out: an Arrow table whose columns have only the types of
``measures.columns``; of a large file a frame that decodes a column when it is asked for. So the same rows give the same bytes
later, whoever wrote the file. Everything is bounded before it is believed.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mainstay.domain.errors import Invalid, Malformed, TooLarge
from mainstay.measures import frames
from mainstay.measures.columns import plain
from mainstay.measures.frames import FileFrame, Frame

# What spreadsheets, R and pandas write for "no value". A quoted cell is always taken at its word.
CSV_NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
LONGEST_NAME = 250


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one batch may be at most. ``memory`` counts the decoded table in bytes: a small file can hold a large one. Up to
    ``at_hand`` bytes it is held in memory as a whole."""

    file: int = 2 << 30
    memory: int = 4 << 30
    at_hand: int = frames.AT_HAND
    rows: int = 50_000_000
    columns: int = 2_000


LIMITS = Limits()


def read(path: Path, *, format: str, as_text: Collection[str] = (), limits: Limits = LIMITS) -> Frame:
    """The rows of ``path``.

    Args:
        as_text: columns of a CSV that hold text even where every value looks like a number (``007``).

    A column of a CSV without any value has Arrow's null type here, since nothing tells what it would be.

    Raises:
        Malformed: the bytes are not of that format. TooLarge: more than a limit allows.
        Invalid: a format that is not known, or a column that a snapshot cannot hold.
    """
    readers: dict[str, Callable[[], Frame]] = {
        "parquet": lambda: _read_parquet(path, limits),
        "csv": lambda: _read_csv(path, as_text, limits),
    }
    if format not in readers:
        raise Invalid(f"format {format[:40]!r} is not known; a batch is 'parquet' or 'csv'.")
    _check_limit("file", path.stat().st_size, limits.file, "bytes")
    with _one_sentence(format):
        table = readers[format]()
    if isinstance(table, pa.Table):
        _check_limit("table", table.nbytes, limits.memory, "bytes")
        _check_shape(table.column_names, table.num_rows, limits)
        return pa.table({name: plain(name, table.column(name)) for name in table.column_names})
    return table


def _read_parquet(path: Path, limits: Limits) -> Frame:
    # Opened by us, so that a path can never be taken for an address, and read in slices, so that a bomb is noticed
    # early.
    with path.open("rb") as stream, pq.ParquetFile(stream, memory_map=False, pre_buffer=False) as file:
        _check_limit("file", file.metadata.num_columns, limits.columns, "columns")
        _check_limit("file", file.metadata.num_rows, limits.rows, "rows")
        batches, memory = list[pa.RecordBatch](), 0
        for batch in file.iter_batches(batch_size=frames.batch_rows(file.metadata.num_columns), use_threads=True):
            memory += batch.nbytes
            _check_limit("table", memory, limits.memory, "bytes")
            # Offsets and UTF-8 come from a stranger and are used without looking from here on.
            batch.validate(full=True)
            if memory > limits.at_hand:
                batches.clear()
            else:
                batches.append(batch)
        if memory <= limits.at_hand:
            return pa.Table.from_batches(batches, schema=file.schema_arrow)
        names = file.schema_arrow.names
        _check_shape(names, file.metadata.num_rows, limits)
    return FileFrame(path)


def _read_csv(path: Path, as_text: Collection[str], limits: Limits) -> Frame:
    _check_limit("file", _csv_columns(path), limits.columns, "columns")
    if path.stat().st_size > limits.at_hand:
        return _spool_csv(path, as_text, limits)
    with path.open("rb") as stream:
        return pyarrow.csv.read_csv(stream, **_options({name: pa.string() for name in as_text}))


def _spool_csv(path: Path, as_text: Collection[str], limits: Limits) -> FileFrame:
    """A file that is too large to hold: as texts first, whose columns one by one tell their types; then in those."""
    folder = tempfile.TemporaryDirectory(prefix="mainstay-batch-")
    with path.open("rb") as stream:
        names = pyarrow.csv.open_csv(stream, **_options({})).schema.names
    _check_shape(names, 0, limits)
    texts = _spooled(path, dict.fromkeys(names, pa.string()), Path(folder.name) / "texts.parquet", limits)
    types = {name: pa.string() if name in as_text else _csv_type(texts.column(name)) for name in names}
    return _spooled(path, types, Path(folder.name) / "rows.parquet", limits, owner=folder)


def _spooled(path: Path, types: Mapping[str, pa.DataType], to: Path, limits: Limits, owner: object = None) -> FileFrame:
    rows = memory = 0

    def bounded(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        nonlocal rows, memory
        for batch in reader:
            rows, memory = rows + batch.num_rows, memory + batch.nbytes
            _check_limit("table", rows, limits.rows, "rows")
            _check_limit("table", memory, limits.memory, "bytes")
            yield batch

    with path.open("rb") as stream, pyarrow.csv.open_csv(stream, **_options(types)) as reader:
        return frames.spooled(bounded(reader), reader.schema, to, owner)


def _csv_type(texts: pa.ChunkedArray) -> pa.DataType:
    """What all values of a column can be read as: asked of the reader itself, which alone knows."""
    sink = io.BytesIO()
    how = pyarrow.csv.WriteOptions(include_header=False, quoting_style="all_valid")
    pyarrow.csv.write_csv(pa.table({"values": texts}), sink, how)
    if not sink.tell():
        return pa.null()
    sink.seek(0)
    options = _options({})
    options["read_options"].column_names = ["values"]
    return pyarrow.csv.read_csv(sink, **options).column(0).type


def _options(types: Mapping[str, pa.DataType]) -> dict[str, Any]:
    return {
        "read_options": pyarrow.csv.ReadOptions(block_size=4 << 20),
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict(types),
            null_values=list(CSV_NULLS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }


def _csv_columns(path: Path) -> int:
    """At most how many columns the first line has, before anything is made for each of them."""
    with path.open("rb") as stream:
        return stream.readline(1 << 20).count(b",") + 1


def _check_shape(names: Sequence[str], rows: int, limits: Limits) -> None:
    _check_limit("table", len(names), limits.columns, "columns")
    _check_limit("table", rows, limits.rows, "rows")
    if not names:
        raise Invalid("the batch has no columns; a snapshot needs at least one.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"the batch has the column {twice[0]!r} twice; each name must stand once.", column=twice[0])
    for name in names:
        if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise Invalid(
                f"the batch has a column called {name[:60]!r}; a name has 1 to {LONGEST_NAME} printable characters "
                "and no space at either end."
            )


def _check_limit(what: str, found: int, most: int, unit: str) -> None:
    if found > most:
        sentence = f"the batch's {what} has {found} {unit}; at most {most} are taken. Split it."
        raise TooLarge(sentence, found=found, most=most)


@contextmanager
def _one_sentence(format: str) -> Iterator[None]:
    """Whatever the reader objects to, said in one sentence; nothing of the host is in it."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError) as error:
        plain = "".join(
            each if each.isprintable() else " " for each in str(error)
        )  # the reader quotes the bytes it met
        said = " ".join(plain.split())[:200].rstrip(".") or type(error).__name__
        name = {"parquet": "Parquet", "csv": "CSV"}[format]
        raise Malformed(f"the bytes handed in are not a readable {name} file: {said}. Write the file again.") from error
