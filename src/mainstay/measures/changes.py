# SPDX-License-Identifier: Apache-2.0
"""Changes: how two profiles of the same columns differ, for somebody who asks what is new.

In: two profiles counted in one spec. Out: for each column what moved, the columns that moved most first. A description
of two tables, not a test: nothing is said of chance, except that the part of the Jensen-Shannon distance which sample
size alone explains is taken out where there are rows enough to know it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.measures import distances, profiles
from mainstay.measures.profiles import ColumnProfile, Profile
from mainstay.measures.specs import FIRST, ColumnSpec, ReferenceSpec

MOST_NAMES = 20


@dataclass(frozen=True, kw_only=True)
class Side:
    """A column in one of the two tables; None where there is nothing to take it from."""

    null_share: float | None
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """How one column changed. ``new`` and ``lost``: categories of only one side, at most 20 of each, by name.

    ``effect``, 0 to 1: the largest of the Jensen-Shannon distance, the Kolmogorov-Smirnov distance and the change of the
    share of missing values; what the list is ordered by.
    """

    column: str
    kind: str
    before: Side
    after: Side
    psi: float
    js: float
    ks: float | None
    new: tuple[str, ...]
    lost: tuple[str, ...]
    effect: float


def between(spec: ReferenceSpec, before: Profile, after: Profile) -> list[ColumnChange]:
    """Every column's change, the largest effect first; of equal ones in the order of the columns.

    Raises:
        Invalid: a profile was not counted by ``spec``.
    """
    if {before.spec, after.spec} != {spec.digest()}:
        raise Invalid("two profiles that were counted in different cells cannot be compared; count one of them again.")
    found = [_change(column, before.columns[column.name], after.columns[column.name]) for column in spec.columns]
    return sorted(found, key=lambda change: -change.effect)


def _change(column: ColumnSpec, before: ColumnProfile, after: ColumnProfile) -> ColumnChange:
    a, b = before.counts, after.counts
    is_ample = min(int(a.sum()), int(b.sum())) >= distances.rows_needed(a, column)
    x, y = distances.comparable(a, b, column) if is_ample else (a, b)
    js = distances.js_corrected(x, y) if is_ample else math.sqrt(distances.js_squared(x, y))
    ks = distances.ks(a, b)[0] if column.is_ordered and a[FIRST:].any() and b[FIRST:].any() else None
    sides = _side(before, column), _side(after, column)
    new, lost = _names(column, before, after)
    missing = abs((sides[1].null_share or 0.0) - (sides[0].null_share or 0.0))
    return ColumnChange(
        column=column.name,
        kind=column.kind,
        before=sides[0],
        after=sides[1],
        psi=distances.psi(x, y),
        js=js,
        ks=ks,
        new=new,
        lost=lost,
        effect=max(js, ks or 0.0, missing),
    )


def _side(found: ColumnProfile, column: ColumnSpec) -> Side:
    mean, sd = profiles.moments(found, column)
    return Side(null_share=profiles.null_share(found), mean=mean, sd=sd, minimum=found.low, maximum=found.high)


def _names(column: ColumnSpec, before: ColumnProfile, after: ColumnProfile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Categories that came and went, as far as the profiles know names."""
    named = slice(FIRST, FIRST + len(column.categories))
    was, now = before.counts[named] > 0, after.counts[named] > 0
    names = np.array(column.categories, dtype=object)
    new = {*names[~was & now], *(set(after.new) - set(before.new))} if column.new_cell is not None else set()
    lost = {*names[was & ~now], *(set(before.new) - set(after.new))} if column.new_cell is not None else set()
    return tuple(sorted(new)[:MOST_NAMES]), tuple(sorted(lost)[:MOST_NAMES])
