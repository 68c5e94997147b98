# SPDX-License-Identifier: Apache-2.0
"""Rows: an online table as it is kept in a database and travels, key by key; and what changed from one table to the next.

In: two tables of one view with one row an entity. Out: a `Row` for each entity that is new or has other cells, and one
without cells for each that is gone. A refresh writes these and nothing else, however large the table is. Key and cells are
JSON lists, in which an instant is a whole number of microseconds and so the same however it was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Invalid
from mainstay.features import asof
from mainstay.features.definitions import Definition

#: An index of a database takes no longer ones.
LONGEST_KEY = 1_000

_UTC = pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CHUNK = 10_000
_SAME_TIME = "__same"
# JSON has no infinity, and a feature may be one.
_INFINITE = {float("inf"): "inf", float("-inf"): "-inf"}
_READ_AS: dict[str, Any] = {
    "float": float | Literal["inf", "-inf"],
    "int": int,
    "str": str,
    "bool": bool,
    "datetime": int,
}
_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """An entity's key, when its row happened, and the features in the view's order; the two are None when it is gone."""

    key: str
    at_us: int | None
    cells: str | None


def changed(definition: Definition, before: pa.Table | None, after: pa.Table, columns: Sequence[str]) -> Iterator[Row]:
    """What turns the rows of ``before`` into those of ``after``."""
    names = (*definition.entity, definition.time, *columns)
    after = after.select(names)
    if before is None or not before.num_rows:
        yield from _rows(definition, after, columns)
        return
    before = before.select(names)
    places = _places(definition, after, before)
    same = places >= 0
    for name in (definition.time, *columns):
        same &= _equal(after[name], before[name].take(pa.array(np.maximum(places, 0))))
    yield from _rows(definition, after.filter(pa.array(~same)), columns)
    gone = before.filter(pa.array(_places(definition, before, after) < 0))
    yield from (row._replace(at_us=None, cells=None) for row in _rows(definition, gone, ()))


def key_text(key: Sequence[Any]) -> str:
    """The key of an entity as it is kept.

    >>> key_text([7, "x"])
    '[7,"x"]'
    """
    return _encode([plain(value) for value in key]).decode()


def plain(value: Any) -> Any:
    """An instant is one entity however it is written."""
    if isinstance(value, datetime):
        return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    return (value - _EPOCH.date()) // _MICROSECOND if isinstance(value, date) else value


def read(kind: str, value: Any, name: str) -> Any:
    """A part of a key as somebody typed it, or as it came in JSON.

    Raises:
        Invalid: it is none of its type.
    """
    try:
        if kind == "datetime":
            return plain(value if isinstance(value, datetime) else from_wire(value))
        if isinstance(value, str) and kind in ("int", "bool"):
            value = msgspec.json.decode(value)
        return msgspec.convert(value, _READ_AS[kind])
    except (msgspec.MsgspecError, Invalid, TypeError) as error:
        raise Invalid(f"entity {name!r} is {str(value)[:80]!r}; a value of type {kind} is expected.") from error


def as_time(at_us: int) -> datetime:
    """The instant of a key or a row."""
    return _EPOCH + at_us * _MICROSECOND


def plain_cells(column: pa.ChunkedArray) -> list[Any]:
    """A column's values as a request would bring them: null for NaN, instants in UTC."""
    column = _decoded(column)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(_UTC)
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    found: list[Any] = column.to_pylist()
    return [None if value != value else value for value in found]


class Reader:
    """Reads keys and cells back, for one version of a view."""

    def __init__(self, entity: Sequence[Mapping[str, str]], columns: Sequence[Mapping[str, str]]) -> None:
        self._key = msgspec.json.Decoder(tuple[tuple(_READ_AS[each["type"]] for each in entity)])  # type: ignore[misc]
        # A null stands in every column.
        self._cells = msgspec.json.Decoder(tuple[tuple(_READ_AS[each["type"]] | None for each in columns)])  # type: ignore[misc]
        self._made = [_MAKE.get(each["type"]) for each in columns]

    def key(self, text: str) -> tuple[Any, ...]:
        """The parts of a key, instants as microseconds.

        Raises:
            Invalid: it is none of this view.
        """
        try:
            return self._key.decode(text)
        except msgspec.MsgspecError as error:
            raise Invalid(f"{text[:80]!r} is no key of an entity of this view: {error}.") from None

    def cells(self, text: str) -> tuple[Any, ...]:
        """The features in the view's order.

        Raises:
            Invalid: they are none of this view.
        """
        try:
            found = self._cells.decode(text)
        except msgspec.MsgspecError as error:
            raise Invalid(f"{text[:80]!r} are no features of this view: {error}.") from None
        return tuple(
            value if make is None or value is None else make(value)
            for value, make in zip(found, self._made, strict=True)
        )


_MAKE: dict[str, Any] = {"float": float, "datetime": lambda us: _EPOCH + us * _MICROSECOND}


def _rows(definition: Definition, table: pa.Table, columns: Sequence[str]) -> Iterator[Row]:
    for start in range(0, table.num_rows, _CHUNK):
        part = table.slice(start, _CHUNK)
        keys = zip(*(_cells(part[name]) for name in definition.entity), strict=True)
        cells = zip(*(_cells(part[name]) for name in columns), strict=True) if columns else [()] * part.num_rows
        for key, at_us, row in zip(keys, _cells(part[definition.time]), cells, strict=True):
            yield Row(_encode(key).decode(), at_us, _encode(row).decode())


def _cells(column: pa.ChunkedArray) -> list[Any]:
    column = _decoded(column)
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(_UTC).cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    found: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column)).as_py():
        return [value if value is None else _INFINITE.get(value, value) for value in found]
    return found


def _places(definition: Definition, asked: pa.Table, known: pa.Table) -> npt.NDArray[np.int64]:
    """Of each row the one with its entity in the other table; −1: none."""
    moment = pa.scalar(0, pa.int64()).cast(_UTC)
    one, other = (
        table.select(definition.entity).append_column(_SAME_TIME, pa.repeat(moment, table.num_rows))
        for table in (asked, known)
    )
    return asof.places(one, other, entity=definition.entity, label_time=_SAME_TIME, event_time=_SAME_TIME)


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    one, other = _decoded(one), _decoded(other)
    if one.type != other.type:
        return np.zeros(len(one), bool)
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    found: npt.NDArray[np.bool_] = pc.or_(pc.fill_null(pc.equal(one, other), False), both_null).to_numpy()
    return found


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
