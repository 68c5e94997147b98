# SPDX-License-Identifier: Apache-2.0
"""Bytes from strangers become a plain table, or one sentence."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid, MainstayError, Malformed, TooLarge
from mainstay.lifecycle.data import batches
from mainstay.lifecycle.data.batches import Limits
from mainstay.measures import columns


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def read(tmp_path: Path, data: bytes, format: str = "csv", **more: object) -> pa.Table:
    file = tmp_path / "given"
    file.write_bytes(data)
    return batches.read(file, format=format, **more)  # type: ignore[arg-type]


def test_every_width_of_a_kind_becomes_one_type(tmp_path: Path) -> None:
    moment = datetime(2013, 1, 1, 5, tzinfo=UTC)
    given = pa.table(
        {
            "a": pa.array([1, None], pa.int8()),
            "b": pa.array([1.5, float("nan")], pa.float32()),
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "d": pa.array([moment, None], pa.timestamp("ms", "America/New_York")),
            "e": pa.array(["x", "y"], pa.large_string()),
        }
    )

    table = read(tmp_path, parquet(given), "parquet")

    assert [columns.type_of(field.type) for field in table.schema] == ["integer", "number", "text", "time", "text"]
    assert table.to_pylist()[0] == {"a": 1, "b": 1.5, "c": "x", "d": moment, "e": "x"}
    assert table["b"].null_count == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "CSV file: Empty CSV file"),
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        (b"a\n\xff\xfe\n", "invalid UTF8"),
    ],
)
def test_bytes_that_are_no_csv_are_refused_in_one_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says) as told:
        read(tmp_path, data, as_text=["a"])

    assert "\n" not in told.value.message
    assert str(tmp_path) not in told.value.message


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\xff" * 200 + b"PAR1", b"a,b\n1,2\n"])
def test_bytes_that_are_no_parquet_are_refused_in_one_sentence(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Malformed, match="not a readable Parquet file"):
        read(tmp_path, data, "parquet")


@given(place=st.integers(0, 1_000_000), flip=st.integers(1, 255))
def test_a_damaged_parquet_file_is_read_or_refused_but_never_a_surprise(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    data = bytearray(parquet(pa.table({"a": list(range(500)), "b": ["x", "y"] * 250})))
    data[place % len(data)] ^= flip

    try:
        read(tmp_path_factory.mktemp("damaged"), bytes(data), "parquet")
    except MainstayError as error:
        assert error.message.count("\n") == 0


def test_a_quoted_cell_is_taken_at_its_word_and_a_bare_one_may_mean_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, b'a,b\nNA,007\n"NA",12\n', as_text=["b"])

    assert table.to_pylist() == [{"a": None, "b": "007"}, {"a": "NA", "b": "12"}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pa.table({"a": [[1, 2]]}), "'a' has type list"),
        (pa.table({"a": pa.array([2**63], pa.uint64())}), "more than 64 bits"),
        (pa.table({"a": pa.array([1], pa.timestamp("ns"))}), "finer than a microsecond"),
        (pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), "'a' twice"),
        (pa.table({" a": [1]}), "no space at either end"),
        (pa.table({}), "no columns"),
    ],
)
def test_a_table_that_no_snapshot_could_hold_is_named(tmp_path: Path, given: pa.Table, says: str) -> None:
    with pytest.raises((Invalid, Malformed), match=says):
        read(tmp_path, parquet(given), "parquet")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(rows=9), "10 rows; at most 9"),
        (Limits(columns=1), "2 columns; at most 1"),
        (Limits(file=10), "at most 10 are taken"),
        (Limits(memory=50), "bytes; at most 50"),
    ],
)
@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_more_than_a_limit_is_refused(tmp_path: Path, limits: Limits, says: str, format: str) -> None:
    table = pa.table({"a": list(range(10)), "b": list(range(10))})
    data = parquet(table) if format == "parquet" else b"a,b\n" + b"1,2\n" * 10

    with pytest.raises(TooLarge, match=says):
        read(tmp_path, data, format, limits=limits)


def test_a_table_that_grows_too_large_is_noticed_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_check_shape", lambda *_: pytest.fail("it was read to its end"))
    bomb = parquet(pa.table({"a": [1] * 500_000}))
    assert len(bomb) < 10_000

    with pytest.raises(TooLarge, match="at most 1000000"):
        read(tmp_path, bomb, "parquet", limits=Limits(memory=1_000_000))


def test_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    offsets, data = pa.py_buffer(b"\0\0\0\0\x02\0\0\0"), pa.py_buffer(b"\xff\xfe")
    broken = pa.Array.from_buffers(pa.string(), 1, [None, offsets, data])

    with pytest.raises(Malformed, match="UTF"):
        read(tmp_path, parquet(pa.table({"a": broken})), "parquet")


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="'excel' is not known"):
        read(tmp_path, b"x", "excel")
