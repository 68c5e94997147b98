# SPDX-License-Identifier: Apache-2.0
"""As of: for each label, the row of its entity that was known at its time.

In: events and labels, each with the columns of an entity and a time. Out: for each label the number of one event, or −1.
The rule, for training and serving alike. A row is *available* from its time plus a delay on. Of the entity's rows that
are available at the label's time, the latest counts; of several with one time, the one that stands last in the table.
If it is older than the time to live, counted from its own time, none counts: an older one would be staler still. A row
or label whose entity or time is null has no part in it. Times without a zone are in UTC.

Sorting is what it costs: entity and time are packed into one whole number where they fit, so that one sort does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.errors import Invalid

Ints = npt.NDArray[np.int64]

#: Raised when equal tables are joined otherwise than before, so that results which are kept are made again.
RULE = 1
NONE = -1
_BITS = 62
_RADIX = 16
# Finer than these, in this order, so that whole seconds take twenty bits fewer than the microseconds they are written in.
_UNITS = (1_000_000_000, 1_000_000, 1_000, 1)


def places(
    labels: pa.Table,
    events: pa.Table,
    *,
    entity: Sequence[str],
    label_time: str,
    event_time: str,
    delay_us: int = 0,
    ttl_us: int | None = None,
) -> Ints:
    """The number of the event that counts for each label; −1 where none does.

    Raises:
        Invalid: an entity's column is of different types on the two sides, or a time is none.
    """
    n = labels.num_rows
    found = np.full(n, NONE, np.int64)
    if not n or not events.num_rows:
        return found
    per_us, (asked, known) = _times((labels, label_time), (events, event_time))
    label_codes, event_codes, entities = _codes(labels, events, entity)
    wanted = np.flatnonzero((label_codes >= 0) & _valid(labels, label_time))
    rows = np.flatnonzero((event_codes >= 0) & _valid(events, event_time))
    if not len(wanted) or not len(rows):
        return found
    if len(rows) < events.num_rows:
        event_codes, known = event_codes[rows], known[rows]
    moments = asked[wanted] - delay_us * per_us
    chosen = _latest(label_codes[wanted], moments, event_codes, known, entities)
    if ttl_us is not None:
        age = asked[wanted] - known[chosen]
        chosen = np.where((chosen >= 0) & (age <= ttl_us * per_us), chosen, NONE)
    found[wanted] = np.where(chosen >= 0, rows[chosen], NONE)
    return found


def counting(
    chosen: Ints,
    labels: pa.Table,
    events: pa.Table,
    *,
    label_time: str,
    event_time: str,
    delay_us: int = 0,
    ttl_us: int | None = None,
) -> Ints:
    """Of the events that were ``chosen`` for the labels those that count at the labels' times; −1 for the others."""
    per_us, (asked, known) = _times((labels, label_time), (events, event_time))
    if not len(known):
        return chosen
    age = asked - known[np.maximum(chosen, 0)]
    does = (chosen >= 0) & _valid(labels, label_time) & (age >= delay_us * per_us)
    return np.where(does if ttl_us is None else does & (age <= ttl_us * per_us), chosen, NONE)


def take(events: pa.Table, columns: Sequence[str], chosen: Ints) -> list[pa.ChunkedArray]:
    """``columns`` of the chosen events; null where none was."""
    picks = pa.array(chosen, mask=chosen < 0)
    return [events[name].take(picks) for name in columns]


def _latest(codes: Ints, moments: Ints, event_codes: Ints, times: Ints, entities: int) -> Ints:
    """For each (code, moment) the last event of that code up to the moment: its number, or −1."""
    first, last = int(times.min()), int(times.max())
    unit = next(each for each in _UNITS if _divides(each, times - first))
    spans = (last - first) // unit
    if entities.bit_length() + spans.bit_length() > _BITS:
        unit, spans, times, moments = _ranked(times, moments)
        first = 0
    width = spans + 1
    order, keys = _sorted(event_codes, (times - first) // unit, width)
    steps = np.clip((moments - first) // unit, -1, spans)
    asked = codes * width + steps
    # In the order of the keys, a search goes on from where the last one ended instead of through the whole memory.
    by_key = np.argsort(asked)
    place = np.empty(len(asked), np.int64)
    place[by_key] = np.searchsorted(keys, asked[by_key], side="right") - 1
    hit = (place >= 0) & (steps >= 0)
    hit[hit] = keys[place[hit]] >= codes[hit] * width
    return np.where(hit, order[place], NONE)


def _divides(unit: int, spans: Ints) -> bool:
    # A look at a few is enough to say no.
    return not np.any(spans[:1000] % unit) and not np.any(spans % unit)


def _ranked(times: Ints, moments: Ints) -> tuple[int, int, Ints, Ints]:
    """Times by their rank, where their span leaves no room for the entity beside them."""
    different, ranks = np.unique(times, return_inverse=True)
    return 1, len(different) - 1, ranks.astype(np.int64), np.searchsorted(different, moments, side="right") - 1


def _sorted(codes: Ints, steps: Ints, width: int) -> tuple[Ints, Ints]:
    """Events by entity, then time, then their place in the table; and their keys in that order."""
    keys = codes * width + steps
    is_log = bool(np.all(steps[1:] >= steps[:-1]))
    # A log is mostly in the order of time, and then only the entities have to be sorted.
    order = _by_code(codes) if is_log else np.argsort(keys, kind="stable")
    return order, keys[order]


def _by_code(codes: Ints) -> Ints:
    """A stable order by code, digit by digit: numpy sorts numbers of 16 bits in linear time."""
    order: Ints | None = None
    left, shift = int(codes.max()), 0
    while order is None or left >> shift:
        digits = ((codes if order is None else codes[order]) >> shift).astype(np.uint16)
        step = np.argsort(digits, kind="stable")
        order = step if order is None else order[step]
        shift += _RADIX
    return order


def _codes(labels: pa.Table, events: pa.Table, entity: Sequence[str]) -> tuple[Ints, Ints, int]:
    """The labels' entities as whole numbers from 0 on, those of the events by the same, and how many there are; −1: an
    entity that no label has, or a null."""
    of_labels, of_events, count = np.zeros(labels.num_rows, np.int64), np.zeros(events.num_rows, np.int64), 1
    for name in entity:
        left, right = _alike(labels[name], events[name], name)
        values = left.unique().drop_null()
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        size = max(1, len(values))
        one, other = _numbers(left, values), _numbers(right, values)
        of_labels = np.where((of_labels < 0) | (one < 0), NONE, of_labels * size + one)
        of_events = np.where((of_events < 0) | (other < 0), NONE, of_events * size + other)
        count *= size
        if count > 1 << 31:
            of_labels, of_events, count = _dense(of_labels, of_events)
    return of_labels, of_events, count


def _numbers(column: pa.ChunkedArray, values: pa.Array) -> Ints:
    found = pc.index_in(column, value_set=values, skip_nulls=True)
    numbers: Ints = pc.fill_null(found, NONE).to_numpy().astype(np.int64)
    return numbers


def _dense(of_labels: Ints, of_events: Ints) -> tuple[Ints, Ints, int]:
    """The same entities numbered without gaps, before their product outgrows 64 bits."""
    different = np.unique(of_labels[of_labels >= 0])
    if not len(different):
        return of_labels, np.full(len(of_events), NONE, np.int64), 1

    def number(codes: Ints) -> Ints:
        place = np.searchsorted(different, codes)
        place[place == len(different)] = 0
        return np.where((codes >= 0) & (different[place] == codes), place, NONE)

    return number(of_labels), number(of_events), len(different)


def _alike(left: pa.ChunkedArray, right: pa.ChunkedArray, name: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    left, right = _plain(left), _plain(right)
    if left.type == right.type:
        return left, right
    for wanted in (left.type, right.type):
        try:
            # Whole numbers of different width are the same entity, a number and a text are not.
            if pa.types.is_integer(left.type) and pa.types.is_integer(right.type):
                return left.cast(pa.int64()), right.cast(pa.int64())
            if pa.types.is_null(left.type) or pa.types.is_null(right.type) or _are_times(left.type, right.type):
                return left.cast(wanted), right.cast(wanted)
        except pa.ArrowInvalid:
            continue
    raise Invalid(f"entity {name!r} is {left.type} on one side and {right.type} on the other; make them one type.")


def _are_times(left: pa.DataType, right: pa.DataType) -> bool:
    return all(pa.types.is_timestamp(each) or pa.types.is_date(each) for each in (left, right))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    return column


def _valid(table: pa.Table, name: str) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = pc.is_valid(table[name]).to_numpy()
    return valid


def _times(*sides: tuple[pa.Table, str]) -> tuple[int, list[Ints]]:
    """Both times as whole numbers of the finer unit of the two, and how many of it make a microsecond."""
    unit = "ns" if any(getattr(table[name].type, "unit", "") == "ns" for table, name in sides) else "us"
    return 1_000 if unit == "ns" else 1, [_instants(table[name], name, unit) for table, name in sides]


def _instants(column: pa.ChunkedArray, name: str, unit: str) -> Ints:
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type) or pa.types.is_null(column.type)):
        raise Invalid(f"time {name!r} is {column.type}; make it a timestamp or a date.")
    try:
        # The instant itself is kept, whatever zone it is shown in; without a zone it is one of UTC.
        instants: Any = column.cast(pa.timestamp(unit, getattr(column.type, "tz", None))).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise Invalid(f"time {name!r} holds moments that {unit} of 64 bits cannot hold: {error}.") from error
    numbers: Ints = pc.fill_null(instants, 0).to_numpy()
    return numbers
