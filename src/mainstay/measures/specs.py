# SPDX-License-Identifier: Apache-2.0
"""Reference specs: the cells that every profile of a model's data is counted in.

In: a reference table (training or validation data). Out: one frozen ``ReferenceSpec``: per column its kind, its cells,
and the scale of its exact sums. The cells come from the reference alone and never move, so that one outlier in a later
window cannot hide a drift, and two profiles add up by adding integers.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.measures import readings
from mainstay.measures.frames import Frame

#: Every column's counts begin with these cells, whatever its kind.
SPECIALS = ("absent", "invalid", "null", "nan", "-inf", "+inf")
FIRST = len(SPECIALS)
KINDS = ("numeric", "category", "boolean", "datetime", "text", "score")

NUMERIC_CELLS = 32
TAILS = (0.001, 0.01, 0.99, 0.999)
SCORE_CELLS = 1024
NAMED_CATEGORIES = 64
HASH_CELLS = 64
KNOWN_LIMIT = 100_000
SAMPLE_ROWS = 200_000
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOCK_CELLS = tuple(f"{day} {h:02d}-{h + 6:02d}h" for day in _DAYS for h in (0, 6, 12, 18))
# Fixed-point numbers are kept to 20 bits either side of the centre, so that the sum of 4096 squares is exact in a
# double.
FIXED_BITS = 20


@dataclass(frozen=True, kw_only=True)
class ColumnSpec:
    """One column's cells: the six ``SPECIALS``, then the value cells of its kind.

    numeric, text (length in characters), score: ``below``, ``len(edges) + 1`` cells ``(edge, next edge]``, ``above``.
    ``low`` and ``high`` are the reference's extremes; outside them a value is below or above. Score cells are 1024
    equal cells of [0, 1], closed on the left. category, boolean: the named ``categories``, 64 hash cells if ``known``
    (the rest of the reference's values) is not empty, then ``new``. datetime: day of the week by quarter of the day,
    in UTC. ``is_open``: the reference held more than 100 000 values, so no value can be called new. ``centre`` and
    ``exponent`` fix the exact sums: a value x counts as round((x - centre) * 2**exponent). ``scale`` is a robust
    standard deviation, IQR / 1.349.
    """

    name: str
    kind: str
    edges: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    centre: float = 0.0
    scale: float = 1.0
    exponent: int = 0
    categories: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    is_open: bool = False
    unseen: float = 0.0

    @property
    def is_ordered(self) -> bool:
        """Are the value cells in an order, so that KS and Wasserstein mean something?"""
        return self.kind in ("numeric", "text", "score")

    @cached_property
    def has_hash_cells(self) -> bool:
        return bool(self.known) or self.is_open

    @cached_property
    def size(self) -> int:
        """How many cells the column's counts have."""
        return len(self.cell_names)

    @cached_property
    def new_cell(self) -> int | None:
        """Where values that the reference never held are counted; None for kinds without categories."""
        return self.size - 1 if self.kind in ("category", "boolean") else None

    @cached_property
    def cell_names(self) -> tuple[str, ...]:
        """A name for people per cell, in the order of the counts."""
        if self.kind == "datetime":
            return SPECIALS + CLOCK_CELLS
        if not self.is_ordered:
            hashes = tuple(f"other {i}" for i in range(HASH_CELLS)) if self.has_hash_cells else ()
            return (*SPECIALS, *self.categories, *hashes, "new")
        bounds = self.bounds
        inner = tuple(f"{a:.6g} … {b:.6g}" for a, b in itertools.pairwise(bounds))
        return (*SPECIALS, "below", *inner, "above")

    @cached_property
    def bounds(self) -> tuple[float, ...]:
        """The inner cells' bounds including both ends; inner cell i is between bounds[i] and bounds[i + 1]."""
        if self.kind == "score":
            return tuple(i / SCORE_CELLS for i in range(SCORE_CELLS + 1))
        if self.low is None or self.high is None:
            return (0.0, 0.0)
        return (self.low, *self.edges, self.high)

    @cached_property
    def lookup(self) -> readings.Lookup:
        """The table by which values find their inner cell."""
        return readings.make_lookup(np.asarray(self.edges, dtype=np.float64))

    @cached_property
    def cell_of_name(self) -> tuple[pa.Array, NDArray[np.int64]]:
        """All values the reference held, and the cell of each."""
        first_hash = FIRST + len(self.categories)
        cells = [*range(FIRST, first_hash), *(first_hash + hash_cell(name) for name in self.known)]
        return pa.array([*self.categories, *self.known], type=pa.string()), np.asarray(cells, dtype=np.int64)

    @cached_property
    def hash_cell_of_category(self) -> NDArray[np.intp]:
        """The hash cell that each named category would be counted in, had it no name."""
        first_hash = FIRST + len(self.categories)
        return np.array([first_hash + hash_cell(name) for name in self.categories], dtype=np.intp)

    def to_json(self) -> dict[str, Any]:
        """A plain JSON object; fields at their default are left out."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ColumnSpec:
        """The spec that ``to_json`` wrote."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        # Some stores hand 1e20 or 2.0 back as a whole number; the digest must not notice.
        given |= {k: float(given[k]) for k in ("low", "high", "centre", "scale", "unseen") if given.get(k) is not None}
        given["edges"] = tuple(float(edge) for edge in given.get("edges", ()))
        return ColumnSpec(**given)


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec:
    """The cells of all columns of a reference, in the reference's column order.

    ``rows`` is the reference's size. ``skipped`` names columns of a type that has no cells (lists, structs, binary).
    """

    columns: tuple[ColumnSpec, ...]
    rows: int
    score: str | None = None
    skipped: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, ColumnSpec]:
        return {column.name: column for column in self.columns}

    def column(self, name: str) -> ColumnSpec:
        """The spec of one column. Raises Invalid when the reference has no such column."""
        if name not in self.by_name:
            known = ", ".join(sorted(self.by_name)[:20])
            raise Invalid(f"reference spec has no column '{name}'; its columns are {known}.", column=name)
        return self.by_name[name]

    def to_json(self) -> dict[str, Any]:
        """A plain JSON object, the content that ``digest`` names."""
        return {
            "columns": [column.to_json() for column in self.columns],
            "rows": self.rows,
            "score": self.score,
            "skipped": list(self.skipped),
            "form": 1,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ReferenceSpec:
        """The spec that ``to_json`` wrote. Raises Invalid for a form this version does not know."""
        if data.get("form") != 1:
            raise Invalid(f"reference spec has form {data.get('form')!r}; this version reads form 1.")
        return ReferenceSpec(
            columns=tuple(ColumnSpec.from_json(column) for column in data["columns"]),
            rows=data["rows"],
            score=data["score"],
            skipped=tuple(data["skipped"]),
        )

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON; two specs with one digest count alike."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.to_json())


def hash_cell(name: str) -> int:
    """Which of the 64 hash cells a known but unnamed category falls in; CRC-32, stable across processes."""
    return zlib.crc32(name.encode()) % HASH_CELLS


def infer_spec(table: Frame, *, kinds: Mapping[str, str] | None = None, score: str | None = None) -> ReferenceSpec:
    """Choose the cells of every column of ``table`` from its own values.

    Args:
        kinds: kinds to use instead of the inferred ones, by column; one of ``KINDS``.
        score: the column that holds the model's probability. Values outside [0, 1] make it ``numeric`` instead.
    Numeric edges are inverted-CDF quantiles of at most 200 000 evenly spread rows, without repetition; a value that
    holds more than 1/32 of the rows gets a cell of its own. Categories are counted over all rows.

    Raises:
        Invalid: ``kinds`` or ``score`` name a column the table lacks, or a kind that does not exist or does not fit.
    """
    wanted = dict(kinds or {}) | ({score: "score"} if score is not None else {})
    _refuse_unknown(wanted, table)
    rows = _spread(table.num_rows)
    columns, skipped = [], []
    for name in table.column_names:
        values = table.column(name)
        kind = wanted.get(name) or _guess_kind(values, rows)
        if kind is None:
            skipped.append(name)
            continue
        columns.append(_infer_column(name, kind, values, rows))
    return ReferenceSpec(columns=tuple(columns), rows=table.num_rows, score=score, skipped=tuple(skipped))


def _refuse_unknown(wanted: Mapping[str, str], table: Frame) -> None:
    names = table.column_names
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Invalid(f"reference table has columns named twice: {', '.join(twice)}; each name must be unique.")
    for name, kind in wanted.items():
        if name not in names:
            raise Invalid(
                f"reference table has no column '{name}'; its columns are {', '.join(names[:20])}.", column=name
            )
        if kind not in KINDS:
            raise Invalid(f"column '{name}' is given the kind '{kind}'; kinds are {', '.join(KINDS)}.", column=name)


def _spread(n: int) -> NDArray[np.int64]:
    """At most 200 000 row numbers, one in each equal stretch, at a place fixed by Knuth's multiplicative hash.

    Plain strides would beat with a periodic table (hours, sensors in turn); a random generator may change with numpy.
    """
    if n <= SAMPLE_ROWS:
        return np.arange(n, dtype=np.int64)
    i = np.arange(SAMPLE_ROWS, dtype=np.uint64)
    place = ((i * np.uint64(2654435761)) % np.uint64(1 << 32)).astype(np.float64) / float(1 << 32)
    found: NDArray[np.int64] = ((i.astype(np.float64) + place) * (n / SAMPLE_ROWS)).astype(np.int64)
    return found


def _guess_kind(values: pa.ChunkedArray, rows: NDArray[np.int64]) -> str | None:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "datetime"
    if pa.types.is_dictionary(values.type) or pa.types.is_null(kind):
        return "category"
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_duration(kind)
    ):
        return "numeric"
    if readings.is_text(kind):
        return "text" if _reads_as_prose(values.take(pa.array(rows[:20_000])).drop_null()) else "category"
    return None


def _reads_as_prose(values: pa.ChunkedArray) -> bool:
    """Mostly distinct and long with spaces: free text, of which counting each value would say nothing."""
    if len(values) < 20:
        return False
    if pc.count_distinct(values).as_py() < 0.5 * len(values):
        return False
    spaced = pc.mean(pc.cast(pc.match_substring(values, " "), pa.float64())).as_py()
    return bool(pc.mean(pc.utf8_length(values)).as_py() >= 20 and spaced >= 0.5)


def _infer_column(name: str, kind: str, values: pa.ChunkedArray, rows: NDArray[np.int64]) -> ColumnSpec:
    if kind in ("category", "boolean"):
        return _infer_categories(name, kind, values)
    numbers = readings.read_numbers(values, kind).values
    if kind == "datetime":
        finite = numbers[np.isfinite(numbers)]
        low, high = readings.extremes(finite)
        return ColumnSpec(name=name, kind=kind, low=low, high=high)
    if not len(numbers) and len(values) > values.null_count:
        raise Invalid(f"column '{name}' is given the kind '{kind}', but none of its values is a number.", column=name)
    return _infer_numbers(name, kind, numbers, rows, len(values))


def _infer_numbers(
    name: str, kind: str, numbers: NDArray[np.float64], rows: NDArray[np.int64], total: int
) -> ColumnSpec:
    is_finite = np.isfinite(numbers)
    finite = numbers if is_finite.all() else numbers[is_finite]
    if len(finite) == 0:
        return ColumnSpec(name=name, kind="numeric" if kind == "score" else kind)
    low, high = readings.extremes(finite)
    assert low is not None and high is not None
    if kind == "score" and (low < 0.0 or high > 1.0):
        kind = "numeric"
    sample = np.sort(finite[rows] if len(finite) == total else finite[_spread(len(finite))])
    centre = _quantile(sample, 0.5)
    spread = (_quantile(sample, 0.75) - _quantile(sample, 0.25)) / 1.349
    scale = _positive(spread, float(np.mean(np.abs(sample / 2 - centre / 2))) * 2, abs(centre), 1.0)
    reach = max(scale, (_quantile(sample, 0.99) / 64 - _quantile(sample, 0.01) / 64))
    edges = () if kind == "score" else tuple(float(e) for e in quantile_edges(sample, high))
    return ColumnSpec(
        name=name,
        kind=kind,
        edges=edges,
        low=low,
        high=high,
        centre=centre,
        scale=scale,
        exponent=_exponent(reach),
    )


def _positive(*candidates: float) -> float:
    return next(c for c in candidates if c > 0.0 and math.isfinite(c))


def _exponent(reach: float) -> int:
    """Ten bits below the column's reach and ten above: finer is noise, further out is clipped and counted."""
    return max(-1000, min(1000, FIXED_BITS // 2 - math.ceil(math.log2(reach))))


def _quantile(ordered: NDArray[np.float64], share: float) -> float:
    """Inverted CDF: the smallest value with at least ``share`` of the sample at or below it."""
    return float(ordered[max(0, math.ceil(len(ordered) * share) - 1)]) + 0.0


def quantile_edges(ordered: NDArray[np.float64], high: float, cells: int = NUMERIC_CELLS) -> NDArray[np.float64]:
    """At most ``cells`` - 1 inner edges, all below ``high``; a value with more than 1/cells of the mass stands alone.

    Args:
        ordered: the finite sample, ascending. A cell is (edge, next edge], so a lone value's cell is closed by itself.
    Edges are the ``TAILS`` and equal steps between; the tails are there to read the 99th percentile of a skewed column.
    """
    n = len(ordered)
    even = np.arange(1, cells - len(TAILS)) / (cells - len(TAILS))
    places = np.ceil(n * np.concatenate([even, TAILS])).astype(np.int64) - 1
    edges = set(ordered[np.clip(places, 0, n - 1)].tolist())
    values, counts = np.unique(ordered, return_counts=True)
    heavy = values[counts > n / cells]
    edges |= set(heavy.tolist())
    for value in heavy.tolist():
        i = int(np.searchsorted(values, value))
        if i and not any(values[i - 1] <= e < value for e in edges):
            edges.add(float(np.nextafter(value, -np.inf)))
    kept = np.array(sorted({e + 0.0 for e in edges if e < high}), dtype=np.float64)
    return _thin(kept, ordered, set(heavy.tolist()), cells)


def _thin(
    edges: NDArray[np.float64], ordered: NDArray[np.float64], heavy: set[float], cells: int
) -> NDArray[np.float64]:
    """Join the lightest neighbours, lone heavy values last, until there are no more than ``cells`` cells."""
    while len(edges) > cells - 1:
        at = np.concatenate([[0], np.searchsorted(ordered, edges, side="right"), [len(ordered)]])
        joined = (at[2:] - at[:-2]).astype(np.float64)
        is_heavy = np.array([float(e) in heavy for e in edges] + [float(ordered[-1]) in heavy])
        joined += len(ordered) * (is_heavy[:-1] | is_heavy[1:])
        edges = np.delete(edges, int(np.argmin(joined)))
    return edges


def _infer_categories(name: str, kind: str, values: pa.ChunkedArray) -> ColumnSpec:
    counted: dict[str, int] = {}
    for chunk in values.chunks:
        names, counts = readings.read_names(chunk, kind).pairs
        for key, count in zip(names.to_pylist(), counts.tolist(), strict=True):
            counted[key] = counted.get(key, 0) + count
    if kind == "boolean":
        extra = set(counted) - {"true", "false"}
        if extra:
            found = ", ".join(sorted(extra)[:5])
            raise Invalid(f"column '{name}' is given the kind 'boolean', but it holds {found}.", column=name)
        return ColumnSpec(name=name, kind=kind, categories=("false", "true"))
    ranked = _rank(counted.items())
    is_open = len(ranked) > KNOWN_LIMIT
    rest = () if is_open else tuple(sorted(ranked[NAMED_CATEGORIES:]))
    return ColumnSpec(
        name=name,
        kind=kind,
        categories=tuple(ranked[:NAMED_CATEGORIES]),
        known=rest,
        is_open=is_open,
        unseen=sum(count == 1 for count in counted.values()) / max(1, sum(counted.values())),
    )


def _rank(counted: Iterable[tuple[str, int]]) -> list[str]:
    """Most frequent first; ties by name, so that the order never depends on the rows' order."""
    return [name for name, _ in sorted(counted, key=lambda pair: (-pair[1], pair[0]))]
