# SPDX-License-Identifier: Apache-2.0
"""How much the store grows when a table changes a little: sizes, not timings, so they are the same on every machine.

The bounds are those that are promised for a million rows; the table here is smaller, and a chunk of it a larger share.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mainstay.lifecycle.data import manifests
from mainstay.store.blobs.local import LocalBlobs

ROWS = 400_000
PART = ROWS // 100
MIDDLE = ROWS // 2


@pytest.fixture(scope="module")
def table() -> pa.Table:
    dice = np.random.default_rng(1)
    cities = np.array([f"city_{n:03d}" for n in range(200)])
    return pa.table(
        {
            "id": np.arange(ROWS),
            "at": np.sort(dice.integers(1_600_000_000, 1_700_000_000, ROWS)),
            "amount": np.round(dice.lognormal(3, 1, ROWS), 2),
            "wide": dice.normal(size=ROWS),
            "narrow": dice.normal(size=ROWS).astype("f4").astype("f8"),
            "city": cities[dice.integers(0, 200, ROWS)],
            "flag": dice.random(ROWS) < 0.1,
            "count": dice.poisson(4, ROWS),
            "note": [f"{n:x}" for n in dice.integers(0, 2**40, ROWS).tolist()],
            "late": dice.random(ROWS) < 0.03,
        }
    )


def with_amounts(table: pa.Table, change: Callable[[np.ndarray], None]) -> pa.Table:
    amounts = table["amount"].to_numpy().copy()
    change(amounts)
    return table.set_column(2, "amount", pa.array(amounts))


def scattered(table: pa.Table) -> pa.Table:
    where = np.random.default_rng(2).choice(ROWS, PART, replace=False)

    def change(amounts: np.ndarray) -> None:
        amounts[where] *= 1.1

    return with_amounts(table, change)


def block(table: pa.Table) -> pa.Table:
    def change(amounts: np.ndarray) -> None:
        amounts[MIDDLE : MIDDLE + PART] *= 1.1

    return with_amounts(table, change)


def appended(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, PART)])


def put_in(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, MIDDLE), table.slice(0, PART), table.slice(MIDDLE)])


def widened(table: pa.Table) -> pa.Table:
    return table.append_column("weekday", pa.array(np.arange(ROWS) % 7))


def taken(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("change", "most"), [(appended, 0.06), (scattered, 0.09), (block, 0.09), (put_in, 0.2), (widened, 0.005)]
)
def test_a_small_change_takes_a_small_part_of_the_room(
    tmp_path: Path, table: pa.Table, change: Callable[[pa.Table], pa.Table], most: float
) -> None:
    blobs = LocalBlobs(tmp_path / "blobs")
    first = manifests.publish(blobs, table)
    before = taken(blobs.folder)

    second = manifests.publish(blobs, change(table))

    grown = (taken(blobs.folder) - before) / before
    assert first.digest != second.digest
    assert 0 < grown <= most, f"{grown:.1%}"
    assert before <= first.size * 1.02  # what chunks and their index cost beside the bytes
