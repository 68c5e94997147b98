# SPDX-License-Identifier: Apache-2.0
"""Renames: a column that is missing, and an unknown one that holds its values.

In: a batch, and the previous snapshot's values of the columns it lacks. Out: for each the likely new name, if one
stands out. Names are not compared, only values: the previous values are cut into cells, and the overlap of two
columns is the share of the rows that fall in the same cells, 0 to 1. A value outside the previous range counts for
nothing, or two columns would look alike for both being elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mainstay.domain.data import LikelyAlias
from mainstay.measures import profiles
from mainstay.measures.specs import FIRST

# This much of the distribution must be the same …
ALIKE = 0.8
# … and no other column may come this close, or it is a guess.
CLEAR = 0.1
_NAME = "values"


def overlap(before: pa.ChunkedArray, after: pa.ChunkedArray) -> float:
    """Share of the distribution of ``before`` that ``after`` shares, both without nulls; 0 where either has no
    value."""
    spec = profiles.infer_spec(pa.table({_NAME: before}))
    shares = [_shares(profiles.profile(pa.table({_NAME: values}), spec)) for values in (before, after)]
    return round(float(np.minimum(*shares).sum()), 4)


def overlaps(
    before: Mapping[str, pa.ChunkedArray], unknown: Mapping[str, pa.ChunkedArray]
) -> dict[tuple[str, str], float]:
    """The overlap of every missing column with every unknown one of the same type."""
    return {
        (old, new): overlap(was, now)
        for old, was in before.items()
        for new, now in unknown.items()
        if was.type == now.type
    }


def closest(missing: str, found: Mapping[tuple[str, str], float]) -> LikelyAlias | None:
    """The unknown column that overlaps most with ``missing``, however little."""
    nearest = max(((score, new) for (old, new), score in found.items() if old == missing), default=None)
    return nearest and LikelyAlias(column=nearest[1], overlap=nearest[0])


def likely(missing: str, found: Mapping[tuple[str, str], float]) -> LikelyAlias | None:
    """The new name of ``missing``, if it overlaps enough and no other pairing of either name comes close."""
    best = closest(missing, found)
    if best is None or best.overlap < ALIKE:
        return None
    rivals = [s for (old, new), s in found.items() if (old == missing) != (new == best.column)]
    return best if all(score <= best.overlap - CLEAR for score in rivals) else None


def _shares(profile: profiles.Profile) -> NDArray[np.float64]:
    """The share of all values in each cell; ``before`` has none outside its own range, so those cells never count."""
    cells = profile.columns[_NAME].counts[FIRST:].astype(np.float64)
    return cells / max(1.0, float(cells.sum()))
