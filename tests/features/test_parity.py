# SPDX-License-Identifier: Apache-2.0
"""Two tables of the same rows, cell by cell."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from mainstay.features import parity


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.0 + 1e-10, True),
        (1.0, 1.0 + 1e-8, False),
        (1e300, 1e300 * (1 + 1e-12), True),
        (0.0, 1e-300, False),
        (3, 3.0, True),
        (2**60, 2**60 + 1, False),
        ("a", "A", False),
        (None, None, True),
        (None, math.nan, True),
        (None, 0, False),
        (True, True, True),
        ("2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC), True),
        ("2024-01-01T01:00:00Z", datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=1))), True),
        ("2024-01-01T01:00:00.000001Z", datetime(2024, 1, 1, 1, tzinfo=UTC), False),
    ],
)
def test_cells_agree_only_where_they_are_the_same(one, other, same) -> None:
    assert parity.agrees(one, other) is parity.agrees(other, one) is same


def test_the_first_cells_that_differ_are_shown_with_both_sides() -> None:
    rows = parity.KEPT + 10
    served = [{"n": n, "name": "a"} for n in range(rows)]
    rebuilt = pa.table({"n": [n if n < 3 else -n for n in range(rows)], "name": ["a"] * rows})

    n, name = parity.compare(served, rebuilt, ["n", "name"])

    assert (n.cells, n.different, name.different, name.first) == (rows, rows - 3, 0, ())
    assert [(cell.row, cell.served, cell.rebuilt) for cell in n.first] == [
        (k, k, -k) for k in range(3, parity.KEPT + 3)
    ]
    twice = parity.merged([name, n, n])
    assert [(each.name, each.cells, each.different) for each in twice] == [
        ("name", rows, 0),
        ("n", 2 * rows, 2 * rows - 6),
    ]
    assert [cell.row for cell in twice[1].first[:4]] == [3, 3, 4, 4]
