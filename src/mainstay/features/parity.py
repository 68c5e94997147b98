# SPDX-License-Identifier: Apache-2.0
"""Parity: what was served, beside what training would hold for the same questions, cell by cell.

In: two tables of the same rows. Out: for each feature how many cells agree, and the first that do not. Whole numbers, texts,
truths and times agree when they are equal; floats within 1e-9 of the larger, because a sum may be taken in another order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def compare(served: Sequence[Mapping[str, Any]], rebuilt: pa.Table, names: Sequence[str]) -> list[Column]:
    """``served`` rows beside ``rebuilt`` ones, in the same order, for the features ``names``."""
    found = []
    for name in names:
        pairs = zip((row[name] for row in served), rebuilt[name].to_pylist(), strict=True)
        cells = [
            Cell(row=n, served=one, rebuilt=other) for n, (one, other) in enumerate(pairs) if not agrees(one, other)
        ]
        found.append(Column(name=name, cells=len(served), different=len(cells), first=tuple(cells[:KEPT])))
    return found


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
        if one is None or other is None or isinstance(one, str) or isinstance(other, str):
            return False
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=0.0)
    return bool(one == other)


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
