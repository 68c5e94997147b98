# SPDX-License-Identifier: Apache-2.0
"""Two tables of the same rows, cell by cell."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


SIDES = st.sampled_from(
    [
        [None, 1, 2, 2**53 + 1, -(2**60)],
        [None, 1.0, 1.0 + 1e-12, 1.1, math.nan, math.inf, 2.0**53],
        ["", "a", "A", None, "2024-01-01T00:00:00Z"],
        [True, False, None],
        [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None],
        [datetime(2024, 1, 1), None],
    ]
)


@given(st.data())
def test_two_columns_are_compared_as_their_cells_are_one_by_one(data) -> None:
    one, other = (data.draw(SIDES.flatmap(lambda side: st.lists(st.sampled_from(side), min_size=4, max_size=4)))
                  for _ in range(2))  # fmt: skip
    left, right = pa.table({"n": pa.array(one)}), pa.table({"n": pa.array(other)})

    (found,) = parity.compare(left, right, ["n"])

    wanted = [row for row in range(4) if not parity.agrees(one[row], other[row])]
    assert [cell.row for cell in found.first] == parity.differing(left, right, ["n"]) == wanted
    assert found.different == len(wanted)


def test_the_first_cells_that_differ_are_shown_with_both_sides() -> None:
    rows = parity.KEPT + 10
    served = pa.table({"n": pa.array(range(rows), pa.int32()), "name": pa.array(["a"] * rows).dictionary_encode()})
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
