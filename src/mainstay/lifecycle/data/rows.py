# SPDX-License-Identifier: Apache-2.0
"""Rows: which rows of two tables are new, gone or changed, told by a key.

In: the Parquet files of two tables, and the columns that name a row. Out: counts, the columns that changed, and the first
few rows of each kind. A key that stands twice cannot be paired: such rows are counted and named, and left out. Only the
key's columns are held whole; every other column is read, compared and let go one after the other, so the memory needed
is that of the key and of one column, whatever the table's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mainstay.domain.errors import Invalid, TooLarge
from mainstay.measures import keys

MOST_ROWS = 40_000_000
SHOWN = 20
LONGEST_VALUE = 200

Places = NDArray[np.int64]
Files = Sequence[Path]


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Rows of one side whose key stands there more than once: how many, and the first such keys."""

    rows: int
    keys: list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row that changed: its key, and what stood and stands in the columns that differ."""

    key: list[Any]
    columns: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, kw_only=True)
class RowChanges:
    """Rows by key. ``columns``: in how many rows each column changed, most first. Rows shown are the first ones."""

    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    same: int
    columns: dict[str, int]
    shown_added: list[dict[str, Any]]
    shown_removed: list[dict[str, Any]]
    shown_changed: list[Change]
    repeated_before: Repeated
    repeated_after: Repeated


@dataclass
class _Pairs:
    """Row numbers: paired ones side by side, and those that stand on one side only."""

    before: Places
    after: Places
    removed: Places
    added: Places
    repeated: tuple[Places, Places]
    key: tuple[pa.Table, pa.Table]
    differs: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.differs = np.zeros(len(self.before), dtype=bool)


def compare(before: Files, after: Files, key: Sequence[str], *, shown: int = SHOWN) -> RowChanges:
    """Pair the rows of two tables by ``key``.

    Raises:
        Invalid: a column of the key is missing on one side, or of another type there. TooLarge: too many rows.
    """
    pairs = _pair(_key(before, key), _key(after, key))
    there = [name for name in _names(after) if name in set(_names(before)) and name not in key]
    counts: dict[str, int] = {}
    values: dict[str, dict[int, tuple[Any, Any]]] = {}
    added, removed = _rows(pairs.key[1], pairs.added, shown), _rows(pairs.key[0], pairs.removed, shown)
    for name in there:
        old, new = _column(before, name), _column(after, name)
        _extend(removed, name, old, pairs.removed)
        _extend(added, name, new, pairs.added)
        counts[name], values[name] = _compare(pairs, old, new, shown)
    places = np.flatnonzero(pairs.differs)[:shown].tolist()
    keys_of = _values(pairs.key[0], pairs.before[places])
    changes = [
        Change(key=row, columns={name: found[place] for name, found in values.items() if place in found})
        for row, place in zip(keys_of, places, strict=True)
    ]
    changed = int(np.count_nonzero(pairs.differs))
    return RowChanges(
        key=tuple(key),
        added=len(pairs.added),
        removed=len(pairs.removed),
        changed=changed,
        same=len(pairs.before) - changed,
        columns={name: count for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count},
        shown_added=added,
        shown_removed=removed,
        shown_changed=changes,
        repeated_before=_repeated(pairs.key[0], pairs.repeated[0]),
        repeated_after=_repeated(pairs.key[1], pairs.repeated[1]),
    )


def _key(files: Files, key: Sequence[str]) -> pa.Table:
    rows = sum(pq.read_metadata(path).num_rows for path in files)
    if rows > MOST_ROWS:
        raise TooLarge(f"a table of {rows} rows is not compared row by row; at most {MOST_ROWS} are.", limit=MOST_ROWS)
    there = _names(files)
    if missing := [name for name in key if name not in there]:
        raise Invalid(f"there is no column {missing[0]!r} to be a key; the columns are {', '.join(there[:30])}.")
    return pa.concat_tables([_read(path, list(key)) for path in files]).combine_chunks()


def _pair(before: pa.Table, after: pa.Table) -> _Pairs:
    for old, new in zip(before.schema, after.schema, strict=True):
        if old.type != new.type:
            raise Invalid(f"column {old.name!r} is {old.type} before and {new.type} after; it cannot pair rows.")
    both = pa.concat_tables([before, after])
    codes = keys.number_rows(both.columns)
    old, new = codes[: len(before)], codes[len(before) :]
    one_old, first_old, count_old = np.unique(old, return_index=True, return_counts=True)
    one_new, first_new, count_new = np.unique(new, return_index=True, return_counts=True)
    twice = np.union1d(one_old[count_old > 1], one_new[count_new > 1])
    keep_old, keep_new = ~np.isin(one_old, twice), ~np.isin(one_new, twice)
    one_old, first_old, one_new, first_new = (
        one_old[keep_old],
        first_old[keep_old],
        one_new[keep_new],
        first_new[keep_new],
    )
    _, in_old, in_new = np.intersect1d(one_old, one_new, assume_unique=True, return_indices=True)
    order = np.argsort(first_old[in_old])
    return _Pairs(
        before=first_old[in_old][order],
        after=first_new[in_new][order],
        removed=np.sort(np.delete(first_old, in_old)),
        added=np.sort(np.delete(first_new, in_new)),
        repeated=(np.flatnonzero(np.isin(old, twice)), np.flatnonzero(np.isin(new, twice))),
        key=(before, after),
    )


def _compare(
    pairs: _Pairs, before: pa.ChunkedArray, after: pa.ChunkedArray, shown: int
) -> tuple[int, dict[int, tuple[Any, Any]]]:
    """In how many pairs a column differs, and the values of the first of them by place."""
    if before.type != after.type:
        return 0, {}  # another type is a change of the schema, said there
    old, new = before.take(pa.array(pairs.before)), after.take(pa.array(pairs.after))
    # Missing on one side only is a change; on both it is none.
    mask = pc.coalesce(pc.not_equal(old, new), pc.xor(pc.is_null(old), pc.is_null(new)))
    differs = mask.to_numpy()
    pairs.differs |= differs
    places = np.flatnonzero(differs)
    first = places[:shown].tolist()
    return len(places), {place: (_shown(old[place]), _shown(new[place])) for place in first}


def _rows(key: pa.Table, places: Places, shown: int) -> list[dict[str, Any]]:
    return [dict(zip(key.column_names, row, strict=True)) for row in _values(key, places[:shown])]


def _extend(rows: list[dict[str, Any]], name: str, values: pa.ChunkedArray, places: Places) -> None:
    for row, place in zip(rows, places.tolist(), strict=False):
        row[name] = _shown(values[place])


def _repeated(key: pa.Table, places: Places) -> Repeated:
    shown = list(dict.fromkeys(map(tuple, _values(key, places[: SHOWN * 10]))))[:SHOWN]
    return Repeated(rows=len(places), keys=[list(each) for each in shown])


def _values(key: pa.Table, places: Places) -> list[list[Any]]:
    return [[_shown(column[place]) for column in key.columns] for place in places.tolist()]


def _names(files: Files) -> list[str]:
    return list(pq.read_schema(files[0]).names)


def _column(files: Files, name: str) -> pa.ChunkedArray:
    return pa.concat_tables([_read(path, [name]) for path in files]).combine_chunks().column(0)


def _read(path: Path, names: list[str]) -> pa.Table:
    with path.open("rb") as stream:
        return pq.read_table(stream, columns=names)


def _shown(value: Any) -> Any:
    """A value as JSON can hold it; long texts are cut."""
    plain = value.as_py()
    if isinstance(plain, float) and plain not in (float("inf"), float("-inf")):
        return plain
    if plain is None or isinstance(plain, bool | int):
        return plain
    text = plain.isoformat() if isinstance(plain, date | datetime) else str(plain)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
