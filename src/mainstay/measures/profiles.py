# SPDX-License-Identifier: Apache-2.0
"""Profiles: what a batch of rows looked like, as exact integers that add up.

In: a table and the ``ReferenceSpec`` that fixes the cells. Out: a ``Profile``. Merging is addition, with no random
state and no sketch error: any split of the rows, profiled anywhere and merged in any order, gives the same bytes as
one pass. ``describe`` turns a profile into a summary for people.

How the two awkward parts stay exact. Sums are of fixed-point numbers, so addition is associative. Names of unseen
categories are kept by least CRC-32, not by frequency: the 256 kept of a union are always among the 256 kept of the
parts, so their counts are exact, which the most frequent ones' could not be.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.domain.errors import Invalid
from mainstay.measures import readings
from mainstay.measures.frames import Frame
from mainstay.measures.specs import (
    FIRST,
    FIXED_BITS,
    KINDS,
    SCORE_CELLS,
    SPECIALS,
    ColumnSpec,
    ReferenceSpec,
    hash_cell,
    infer_spec,
)

__all__ = [
    "KINDS",
    "SPECIALS",
    "ColumnProfile",
    "ColumnSpec",
    "Profile",
    "ReferenceSpec",
    "describe",
    "infer_spec",
    "merge",
    "merge_all",
    "profile",
]

NEW_NAMES = 256
SHOWN_NEW_NAMES = 32
BARS = 32
_ABSENT, _INVALID, _NULL, _NAN, _BELOW_ALL, _ABOVE_ALL = range(FIRST)
_CLIP = float(1 << FIXED_BITS)
_SQUARES = 4096
_THREADED_ROWS = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ColumnProfile:
    """One column's counts over its spec's cells, and its exact sums.

    ``total`` and ``squares`` are the sums of the fixed-point values and of their squares (whole numbers of any size);
    ``clipped`` says how many values were too far out to enter them whole. ``low`` and ``high``: finite extremes.
    ``new`` counts values the reference never held, by name; at most 256 names.
    """

    counts: NDArray[np.int64]
    total: int = 0
    squares: int = 0
    clipped: int = 0
    low: float | None = None
    high: float | None = None
    new: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; counts are written sparsely where most cells are empty."""
        at = np.flatnonzero(self.counts)
        sparse = len(at) * 2 < len(self.counts)
        counts: Any = self.counts.tolist()
        if sparse:
            counts = {"size": len(self.counts), "at": at.tolist(), "n": self.counts[at].tolist()}
        return {
            "counts": counts,
            "total": self.total,
            "squares": self.squares,
            "clipped": self.clipped,
            "low": self.low,
            "high": self.high,
            "new": dict(sorted(self.new.items())),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ColumnProfile:
        """The column that ``to_json`` wrote."""
        raw = data["counts"]
        if isinstance(raw, Mapping):
            counts = np.zeros(raw["size"], dtype=np.int64)
            counts[raw["at"]] = raw["n"]
        else:
            counts = np.asarray(raw, dtype=np.int64)
        rest = {key: data[key] for key in ("total", "squares", "clipped")}
        rest |= {key: None if data[key] is None else float(data[key]) for key in ("low", "high")}
        return ColumnProfile(counts=counts, new=dict(data["new"]), **rest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """``n`` rows, counted in the cells of the spec with digest ``spec``."""

    spec: str
    n: int
    columns: Mapping[str, ColumnProfile]

    @staticmethod
    def empty(spec: ReferenceSpec) -> Profile:
        """The profile of no rows: merging it changes nothing."""
        return Profile(spec=spec.digest(), n=0, columns={column.name: _empty(column) for column in spec.columns})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.spec, self.n))

    def null_share(self, name: str) -> float:
        """Share of the rows whose value is null or NaN; 0 for no rows."""
        counts = self.columns[name].counts
        return float(counts[_NULL] + counts[_NAN]) / self.n if self.n else 0.0

    def to_json(self) -> dict[str, Any]:
        """A plain JSON object; equal profiles give equal objects."""
        columns = {name: column.to_json() for name, column in self.columns.items()}
        return {"form": 1, "spec": self.spec, "n": self.n, "columns": columns}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Profile:
        """The profile that ``to_json`` wrote. Raises Invalid for a form this version does not know."""
        if data.get("form") != 1:
            raise Invalid(f"profile has form {data.get('form')!r}; this version reads form 1.")
        columns = {name: ColumnProfile.from_json(column) for name, column in data["columns"].items()}
        return Profile(spec=data["spec"], n=data["n"], columns=columns)


def null_share(found: ColumnProfile) -> float | None:
    """Share of a column's rows whose value is null or NaN; None for no rows."""
    rows = int(found.counts.sum())
    return float(found.counts[_NULL] + found.counts[_NAN]) / rows if rows else None


def _empty(column: ColumnSpec) -> ColumnProfile:
    return ColumnProfile(counts=np.zeros(column.size, dtype=np.int64), new={})


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of the rows of ``a`` and of ``b`` together: exact, commutative, associative.

    Raises:
        Invalid: they were counted in different cells.
    """
    if a.spec != b.spec:
        raise Invalid(
            f"cannot merge a profile counted by spec {a.spec[:12]} with one by {b.spec[:12]}; use one spec.",
            specs=[a.spec, b.spec],
        )
    return Profile(
        spec=a.spec, n=a.n + b.n, columns={name: _merge_columns(a.columns[name], b.columns[name]) for name in a.columns}
    )


def merge_all(spec: ReferenceSpec, profiles: Iterable[Profile]) -> Profile:
    """All of ``profiles`` as one; the empty profile if there are none."""
    return reduce(merge, profiles, Profile.empty(spec))


def _merge_columns(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    lows = [x for x in (a.low, b.low) if x is not None]
    highs = [x for x in (a.high, b.high) if x is not None]
    return ColumnProfile(
        counts=a.counts + b.counts,
        total=a.total + b.total,
        squares=a.squares + b.squares,
        clipped=a.clipped + b.clipped,
        low=min(lows, default=None),
        high=max(highs, default=None),
        new=_keep_new([*a.new.items(), *b.new.items()]),
    )


def _keep_new(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, n in pairs:
        counts[name] = counts.get(name, 0) + n
    if len(counts) <= NEW_NAMES:
        return counts
    kept = sorted(counts, key=lambda name: (zlib.crc32(name.encode()), name))[:NEW_NAMES]
    return {name: counts[name] for name in kept}


def profile(table: Frame, spec: ReferenceSpec, *, threads: int = 2) -> Profile:
    """Count the rows of ``table`` in the cells of ``spec``; columns the spec does not know are left aside.

    A column that is missing counts every row as ``absent``; values of a type that does not fit count as ``invalid``:
    both are findings, not errors. Cost: about 10 ns per number and thread.
    """
    known = set(table.column_names)

    def count(column: ColumnSpec) -> ColumnProfile:
        values = table.column(column.name) if column.name in known else None
        return _count_column(values, column, table.num_rows)

    if threads > 1 and table.num_rows >= _THREADED_ROWS and len(spec.columns) > 1:
        with ThreadPoolExecutor(threads) as pool:
            counted = list(pool.map(count, spec.columns))
    else:
        counted = [count(column) for column in spec.columns]
    columns = {column.name: found for column, found in zip(spec.columns, counted, strict=True)}
    return Profile(spec=spec.digest(), n=table.num_rows, columns=columns)


def _count_column(values: pa.ChunkedArray | None, column: ColumnSpec, rows: int) -> ColumnProfile:
    if values is None:
        counts = np.zeros(column.size, dtype=np.int64)
        counts[_ABSENT] = rows
        return ColumnProfile(counts=counts, new={})
    count = _count_names if column.new_cell is not None else _count_numbers
    return reduce(_merge_columns, (count(chunk, column) for chunk in values.chunks), _empty(column))


def _count_names(chunk: pa.Array, column: ColumnSpec) -> ColumnProfile:
    read = readings.read_names(chunk, column.kind)
    names, n = read.pairs
    counts = np.zeros(column.size, dtype=np.int64)
    counts[[_INVALID, _NULL, _NAN]] = read.invalid, read.null, read.nan
    known, cells = column.cell_of_name
    at = pc.fill_null(pc.index_in(names, value_set=known), -1).to_numpy(zero_copy_only=False)
    is_known = at >= 0
    np.add.at(counts, cells[at[is_known]], n[is_known])
    fresh = zip(names.filter(pa.array(~is_known)).to_pylist(), n[~is_known].tolist(), strict=True)
    if column.is_open:
        first_hash = FIRST + len(column.categories)
        for name, times in fresh:
            counts[first_hash + hash_cell(name)] += times
        return ColumnProfile(counts=counts, new={})
    new = _keep_new(fresh)
    counts[-1] = n[~is_known].sum()
    return ColumnProfile(counts=counts, new=new)


def _count_numbers(chunk: pa.Array, column: ColumnSpec) -> ColumnProfile:
    read = readings.read_numbers(chunk, column.kind)
    counts = np.zeros(column.size, dtype=np.int64)
    counts[[_INVALID, _NULL]] = read.invalid, read.null
    found = ColumnProfile(counts=counts, new={})
    for start in range(0, len(read.values), readings.BLOCK):
        found = _merge_columns(found, _count_block(read.values[start : start + readings.BLOCK], column))
    return found


def _count_block(values: NDArray[np.float64], column: ColumnSpec) -> ColumnProfile:
    counts = np.zeros(column.size, dtype=np.int64)
    low, high = readings.extremes(values)
    assert low is not None and high is not None
    if not (math.isfinite(low) and math.isfinite(high)):
        counts[_NAN] = np.isnan(values).sum()
        counts[_BELOW_ALL] = (values == -np.inf).sum()
        counts[_ABOVE_ALL] = (values == np.inf).sum()
        values = values[np.isfinite(values)]
        low, high = readings.extremes(values)
    if low is None or high is None:
        return ColumnProfile(counts=counts, new={})
    _place(counts, values, low, high, column)
    if column.kind == "datetime":
        return ColumnProfile(counts=counts, low=low, high=high, new={})
    total, squares, clipped = _sum_exactly(values, column)
    return ColumnProfile(counts=counts, total=total, squares=squares, clipped=clipped, low=low, high=high, new={})


def _place(counts: NDArray[np.int64], values: NDArray[np.float64], low: float, high: float, column: ColumnSpec) -> None:
    if column.kind == "datetime":
        counts[FIRST:] = _count_clock(values)
        return
    if column.low is None or column.high is None:
        counts[-1] = len(values)
        return
    least, most = (0.0, 1.0) if column.kind == "score" else (column.low, column.high)
    below = int((values < least).sum()) if low < least else 0
    above = int((values > most).sum()) if high > most else 0
    counts[FIRST], counts[-1] = below, above
    if column.kind == "score":
        inside = values if not below + above else values[(values >= least) & (values <= most)]
        counts[FIRST + 1 : -1] = np.bincount(score_cells(inside), minlength=SCORE_CELLS)
        return
    counts[FIRST + 1 : -1] = readings.count_cells(values, column.lookup)
    # Values outside the reference were counted in the outermost cells on the way; they have cells of their own.
    counts[FIRST + 1] -= below
    counts[-2] -= above


def score_cells(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which of the 1024 equal cells of [0, 1] each score lies in; 1.0 belongs to the last."""
    return np.minimum((scores * SCORE_CELLS).astype(np.intp), SCORE_CELLS - 1)


def _count_clock(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    quarter = np.floor(seconds / 21_600.0)
    # 1 January 1970 was a Thursday, the fourth day of an ISO week.
    cells = np.mod(quarter + 12.0, 28.0).astype(np.intp)
    return np.bincount(cells, minlength=28).astype(np.int64)


def _sum_exactly(values: NDArray[np.float64], column: ColumnSpec) -> tuple[int, int, int]:
    with np.errstate(over="ignore"):
        fixed = np.rint((values - column.centre) * 2.0**column.exponent)
    clipped = 0
    if len(fixed) and max(float(fixed.max()), -float(fixed.min())) > _CLIP:
        clipped = int((np.abs(fixed) > _CLIP).sum())
        np.clip(fixed, -_CLIP, _CLIP, out=fixed)
    # 2^40 times 4096 is below 2^53: each partial sum of squares is a whole number that a double holds exactly.
    starts = range(0, len(fixed), _SQUARES)
    squares = sum(int(np.dot(part, part)) for part in (fixed[i : i + _SQUARES] for i in starts))
    return int(fixed.sum()), squares, clipped


# ---------------------------------------------------------------- for people


def describe(profile: Profile, spec: ReferenceSpec) -> dict[str, Any]:
    """A JSON summary per column for people: counts, moments, quantiles, categories, and bars to draw.

    Bars depend on the spec alone, so a baseline and a window described with one spec can be drawn over each other.
    Their counts are read off the exact cells as if values were even within a cell, so they may be fractions;
    ``cells`` holds the exact ones. Values beyond the drawn range stand in the first and last bar.
    """
    _refuse_other_spec(profile, spec)
    columns = {column.name: _describe_column(profile.columns[column.name], column) for column in spec.columns}
    return {"n": profile.n, "columns": columns}


def _refuse_other_spec(profile: Profile, spec: ReferenceSpec) -> None:
    if profile.spec != spec.digest():
        raise Invalid(
            f"profile was counted by spec {profile.spec[:12]}, not by {spec.digest()[:12]}; give its own spec."
        )


def _describe_column(found: ColumnProfile, column: ColumnSpec) -> dict[str, Any]:
    n = int(found.counts.sum())
    present = int(found.counts[FIRST:].sum())
    missing = int(found.counts[_NULL] + found.counts[_NAN])
    summary: dict[str, Any] = {
        "kind": column.kind,
        "n": n,
        "n_present": present,
        "null_share": missing / n if n else None,
        "special": {name: int(c) for name, c in zip(SPECIALS, found.counts[:FIRST], strict=True) if c},
    }
    if column.is_ordered:
        return summary | _describe_numbers(found, column, present)
    if column.kind == "datetime":
        low, high = (None if x is None else datetime.fromtimestamp(x, UTC).isoformat() for x in (found.low, found.high))
        return summary | {"min": low, "max": high, "categories": _shares(found, column, present)}
    return summary | _describe_names(found, column, present)


def moments(found: ColumnProfile, column: ColumnSpec) -> tuple[float | None, float | None]:
    """Mean and standard deviation of the finite values; None where there are too few. Far outliers enter clipped."""
    n = int(found.counts[FIRST:].sum())
    if n == 0 or not column.is_ordered:
        return None, None
    unit = 2.0**-column.exponent
    mean = column.centre + found.total / n * unit
    if n == 1:
        return mean, None
    # In whole numbers, for the difference of two large equal squares is where floating point loses everything.
    spread = max(0, n * found.squares - found.total**2)
    return mean, math.sqrt(spread / n / (n - 1)) * unit


def _describe_numbers(found: ColumnProfile, column: ColumnSpec, present: int) -> dict[str, Any]:
    mean, sd = moments(found, column)
    counts = found.counts[FIRST:]
    shares = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    points = {f"p{round(share * 100):02d}": _quantile(found, column, share) for share in shares} if present else {}
    drawn = _draw_bars(found, column)
    return {
        "mean": mean,
        "sd": sd,
        "min": found.low,
        "max": found.high,
        "clipped": found.clipped,
        "out_of_range_share": float(counts[0] + counts[-1]) / present if present else None,
        "quantiles": points,
        "histogram": drawn,
    }


def _quantile(found: ColumnProfile, column: ColumnSpec, share: float) -> float | None:
    assert found.low is not None and found.high is not None
    counts = found.counts[FIRST:]
    bounds = np.array([min(found.low, column.bounds[0]), *column.bounds, max(found.high, column.bounds[-1])])
    if column.low is None:
        bounds = np.array([found.low, found.low, found.low, found.high])
    bounds = np.clip(bounds, found.low, found.high)
    target = share * counts.sum()
    before = np.concatenate([[0], np.cumsum(counts)])
    cell = min(int(np.searchsorted(before, target, side="left")), len(counts)) - 1 if target > 0 else 0
    part = (target - before[cell]) / counts[cell] if counts[cell] else 0.0
    # Weighted ends, not low + part * width: the width of (-1e308, 1e308) does not fit a double.
    return float(bounds[cell] * (1.0 - part) + bounds[cell + 1] * part)


def _draw_bars(found: ColumnProfile, column: ColumnSpec) -> dict[str, Any]:
    counts = found.counts[FIRST:].astype(np.float64)
    if column.kind == "score":
        bars = counts[1:-1].reshape(BARS, -1).sum(axis=1)
        bars[0] += counts[0]
        bars[-1] += counts[-1]
        return {"edges": (np.arange(BARS + 1) / BARS).tolist(), "counts": bars.tolist()}
    exact = {"edges": list(column.bounds), "counts": found.counts[FIRST + 1 : -1].tolist()}
    exact |= {"below": int(counts[0]), "above": int(counts[-1])}
    first, last = _drawn_range(column)
    if not (math.isfinite(last - first) and last > first):
        return {"edges": [first, first], "counts": [float(counts.sum())], "cells": exact}
    edges = np.linspace(first, last, BARS + 1)
    below = np.interp(edges, *_distribution(column, counts))
    below[0], below[-1] = 0.0, counts.sum()
    return {"edges": edges.tolist(), "counts": np.round(np.diff(below), 6).tolist(), "cells": exact}


def _drawn_range(column: ColumnSpec) -> tuple[float, float]:
    """The middle 98 % of the reference and half as much again at either side, within its extremes."""
    bounds = column.bounds
    inner = column.edges[1:-1] if len(column.edges) > 4 else column.edges or bounds
    half = (inner[-1] / 2 - inner[0] / 2) or (bounds[-1] / 2 - bounds[0] / 2)
    return max(bounds[0], inner[0] - half), min(bounds[-1], inner[-1] + half)


def _distribution(column: ColumnSpec, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (value, rows at or below), the inner cells' bounds; rows below the first bound count before it."""
    at = np.asarray(column.bounds)
    return at, np.cumsum(counts)[: len(at)]


def _shares(found: ColumnProfile, column: ColumnSpec, present: int) -> list[dict[str, Any]]:
    names, counts = column.cell_names[FIRST:], found.counts[FIRST:].tolist()
    return [
        {"name": name, "count": count, "share": count / present if present else None}
        for name, count in zip(names, counts, strict=True)
    ]


def _describe_names(found: ColumnProfile, column: ColumnSpec, present: int) -> dict[str, Any]:
    cells = _shares(found, column, present)
    named, new = cells[: len(column.categories)], cells[-1]
    other = sum(cell["count"] for cell in cells[len(column.categories) : -1])
    frequent = sorted(found.new.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_NEW_NAMES]
    return {
        "categories": named,
        "top": sorted((cell for cell in named if cell["count"]), key=lambda cell: (-cell["count"], cell["name"]))[:10],
        "other": {"count": other, "share": other / present if present else None, "known": len(column.known)},
        "new": {"count": new["count"], "share": new["share"], "names": dict(frequent)},
    }
