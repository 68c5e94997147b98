# SPDX-License-Identifier: Apache-2.0
"""Online tables: of each entity the row that counts now, to be looked up one at a time.

In: a view's table and a *watermark*, the moment up to which it is known. Out: `latest`, a table with one row an entity, kept
as one immutable file; and `Online`, that file in memory, which answers by the same rule as a training table is made: a
row counts from its delay on, and no longer than its time to live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.domain.errors import Corrupt, Invalid
from mainstay.features import asof, definitions
from mainstay.features.definitions import Definition

#: Why a row of features is all null, for the log.
UNKNOWN, STALE, EARLY = "unknown", "stale", "early"

_ASKED = "__asked"
_UTC = pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def latest(definition: Definition, table: pa.Table, *, watermark: datetime) -> pa.Table:
    """One row an entity: the one that counts at ``watermark``, if one does.

    Raises:
        Invalid: the table is not what the definition says.
    """
    table = definitions.checked(definition, table)
    entities = table.group_by(list(definition.entity)).aggregate([]) if table.num_rows else table.slice(0, 0)
    asked = entities.append_column(_ASKED, pa.array([watermark] * entities.num_rows, pa.timestamp("us", "UTC")))
    chosen = asof.places(
        asked,
        table,
        entity=definition.entity,
        label_time=_ASKED,
        event_time=definition.time,
        delay_us=definition.delay_us,
        ttl_us=definition.ttl_us,
    )
    return table.take(pa.array(np.sort(chosen[chosen >= 0])))


class Online:
    """A view's online table in memory: entity → row."""

    def __init__(self, definition: Definition, data: bytes, columns: Sequence[str]) -> None:
        """``columns``: the features that will be asked for.

        Raises:
            Corrupt: ``data`` is not such a table.
        """
        self.definition = definition
        self.columns = tuple(columns)
        try:
            table = pq.read_table(pa.BufferReader(data), columns=[*definition.entity, definition.time, *columns])
            keys = [map(_key, table[name].to_pylist()) for name in definition.entity]
            self._when = _reader(_instants(table[definition.time]).cast(pa.int64()))
            self._values = tuple(_reader(table[name]) for name in columns)
        except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError, OSError) as error:
            raise Corrupt(f"the online table of view {definition.name!r} cannot be read: {error}.") from error
        # A table may have millions of rows: its cells stay in columns, and a key of one part stands bare.
        self._is_bare = len(keys) == 1
        whole = keys[0] if self._is_bare else zip(*keys, strict=True)
        self._places: dict[Any, int] = {key: place for place, key in enumerate(whole)}
        self._nothing = (None,) * len(self.columns)
        self._ttl_us, self._delay_us = definition.ttl_us, definition.delay_us

    def __len__(self) -> int:
        return len(self._places)

    def row(self, key: tuple[Any, ...], at_us: int) -> tuple[tuple[Any, ...], str | None]:
        """The features of an entity at a moment, in the order of ``columns``; and why they are null, if they are."""
        place = self._places.get(key[0] if self._is_bare else key)
        if place is None:
            return self._nothing, UNKNOWN
        known_us = self._when(place)
        if known_us + self._delay_us > at_us:
            return self._nothing, EARLY
        if self._ttl_us is not None and at_us - known_us > self._ttl_us:
            return self._nothing, STALE
        return tuple([value(place) for value in self._values]), None


def key_of(entity: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """The key by which an entity is looked up."""
    return tuple(_key(entity[name]) for name in names)


def rows_of(data: bytes, definition: Definition, entity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of an online table whose entity has these values, each whole.

    Raises:
        Invalid: a value is none of its column's type.
    """
    table = pq.read_table(pa.BufferReader(data))
    for name in definition.entity:
        column = table[name]
        try:
            table = table.filter(pc.equal(column, pa.scalar(entity[name]).cast(column.type)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Invalid(
                f"entity {name!r} is {str(entity[name])[:80]!r}; a value of type {column.type} is expected."
            ) from error
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _reader(column: pa.ChunkedArray) -> Callable[[int], Any]:
    """How to read one cell of a column as a plain value."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _reader(column.cast(kind.value_type))
    if pa.types.is_decimal(kind):
        return _reader(column.cast(pa.float64()))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        cells = (_instants(column) if pa.types.is_temporal(kind) else column).combine_chunks()
        return lambda place: cells[place].as_py()
    values = pc.fill_null(column, 0).to_numpy()
    if not column.null_count:
        return values.item
    valid = pc.is_valid(column).to_numpy()
    return lambda place: values.item(place) if valid[place] else None


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as instants in UTC; one without a zone is one of UTC."""
    return column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(_UTC)


def _key(value: Any) -> Any:
    """An instant is one entity however it is written."""
    if isinstance(value, datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    return value
