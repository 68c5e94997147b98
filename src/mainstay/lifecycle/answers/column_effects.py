# SPDX-License-Identifier: Apache-2.0
"""What became of a table's columns between two results of a step, in numbers for people.

Both tables are counted in the cells of the first (``measures.profiles``), so that their figures can stand beside each
other. Columns with the same values in the same order are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain.errors import MainstayError
from mainstay.measures import profiles
from mainstay.store import View

MOST_ROWS = 2_000_000
_FIGURES = ("null_share", "mean", "sd", "min", "max")


@dataclass(frozen=True, kw_only=True)
class ColumnEffect:
    """``before`` and ``after`` hold figures by name; None: there is no such column. ``sentence`` tells what moved."""

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    sentence: str


def between(view: View, before: str, after: str) -> list[ColumnEffect]:
    """The columns of two Parquet blobs that differ, in the order of the newer table.

    Raises:
        NotFound, Corrupt: one of them is not here, or damaged.
    """
    old, new = (pq.read_table(view.blobs.path(digest), memory_map=True) for digest in (before, after))
    shared = [name for name in new.column_names if name in old.column_names and not _is_same(old, new, name)]
    figures = _figures(old, new, shared)
    found = [_effect(name, old, new, figures) for name in shared]
    found += [_alone(name, None, new) for name in new.column_names if name not in old.column_names]
    return found + [_alone(name, old, None) for name in old.column_names if name not in new.column_names]


def _is_same(old: pa.Table, new: pa.Table, name: str) -> bool:
    return old[name].type == new[name].type and old.num_rows == new.num_rows and bool(old[name].equals(new[name]))


def _figures(old: pa.Table, new: pa.Table, names: list[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    alike = [name for name in names if old[name].type == new[name].type]
    if not alike or max(old.num_rows, new.num_rows) > MOST_ROWS or not old.num_rows:
        return {}
    try:
        spec = profiles.infer_spec(old.select(alike))
        told = [profiles.describe(profiles.profile(table.select(alike), spec), spec)["columns"] for table in (old, new)]
    except MainstayError:  # a column that no profile is made of: the table is told without figures
        return {}
    return {name: (told[0][name], told[1][name]) for name in alike if name in told[0]}


def _effect(name: str, old: pa.Table, new: pa.Table, figures: dict[str, Any]) -> ColumnEffect:
    if old[name].type != new[name].type:
        text = f"type {old[name].type}→{new[name].type}"
        return ColumnEffect(name=name, before=_kind(old, name), after=_kind(new, name), sentence=text)
    if name not in figures:
        return ColumnEffect(name=name, before=_kind(old, name), after=_kind(new, name), sentence="other values")
    before, after = ({key: value for key, value in each.items() if key in _FIGURES} for each in figures[name])
    moved = [
        f"{key.replace('_', ' ')} {_told(before[key])}→{_told(after.get(key))}"
        for key in before
        if before[key] != after.get(key)
    ]
    moved += _new_values(figures[name][1])
    same_rows = "the same figures, other rows" if not moved else ", ".join(moved)
    return ColumnEffect(name=name, before=_kind(old, name) | before, after=_kind(new, name) | after, sentence=same_rows)


def _new_values(described: dict[str, Any]) -> list[str]:
    names = list((described.get("new") or {}).get("names") or ())
    return [f"{len(names)} new {'value' if len(names) == 1 else 'values'}: {', '.join(names[:3])}"] if names else []


def _alone(name: str, old: pa.Table | None, new: pa.Table | None) -> ColumnEffect:
    return ColumnEffect(
        name=name,
        before=_kind(old, name) if old is not None else None,
        after=_kind(new, name) if new is not None else None,
        sentence="new column" if old is None else "column gone",
    )


def _kind(table: pa.Table, name: str) -> dict[str, Any]:
    return {"type": str(table[name].type)}


def _told(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
