# SPDX-License-Identifier: Apache-2.0
"""On disk: an online table that is too large for memory, searched where it lies.

In: the table as the file that its digest names. Out: an entity's row, by the rule of `online`, in some ten microseconds and
without anybody to ask. The keys are sorted once and written beside the rows into two files without names, which the system
maps into memory as far as they are asked for and takes back when nobody holds them any more, also after a kill. They are made
anew at each start, of bytes that were proven: so there is nothing to keep in step.
"""

from __future__ import annotations

import mmap
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.domain.errors import Corrupt
from mainstay.features.definitions import Definition
from mainstay.features.online import UNKNOWN, Lifetime, instants, reader

_PLACE = "__place"
_BATCH = 64 << 10


class OnDisk:
    """A view's online table in files: entity → row, as `Online`."""

    def __init__(self, definition: Definition, source: Path, columns: Sequence[str]) -> None:
        """``columns``: the features that will be asked for. The files stand in the folder of ``source``.

        Raises:
            Corrupt: ``source`` is not such a table. OSError: there is no room for the files.
        """
        self.definition = definition
        self.columns = tuple(columns)
        try:
            keys = _in_order(pq.read_table(source, columns=list(definition.entity)))
            index = _kept(keys.schema, [keys], source.parent)
            del keys
            held = _kept(*_streamed(source, definition.time, columns), source.parent)
        except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError) as error:
            raise Corrupt(f"the online table of view {definition.name!r} cannot be read: {error}.") from error
        pa.default_memory_pool().release_unused()  # what sorting took
        self._parts = [reader(index[name]) for name in definition.entity]
        self._place = reader(index[_PLACE])
        self._when, *self._values = held.columns
        self._nothing = (None,) * len(self.columns)
        self._rows = index.num_rows
        self._lifetime = Lifetime(definition.delay_us, definition.ttl_us)

    def __len__(self) -> int:
        return self._rows

    def row(self, key: tuple[Any, ...], at_us: int) -> tuple[tuple[Any, ...], str | None]:
        """As `Online.row`."""
        place = self._found(key)
        if place is None:
            return self._nothing, UNKNOWN
        why = self._lifetime.lapse(self._when[place].as_py(), at_us)
        return (self._nothing, why) if why else (tuple([_value(column, place) for column in self._values]), None)

    def _found(self, key: tuple[Any, ...]) -> int | None:
        if None in key:
            return None
        if len(self._parts) == 1:
            part, wanted = self._parts[0], key[0]
            near = bisect_left(range(self._rows), wanted, key=part)
            is_it = near < self._rows and part(near) == wanted
        else:
            near = bisect_left(range(self._rows), key, key=self._key)
            is_it = near < self._rows and self._key(near) == key
        return int(self._place(near)) if is_it else None

    def _key(self, near: int) -> tuple[Any, ...]:
        return tuple([part(near) for part in self._parts])


def _value(column: pa.ChunkedArray, place: int) -> Any:
    value = column[place].as_py()
    # NaN is no value: it could not be sent over the wire.
    return None if value != value else value


def _in_order(keys: pa.Table) -> pa.Table:
    """The keys as Python orders them, each with its place in the table."""
    keys = _typed(keys, numbers=keys.column_names)
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return keys.take(order).append_column(_PLACE, order).combine_chunks()


def _streamed(source: Path, time: str, columns: Sequence[str]) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """The time of each row, a whole number of microseconds, and then the features."""
    file, names = pq.ParquetFile(source), [time, *columns]

    def typed(some: pa.Table) -> pa.Table:
        return _typed(some.select(names), numbers=[time])

    batches = file.iter_batches(_BATCH, columns=names)
    return typed(file.schema_arrow.empty_table()).schema, (typed(pa.Table.from_batches([each])) for each in batches)


def _kept(schema: pa.Schema, tables: Iterable[pa.Table], folder: Path) -> pa.Table:
    """The tables as one, in a file without a name."""
    with tempfile.TemporaryFile(dir=folder) as file:
        with pa.ipc.new_file(file, schema) as writer:
            for each in tables:
                writer.write_table(each)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()


def _typed(table: pa.Table, *, numbers: Sequence[str]) -> pa.Table:
    """Each column as its values are given out; the instants of ``numbers`` as whole microseconds, by which they are compared."""
    for place, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if pa.types.is_temporal(column.type):
            column = instants(column)
            column = column.cast(pa.int64()) if name in numbers else column
        table = table.set_column(place, name, column)
    return table
