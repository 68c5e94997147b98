# SPDX-License-Identifier: Apache-2.0
"""Tables: Arrow (also datasets and readers), pandas, Polars and DuckDB relations, as one canonical Parquet file.

The bytes do not say which library made the table (the artifact's kind does), so the same rows from pandas and from
Polars have one digest. Canonical: 64-bit-offset and view types become plain ones, dictionary indices 32 bits wide, no
schema metadata, one chunk layout, zstd, row groups of 1,048,576, content-defined pages so that a small change moves few
bytes. What comes as a stream (a dataset, a reader of batches, a relation) is written row group by row group, and is never
in memory whole. The file names the writer's version: an upgrade of pyarrow may change digests, never values.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid
from mainstay.engine.materialise import Artifact, materialiser
from mainstay.engine.platform import Blobs

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 1 << 20  # as of snapshots, and compressed as those are: what a batch and its snapshot share is kept once
_INDEX = b"mainstay.index"  # columns that were a pandas index
_KINDS = {("pyarrow", "Table"): "arrow", ("pandas", "DataFrame"): "pandas", ("polars", "DataFrame"): "polars"}
_ALSO = {
    ("pyarrow", "RecordBatch"): "arrow",
    ("pyarrow", "RecordBatchReader"): "arrow",
    ("pyarrow", "Dataset"): "arrow",
    ("polars", "LazyFrame"): "polars",
    ("duckdb", "DuckDBPyRelation"): "arrow",
    ("_duckdb", "DuckDBPyRelation"): "arrow",
}


@materialiser("arrow")
class Tables:
    """Reads as the library the consumer's annotation names, else as the one that wrote."""

    kinds = ("arrow", "pandas", "polars")

    def accepts(self, value: Any) -> bool:
        return _kind(type(value)) is not None

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        reader = _reader(value)
        if reader is not None:
            return _write_stream(reader, blobs)
        table = to_arrow(value)
        content = parquet(table)
        return Artifact(
            kind=_kind(type(value)) or "arrow", digest=blobs.put_blob(content), size=len(content), rows=table.num_rows
        )

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        import pyarrow.parquet as pq

        path = blobs.blob_path(artifact.digest)
        if _is_stream(wanted):
            import pyarrow.dataset as ds

            return as_wanted(ds.dataset(path, format="parquet"), wanted)
        return _table_as(pq.read_table(path, memory_map=True), wanted, artifact.kind)


def as_wanted(found: Any, wanted: Any) -> Any:
    """A dataset or a reader of batches as the type that a consumer's annotation names; an Arrow table if it names none."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    if isinstance(wanted, type) and issubclass(wanted, ds.Dataset):
        return found if isinstance(found, ds.Dataset) else ds.dataset(found.read_all())
    if isinstance(wanted, type) and issubclass(wanted, pa.RecordBatchReader):
        return found.scanner().to_reader() if isinstance(found, ds.Dataset) else found
    table = found.to_table() if isinstance(found, ds.Dataset) else found.read_all()
    return _table_as(_canonical(table), wanted, "arrow")


def to_arrow(value: Any) -> pa.Table:
    """The canonical Arrow table of any table that this family accepts.

    Raises:
        Invalid: two columns share a name, or a column mixes types.
    """
    import pyarrow as pa

    kind = _kind(type(value))
    if kind == "pandas":
        return _canonical(_from_pandas(value))
    if kind == "polars":
        frame = value.collect() if type(value).__name__ == "LazyFrame" else value
        return _canonical(frame.to_arrow())
    if isinstance(value, pa.RecordBatch):
        return _canonical(pa.Table.from_batches([value]))
    reader = _reader(value)
    return _canonical(value if reader is None else reader.read_all())


def parquet(table: pa.Table) -> bytes:
    """The one Parquet file of a canonical table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression="zstd",
        version="2.6",
        use_content_defined_chunking=True,
    )
    return sink.getvalue().to_pybytes()


def is_read_once(value: Any) -> bool:
    """Whether ``value`` is empty after it was read."""
    return "RecordBatchReader" in {each.__name__ for each in type(value).__mro__}


def spool(reader: pa.RecordBatchReader) -> Path:
    """What a reader gives, as a file of this process that can be read again and again; it is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="mainstay-table-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "table.parquet"
    _write_groups(reader, path)
    return path


def _write_stream(reader: pa.RecordBatchReader, blobs: Blobs) -> Artifact:
    with tempfile.TemporaryDirectory(prefix="mainstay-table-") as folder:
        path = Path(folder) / "table.parquet"
        rows = _write_groups(reader, path)
        return Artifact(kind="arrow", digest=blobs.put_blob(path), size=path.stat().st_size, rows=rows)


def _write_groups(reader: pa.RecordBatchReader, path: Path) -> int:
    """Write what a reader gives, holding one row group at a time; how many rows there were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    schema = _canonical(pa.Table.from_batches([], schema=reader.schema)).schema
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6", use_content_defined_chunking=True) as writer:
        for group in _groups(reader):
            rows += group.num_rows
            writer.write_table(_canonical(group), row_group_size=ROW_GROUP)
    return rows


def _groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows again, in tables of a row group each; the last one may be shorter."""
    import pyarrow as pa

    held: list[Any] = []
    count = 0
    for batch in reader:
        while count + batch.num_rows >= ROW_GROUP:
            need = ROW_GROUP - count
            yield pa.Table.from_batches([*held, batch.slice(0, need)], schema=reader.schema)
            batch, held, count = batch.slice(need), [], 0
        if batch.num_rows:
            held.append(batch)
            count += batch.num_rows
    if held:
        yield pa.Table.from_batches(held, schema=reader.schema)


def _reader(value: Any) -> Any:
    """A reader of batches for what need not be in memory whole; None for anything else."""
    names = {each.__name__ for each in type(value).__mro__}
    if "RecordBatchReader" in names:
        return value
    if "Dataset" in names:
        return value.scanner().to_reader()
    if "DuckDBPyRelation" not in names:
        return None
    found = value.arrow()  # a reader of batches, or in older versions a table
    return found if hasattr(found, "read_all") else found.to_reader()


def _is_stream(wanted: Any) -> bool:
    names = {each.__name__ for each in wanted.__mro__} if isinstance(wanted, type) else set()
    return bool(names & {"RecordBatchReader", "Dataset"}) and wanted.__module__.startswith("pyarrow")


def _table_as(table: pa.Table, wanted: Any, otherwise: str) -> Any:
    is_class = isinstance(wanted, type)
    kind = (_kind(wanted) if is_class else None) or otherwise
    if kind == "pandas":
        return _to_pandas(table)
    if kind == "polars":
        return _to_polars(table, is_lazy=is_class and wanted.__name__ == "LazyFrame")
    return table.replace_schema_metadata(None)


def _kind(cls: type) -> str | None:
    for each in cls.__mro__:
        place = (each.__module__.partition(".")[0], each.__name__)
        if place in _KINDS or place in _ALSO:
            return _KINDS.get(place) or _ALSO[place]
    return None


def _canonical(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    names = table.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(f"the table has more than one column {repeated[0]!r}; give each its own name.", columns=repeated)
    fields = [pa.field(field.name, _plain(field.type)) for field in table.schema]
    kept = {_INDEX: table.schema.metadata[_INDEX]} if _INDEX in (table.schema.metadata or {}) else None
    # Cut first, so that a chunk of text never exceeds what 32-bit offsets can reach.
    cut = pa.Table.from_batches(table.to_batches(max_chunksize=ROW_GROUP), schema=table.schema)
    canonical = (
        cut.cast(pa.schema(fields)).combine_chunks() if table.num_rows <= ROW_GROUP else cut.cast(pa.schema(fields))
    )
    return canonical.unify_dictionaries().replace_schema_metadata(kept)


def _plain(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return pa.dictionary(pa.int32(), _plain(kind.value_type), kind.ordered)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(each.name, _plain(each.type)) for each in kind])
    return kind


def _from_pandas(frame: Any) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    for name in frame.columns:
        if not isinstance(name, str):
            raise Invalid(
                f"column {name!r} of the frame is named by {type(name).__name__}; name columns by text.",
                column=repr(name),
            )
    is_plain = isinstance(frame.index, pd.RangeIndex) and frame.index.equals(pd.RangeIndex(len(frame)))
    if not is_plain:
        names = [name if name is not None else f"__index_{place}__" for place, name in enumerate(frame.index.names)]
        frame = frame.reset_index(names=names)
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise Invalid(
            f"the frame cannot be stored as a table: {'; '.join(map(str, error.args))}; make the column one type."
        ) from error
    return table.replace_schema_metadata(None if is_plain else {_INDEX: canonical_json(names)})


def _to_pandas(table: pa.Table) -> Any:
    index = (table.schema.metadata or {}).get(_INDEX)
    frame = table.replace_schema_metadata(None).to_pandas()
    if index is None:
        return frame
    names = json.loads(index)
    frame = frame.set_index(names)
    frame.index.names = [None if name.startswith("__index_") else name for name in names]
    return frame


def _to_polars(table: pa.Table, *, is_lazy: bool) -> Any:
    import polars as pl

    frame = pl.from_arrow(table.replace_schema_metadata(None))
    return frame.lazy() if is_lazy and isinstance(frame, pl.DataFrame) else frame
