# SPDX-License-Identifier: Apache-2.0
"""Readings: Arrow columns as plain numbers or as named values, and the fast way from a number to its cell.

In: one Arrow column of any type. Out: float64 values or (name, count) pairs, and how many rows were null or unreadable.
Every value is judged by itself, never by its neighbours in the chunk: otherwise a profile would depend on how the rows
were split, and would no longer add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: Rows worked on at a time: small enough that every pass stays in the second-level cache.
BLOCK = 1 << 15
#: Longer names are cut, so that a free-text column cannot fill a profile with essays.
NAME_LENGTH = 120
_SLOTS = 4096


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A column's values as float64 (NaN and infinities kept), and the rows that have none."""

    values: NDArray[np.float64]
    null: int = 0
    invalid: int = 0


@dataclass(frozen=True, kw_only=True)
class Names:
    """A column's values as text with their counts; a name may come twice. NaN counts as its own kind of missing."""

    pairs: tuple[pa.Array, NDArray[np.int64]]
    null: int = 0
    nan: int = 0
    invalid: int = 0


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_numbers(column: pa.ChunkedArray | pa.Array, kind: str) -> Numbers:
    """Values for a ``kind``: numbers as they are, text as its length in characters, times as seconds since 1970.

    Text in a numeric or datetime column is parsed value by value; what does not parse is ``invalid``, as is any other
    type.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_read_chunk(chunk, kind) for chunk in chunks]
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([part.values for part in parts]) if parts else np.empty(0)
    return Numbers(values=values, null=sum(p.null for p in parts), invalid=sum(p.invalid for p in parts))


def _read_chunk(chunk: pa.Array, kind: str) -> Numbers:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    null = chunk.null_count
    present = chunk.drop_null() if null else chunk
    if not len(present):
        return Numbers(values=np.empty(0), null=null)
    read: Callable[[pa.Array], NDArray[np.float64] | None]
    read = {"text": _lengths, "datetime": _seconds}.get(kind, _floats)
    values = read(present)
    if values is None:
        return Numbers(values=np.empty(0), null=null, invalid=len(present))
    return Numbers(values=values, null=null, invalid=len(present) - len(values))


def _lengths(present: pa.Array) -> NDArray[np.float64] | None:
    if not is_text(present.type):
        return None
    return _as_float(pc.utf8_length(present))


def _seconds(present: pa.Array) -> NDArray[np.float64] | None:
    if pa.types.is_timestamp(present.type) or pa.types.is_date(present.type):
        micros = present.cast(pa.timestamp("us", tz=getattr(present.type, "tz", None)), safe=False)
        return _as_float(micros.cast(pa.int64())) / 1e6
    return _parse(present, _parse_time) if is_text(present.type) else None


def _floats(present: pa.Array) -> NDArray[np.float64] | None:
    kind = present.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _as_float(present)
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return _as_float(present.cast(pa.float64(), safe=False))
    if pa.types.is_duration(kind):
        return _as_float(present.cast(pa.duration("us"), safe=False).cast(pa.int64())) / 1e6
    return _parse(present, float) if is_text(kind) else None


def _as_float(present: pa.Array) -> NDArray[np.float64]:
    return present.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def _parse_time(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _parse(present: pa.Array, read: Callable[[str], float]) -> NDArray[np.float64]:
    encoded = present.dictionary_encode()
    table = np.empty(len(encoded.dictionary), dtype=np.float64)
    readable = np.ones(len(table), dtype=bool)
    for i, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            table[i] = read(text)
        except (ValueError, OverflowError):
            readable[i] = False
    at = encoded.indices.to_numpy(zero_copy_only=False)
    found: NDArray[np.float64] = table[at[readable[at]]]
    return found


def read_names(chunk: pa.Array, kind: str = "category") -> Names:
    """The distinct values of ``chunk`` as text, with counts. For kind ``boolean`` 0 and 1 read as false and true."""
    nan = 0
    if pa.types.is_floating(chunk.type):
        is_nan = pc.fill_null(pc.is_nan(chunk), False)
        nan = pc.sum(is_nan).as_py() or 0
        chunk = chunk.filter(pc.invert(is_nan)) if nan else chunk
    try:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        names = pc.utf8_slice_codeunits(encoded.dictionary.cast(pa.string()), 0, NAME_LENGTH)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        empty = (pa.array([], pa.string()), np.empty(0, np.int64))
        return Names(pairs=empty, null=chunk.null_count, invalid=len(chunk) - chunk.null_count)
    indices = encoded.indices.drop_null().to_numpy(zero_copy_only=False)
    counts = np.bincount(indices, minlength=len(encoded.dictionary)).astype(np.int64)
    if kind == "boolean":
        names = pc.replace_with_mask(names, pc.fill_null(pc.equal(names, "0"), False), pa.scalar("false"))
        names = pc.replace_with_mask(names, pc.fill_null(pc.equal(names, "1"), False), pa.scalar("true"))
    used = (counts > 0) & names.is_valid().to_numpy(zero_copy_only=False)
    pairs = (names.filter(pa.array(used)), counts[used])
    return Names(pairs=pairs, null=len(chunk) - int(pairs[1].sum()), nan=nan)


def extremes(finite: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Least and greatest; -0.0 reads as 0.0, or the answer would depend on the order of the rows."""
    if not len(finite):
        return None, None
    return float(finite.min()) + 0.0, float(finite.max()) + 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup:
    """From a number to its cell by a table of equal slots between the outermost edges, instead of a binary search.

    A slot that holds no edge answers at once; values in a slot that an edge cuts are searched. Both the edges and the
    values find their slot by the same monotone arithmetic, so the cells are exactly those of ``searchsorted``.
    """

    edges: NDArray[np.float64]
    factor: float = 0.0
    cell_of_slot: NDArray[np.intp] | None = None
    is_cut: NDArray[np.bool_] | None = None


def make_lookup(edges: NDArray[np.float64]) -> Lookup:
    """The table for inner ``edges`` (ascending); few or strangely scaled edges get none and are searched."""
    if len(edges) < 3:
        return Lookup(edges=edges)
    with np.errstate(over="ignore"):
        factor = float((_SLOTS - 3) / (edges[-1] - edges[0]))
    if not (0.0 < factor < 1e300):
        return Lookup(edges=edges)
    at = _slots(edges, edges, factor)
    is_cut = np.zeros(_SLOTS, dtype=bool)
    is_cut[at] = True
    return Lookup(
        edges=edges, factor=factor, cell_of_slot=np.searchsorted(at, np.arange(_SLOTS), side="left"), is_cut=is_cut
    )


def _slots(values: NDArray[np.float64], edges: NDArray[np.float64], factor: float) -> NDArray[np.intp]:
    # Every step rounds monotonically; minimum and maximum come before the cast, for huge values would wrap in it.
    slots = (values - edges[0]) * factor
    slots += 1.0
    np.minimum(slots, _SLOTS - 1, out=slots)
    np.maximum(slots, 0.0, out=slots)
    return slots.astype(np.intp)


def count_cells(values: NDArray[np.float64], lookup: Lookup) -> NDArray[np.int64]:
    """How many of the finite ``values`` lie in each cell ``(edge, next edge]``; shape (edges + 1,)."""
    edges, size = lookup.edges, len(lookup.edges) + 1
    if lookup.cell_of_slot is None or lookup.is_cut is None:
        return np.bincount(np.searchsorted(edges, values, side="left"), minlength=size).astype(np.int64)
    with np.errstate(over="ignore"):
        slots = _slots(values, edges, lookup.factor)
    per_slot = np.bincount(slots, minlength=_SLOTS)
    # Rows of cut slots are searched; their slots are emptied so that nothing counts twice.
    if per_slot[lookup.is_cut].any():
        cut = values[lookup.is_cut[slots]]
        per_slot[lookup.is_cut] = 0
        exact = np.bincount(np.searchsorted(edges, cut, side="left"), minlength=size)
    else:
        exact = np.zeros(size, dtype=np.intp)
    whole = np.bincount(lookup.cell_of_slot, weights=per_slot, minlength=size).astype(np.int64)
    found: NDArray[np.int64] = whole + exact
    return found
