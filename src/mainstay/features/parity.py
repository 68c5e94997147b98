# SPDX-License-Identifier: Apache-2.0
"""Parity: what was served, beside what training would hold for the same questions, cell by cell.

In: two tables of the same rows. Out: for each feature how many cells agree, and the first that do not. Whole numbers, texts,
truths and times agree when they are equal; floats within 1e-9 of the larger, because a sum may be taken in another order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

RELATIVE = 1e-9
#: Of each feature so many cells that differ are kept, to be looked at.
KEPT = 200


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One that does not agree: of which row, and what stands on either side."""

    row: int
    served: Any
    rebuilt: Any


@dataclass(frozen=True, kw_only=True)
class Column:
    """One feature: cells compared, how many differ, and the first of those, in the order of the rows."""

    name: str
    cells: int
    different: int
    first: tuple[Cell, ...]


def compare(served: pa.Table, rebuilt: pa.Table, names: Sequence[str]) -> list[Column]:
    """``served`` rows beside ``rebuilt`` ones, in the same order, for the features ``names``."""
    found = []
    for name in names:
        cells = list(_differing(served[name], rebuilt[name]))
        found.append(Column(name=name, cells=served.num_rows, different=len(cells), first=tuple(cells[:KEPT])))
    return found


def differing(served: pa.Table, rebuilt: pa.Table, names: Sequence[str]) -> list[int]:
    """The rows of which a cell does not agree."""
    return sorted({cell.row for name in names for cell in _differing(served[name], rebuilt[name])})


def merged(columns: Sequence[Column]) -> list[Column]:
    """Those of one name taken together, where rows were compared in groups."""
    found: dict[str, Column] = {}
    for each in columns:
        one = found.get(each.name, Column(name=each.name, cells=0, different=0, first=()))
        first = sorted((*one.first, *each.first), key=lambda cell: cell.row)[:KEPT]
        found[each.name] = Column(
            name=each.name,
            cells=one.cells + each.cells,
            different=one.different + each.different,
            first=tuple(first),
        )
    return list(found.values())


def agrees(one: Any, other: Any) -> bool:
    """Whether two cells are the same.

    >>> agrees(0.1 + 0.2, 0.3), agrees(1, 2), agrees(None, float("nan")), agrees("a", "b")
    (True, False, True, False)
    """
    one, other = _plain(one), _plain(other)
    if isinstance(one, float) or isinstance(other, float):
        if not (isinstance(one, int | float) and isinstance(other, int | float)):
            return False
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=0.0)
    return bool(one == other)


def _differing(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Iterator[Cell]:
    """The cells that do not agree. Most are the very same, and of those none is looked at by itself."""
    import pyarrow as pa

    rows = pa.array(_not_the_same(one, other), pa.int64())
    pairs = zip(rows.to_pylist(), one.take(rows).to_pylist(), other.take(rows).to_pylist(), strict=True)
    return (Cell(row=row, served=left, rebuilt=right) for row, left, right in pairs if not agrees(left, right))


def _not_the_same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = _one_type(one.type, other.type)
    if kind is None:
        return np.arange(len(one))
    try:
        left, right = one.cast(kind), other.cast(kind)
    except pa.ArrowInvalid:
        return np.arange(len(one))
    is_same = pc.or_(pc.fill_null(pc.equal(left, right), False), pc.and_(pc.is_null(left), pc.is_null(right)))
    return np.flatnonzero(~is_same.to_numpy())


def _one_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """In which values of both are the same only if they agree; None: there is none, each pair is to be looked at."""
    import pyarrow as pa

    one, other = (each.value_type if pa.types.is_dictionary(each) else each for each in (one, other))
    for is_such, kind in (
        (pa.types.is_integer, pa.int64()),
        (lambda each: pa.types.is_integer(each) or pa.types.is_floating(each), pa.float64()),
        (lambda each: pa.types.is_string(each) or pa.types.is_large_string(each), pa.large_string()),
        (pa.types.is_boolean, pa.bool_()),
        (lambda each: pa.types.is_timestamp(each) and each.tz is not None, pa.timestamp("ns", "UTC")),
    ):
        if is_such(one) and is_such(other):
            return kind
    return None


def _plain(value: Any) -> Any:
    """Missing is missing, however it is written; an instant is the same in every zone and spelling."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str) and len(value) >= 10 and value[:4].isdigit() and value[4] == "-":
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return value
