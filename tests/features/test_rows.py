# SPDX-License-Identifier: Apache-2.0
"""An online table key by key: what changed makes the new one of the old, and each row answers as the whole table does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Corrupt, Invalid
from mainstay.features import definitions, rows
from mainstay.features.on_disk import OnDisk
from mainstay.features.online import Cached, Online

START = datetime(2024, 1, 1, tzinfo=UTC)
VIEW = definitions.make("spend", entity=["who", "day"], time="at", ttl="10h", available_after="1h")
ENTITY = [{"name": "who", "type": "int"}, {"name": "day", "type": "datetime"}]
COLUMNS = [
    {"name": "total", "type": "float"},
    {"name": "n", "type": "int"},
    {"name": "shop", "type": "str"},
    {"name": "is_new", "type": "bool"},
    {"name": "since", "type": "datetime"},
]
NAMES = [each["name"] for each in COLUMNS]


def made(found: dict[tuple[int, int], tuple[Any, ...]]) -> pa.Table:
    """(who, day) → (hour, total, n, shop, is_new, since)."""
    row = list(found.values())
    return pa.table(
        {
            "who": pa.array([key[0] for key in found], pa.int64()),
            "day": pa.array([date(2024, 1, 1) + timedelta(days=key[1]) for key in found], pa.date32()),
            "at": pa.array([START + timedelta(hours=each[0]) for each in row], pa.timestamp("us", "UTC")),
            "total": pa.array([each[1] for each in row], pa.float64()),
            "n": pa.array([each[2] for each in row], pa.int64()),
            "shop": pa.array([each[3] for each in row], pa.string()).dictionary_encode(),
            "is_new": pa.array([each[4] for each in row], pa.bool_()),
            "since": pa.array([each[5] for each in row], pa.timestamp("ms")),
        }
    )


CELLS = st.tuples(
    st.integers(0, 20),
    st.sampled_from([None, 0.1, 2.0, float("inf"), float("-inf"), float("nan")]),
    st.sampled_from([None, 7, 2**62 + 1]),
    st.sampled_from([None, "", "x"]),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, START.replace(tzinfo=None)]),
)
TABLES = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 1)), CELLS, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(before=TABLES, after=TABLES)
def test_what_changed_makes_the_new_table_of_the_old_one(before, after) -> None:
    kept = {row.key: row for row in rows.changed(VIEW, None, made(before), NAMES)}

    for row in rows.changed(VIEW, made(before), made(after), NAMES):
        assert kept.get(row.key) != row or "null" in (row.cells or "")  # NaN is never the same as before
        kept[row.key] = row

    wanted = {row.key: row for row in rows.changed(VIEW, None, made(after), NAMES)}
    assert {key: row for key, row in kept.items() if row.cells is not None} == wanted


@given(found=TABLES, hour=st.integers(0, 40))
def test_a_table_on_the_disk_answers_as_one_in_memory_does(folder, found, hour) -> None:
    pq.write_table(made(found), folder / "table")
    columns = ["shop", "total", "since", "n", "is_new"]
    whole = Online(VIEW, (folder / "table").read_bytes(), columns)
    held = OnDisk(VIEW, folder / "table", columns)
    at_us = rows.plain(START + timedelta(hours=hour))

    assert len(held) == len(whole)
    for key in ((who, rows.plain(date(2024, 1, day))) for who in range(-1, 5) for day in (1, 2, 3)):
        assert held.row(key, at_us) == whole.row(key, at_us)
    assert held.row((None, None), at_us) == whole.row((None, None), at_us)


@pytest.mark.parametrize(
    ("kind", "keys", "others"),
    [
        (pa.string(), ["", "é", "z", "\U0001f600", "\uffff", "ab", "a"], ["0", "b", "zz"]),
        (pa.large_string(), ["b", "a"], ["", "c"]),
        (pa.int8(), [3, -7, 0], [2**70, -1]),
        (pa.uint64(), [2**63 + 5, 1], [0, 2**63]),
        (pa.bool_(), [True], [False]),
    ],
)
def test_keys_of_every_type_are_found_on_the_disk_and_others_are_not(folder, kind, keys, others) -> None:
    known = definitions.make("spend", entity="who", time="at")
    at = pa.array([START] * len(keys), pa.timestamp("us", "UTC"))
    table = pa.table({"who": pa.array(keys, kind), "at": at, "n": list(range(len(keys)))})
    pq.write_table(table, folder / "table", row_group_size=2)

    held = OnDisk(known, folder / "table", ["n"])

    assert [held.row((key,), rows.plain(START))[0] for key in keys] == [(n,) for n in range(len(keys))]
    assert [held.row((key,), rows.plain(START))[1] for key in [*others, None]] == ["unknown"] * (len(others) + 1)


def test_a_table_on_the_disk_leaves_no_file_behind_and_a_damaged_one_is_refused(tmp_path) -> None:
    pq.write_table(made({(1, 0): (0, 1.0, 1, "x", True, None)}), tmp_path / "table")

    held = OnDisk(VIEW, tmp_path / "table", ["n"])

    assert [each.name for each in tmp_path.iterdir()] == ["table"]
    (tmp_path / "table").unlink()
    assert held.row((1, rows.plain(date(2024, 1, 1))), rows.plain(START + timedelta(hours=2))) == ((1,), None)
    (tmp_path / "table").write_bytes(b"PAR1 no")
    with pytest.raises(Corrupt, match="online table of view 'spend' cannot be read"):
        OnDisk(VIEW, tmp_path / "table", ["n"])


@given(found=TABLES, hour=st.integers(0, 40))
def test_a_row_by_key_answers_as_the_whole_table_does(found, hour) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(made(found), sink)
    whole = Online(VIEW, sink.getvalue().to_pybytes(), ["shop", "total", "since", "n", "is_new"])
    cached = Cached(VIEW, whole.columns, rows.Reader(ENTITY, COLUMNS), NAMES, most=100)
    known = {row.key: row for row in rows.changed(VIEW, None, made(found), NAMES)}
    at_us = rows.plain(START + timedelta(hours=hour))

    for who in range(4):
        for day in (datetime(2024, 1, 1), datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, 1)):
            key = (who, rows.plain(day))
            (lacking,) = cached.lacking([key, key])
            row = known.get(rows.key_text(lacking))
            cached.remember(lacking, *(row[1:] if row else (None, None)))

            assert cached.lacking([key]) == []
            assert cached.row(key, at_us) == whole.row(key, at_us)


def test_of_more_rows_than_may_be_held_those_asked_for_last_stay() -> None:
    cached = Cached(VIEW, ["n"], rows.Reader(ENTITY, COLUMNS), NAMES, most=2)
    cached.remember((1, 0), 0, '[1.0,1,"x",true,0]')
    cached.remember((2, 0), None, None)

    assert cached.row((1, 0), rows.plain(START))[1] == "stale"
    cached.remember((3, 0), None, None)

    assert cached.lacking([(1, 0), (2, 0), (3, 0)]) == [(2, 0)]


@pytest.mark.parametrize(
    ("kind", "typed"), [("int", "x"), ("int", "1.5"), ("bool", "1"), ("datetime", "soon"), ("str", 1)]
)
def test_a_part_of_a_key_is_read_as_its_type_or_refused(kind: str, typed: Any) -> None:
    assert [rows.read("int", "7", "who"), rows.read("bool", "true", "b"), rows.read("str", "7", "s")] == [7, True, "7"]
    assert rows.read("datetime", "2024-01-01T01:00:00+01:00", "day") == rows.plain(START)

    with pytest.raises(Invalid, match="entity 'who' is"):
        rows.read(kind, typed, "who")
