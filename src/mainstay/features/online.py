# SPDX-License-Identifier: Apache-2.0
"""Online tables: of each entity the row that counts now, to be looked up one at a time.

In: a view's table and a *watermark*, the moment up to which it is known. Out: `latest`, a table with one row an entity. Two
hold it for who answers from it: `Online` has all of its rows in memory, `Cached` those that were lately asked for, of a
table that is larger. Both answer by the same rule as a training table is made: a row counts from its delay on, and no
longer than its time to live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.domain.errors import Corrupt
from mainstay.features import asof, definitions, rows
from mainstay.features.definitions import Definition

#: Why a row of features is all null, for the log.
UNKNOWN, STALE, EARLY = "unknown", "stale", "early"

#: What is remembered of one entity: when its row happened and the features; None: it has no row.
Known = tuple[int, tuple[Any, ...]] | None

_ASKED = "__asked"
_UTC = pa.timestamp("us", "UTC")


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


def answered(definition: Definition, table: pa.Table, asked: pa.Table, *, known_up_to: str, time: str) -> asof.Ints:
    """For each question the number of the row that an online table answers it with; −1: none.

    As `latest` at the watermark in column ``known_up_to``, and then a look-up at ``time``, where every question has its own.
    """
    rule: dict[str, Any] = {"event_time": definition.time, "delay_us": definition.delay_us, "ttl_us": definition.ttl_us}
    chosen = asof.places(asked, table, entity=definition.entity, label_time=known_up_to, **rule)
    return asof.counting(chosen, asked, table, label_time=time, **rule)


class Lifetime(NamedTuple):
    """From when on after its time a row counts, and until when, in microseconds; a ``ttl_us`` of None never ends."""

    delay_us: int
    ttl_us: int | None

    def lapse(self, known_us: int, at_us: int) -> str | None:
        """Why a row of ``known_us`` does not count at a moment; None: it does."""
        if known_us + self.delay_us > at_us:
            return EARLY
        return STALE if self.ttl_us is not None and at_us - known_us > self.ttl_us else None


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
            keys = [map(rows.plain, table[name].to_pylist()) for name in definition.entity]
            self._when = reader(instants(table[definition.time]).cast(pa.int64()))
            self._values = tuple(reader(table[name]) for name in columns)
        except (pa.ArrowInvalid, pa.ArrowKeyError, KeyError, OSError) as error:
            raise Corrupt(f"the online table of view {definition.name!r} cannot be read: {error}.") from error
        # A table may have millions of rows: its cells stay in columns, and a key of one part stands bare.
        self._is_bare = len(keys) == 1
        whole = keys[0] if self._is_bare else zip(*keys, strict=True)
        self._places: dict[Any, int] = {key: place for place, key in enumerate(whole)}
        self._nothing = (None,) * len(self.columns)
        self._lifetime = Lifetime(definition.delay_us, definition.ttl_us)

    def __len__(self) -> int:
        return len(self._places)

    def row(self, key: tuple[Any, ...], at_us: int) -> tuple[tuple[Any, ...], str | None]:
        """The features of an entity at a moment, in the order of ``columns``; and why they are null, if they are."""
        place = self._places.get(key[0] if self._is_bare else key)
        if place is None:
            return self._nothing, UNKNOWN
        why = self._lifetime.lapse(self._when(place), at_us)
        return (self._nothing, why) if why else (tuple([value(place) for value in self._values]), None)


class Cached:
    """The rows of a larger table that were asked for lately: entity → row. ``columns`` as for `Online`."""

    def __init__(
        self,
        definition: Definition,
        columns: Sequence[str],
        reader: rows.Reader,
        made: Sequence[str],
        *,
        most: int,
        former: Mapping[tuple[Any, ...], Known] | None = None,
    ) -> None:
        """``made``: every feature of the view, in the order of the cells. ``former``: rows that have not changed since."""
        self.definition = definition
        self.columns = tuple(columns)
        self.known: dict[tuple[Any, ...], Known] = dict(former or {})
        self._reader, self._most = reader, most
        self._chosen = [list(made).index(name) for name in columns]
        self._nothing = (None,) * len(self.columns)
        self._lifetime = Lifetime(definition.delay_us, definition.ttl_us)

    def __len__(self) -> int:
        return len(self.known)

    def lacking(self, keys: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The keys of which nothing is known here."""
        return [key for key in dict.fromkeys(keys) if key not in self.known]

    def remember(self, key: tuple[Any, ...], at_us: int | None, cells: str | None) -> None:
        """Keep what the table has for an entity, also that it has nothing; the one asked for longest ago goes."""
        self.known.pop(key, None)
        if len(self.known) >= self._most:
            del self.known[next(iter(self.known))]
        if at_us is None or cells is None:
            self.known[key] = None
            return
        row = self._reader.cells(cells)
        self.known[key] = at_us, tuple([row[place] for place in self._chosen])

    def row(self, key: tuple[Any, ...], at_us: int) -> tuple[tuple[Any, ...], str | None]:
        """As `Online.row`, of a key that is not lacking."""
        found = self.known[key] = self.known.pop(key)
        if found is None:
            return self._nothing, UNKNOWN
        why = self._lifetime.lapse(found[0], at_us)
        return (self._nothing, why) if why else (found[1], None)


def key_of(entity: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    """The key by which an entity is looked up."""
    return tuple(rows.plain(entity[name]) for name in names)


def reader(column: pa.ChunkedArray) -> Callable[[int], Any]:
    """How to read one cell of a column as a plain value."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return reader(column.cast(kind.value_type))
    if pa.types.is_decimal(kind):
        return reader(column.cast(pa.float64()))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        cells = (instants(column) if pa.types.is_temporal(kind) else column).combine_chunks()
        return lambda place: cells[place].as_py()
    values = pc.fill_null(column, 0).to_numpy()
    # NaN is no value either: it could not be sent over the wire.
    valid = ~pc.is_null(column, nan_is_null=True).to_numpy()
    if valid.all():
        return values.item
    return lambda place: values.item(place) if valid[place] else None


def instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as instants in UTC; one without a zone is one of UTC."""
    return column.cast(pa.timestamp("us", getattr(column.type, "tz", None))).cast(_UTC)
