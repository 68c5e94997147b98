# SPDX-License-Identifier: Apache-2.0
"""A batch that does not fit into memory is held against its contract column by column: the same report, in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mainstay.domain.data import Snapshot
from mainstay.domain.errors import Invalid, Malformed, TooLarge
from mainstay.lifecycle.data import batches, contracts, manifests, snapshots
from mainstay.measures import columns, frames
from mainstay.store import Store

Month = Callable[..., pa.Table]
RULES = """
[contract.flights.columns.flight]
type = "integer"
unique = true
[contract.flights.columns.carrier]
type = "text"
pattern = "[A-Z0-9]{2}"
[contract.flights.columns.wind_speed]
type = "number"
maximum = 60
on_violation = "refuse"
[contract.flights.columns.distance]
type = "integer"
aliases = ["miles"]
[contract.flights.columns.temp]
type = "number"
nullable = true
[contract.flights.columns.late]
type = "boolean"
"""


def set_column(name: str, make: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, make(table.column(name)))


def first_null(values: pa.ChunkedArray) -> pa.Array:
    return pa.array([None, *values.to_pylist()[1:]], values.type)


BATCHES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "good": lambda table: table,
    "an alias": lambda table: table.rename_columns(["miles" if n == "distance" else n for n in table.column_names]),
    "a rename": lambda table: table.rename_columns(["gusts" if n == "wind_speed" else n for n in table.column_names]),
    "a null": set_column("carrier", first_null),
    "no value": set_column("temp", lambda values: pa.nulls(len(values), pa.float64())),
    "another type": set_column("distance", lambda values: pc.cast(values, pa.string())),
    "a fraction": set_column("distance", lambda values: pc.add(pc.cast(values, pa.float64()), 0.5)),
    "whole numbers as doubles": set_column("distance", lambda values: pc.cast(values, pa.float32())),
    "twice": set_column("flight", lambda values: pa.array([7, 7, *range(10_000, 9_998 + len(values))])),
    "unlike": set_column("carrier", lambda values: pa.array(["XYZ", *values.to_pylist()[1:]]).dictionary_encode()),
    "too windy": set_column("wind_speed", lambda values: pc.add(values, 100.0)),
    "no rows": lambda table: table.slice(0, 0),
}


def prepared(store: Store, table: pa.Table) -> snapshots.Batch:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=300)
    blob, _ = store.blobs.put(sink.getvalue())
    with store.view() as view:
        return snapshots.prepare(view, dataset="flights", blob=blob, format="parquet")


@pytest.fixture
def from_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on every batch is one that does not fit."""

    def ask() -> None:
        limits = replace(batches.LIMITS, at_hand=-1)
        monkeypatch.setattr(batches, "read", partial(batches.read, limits=limits))

    return ask


@pytest.mark.parametrize("what", BATCHES)
def test_the_report_is_the_same(
    store: Store, month: Month, accept: Callable[..., Snapshot], from_file: Callable[[], None], what: str
) -> None:
    numbered = set_column("flight", lambda values: pa.array(range(len(values)), pa.int16()))
    accept(numbered(month(1)))
    with store.change(actor="ana") as change:
        contracts.apply(change, dataset="flights", toml=RULES)
    batch = BATCHES[what](numbered(month(2)))

    whole = prepared(store, batch)
    from_file()
    by_column = prepared(store, batch)

    assert isinstance(whole.table, pa.Table) and isinstance(by_column.table, frames.FileFrame)
    assert replace(by_column, table=whole.table) == whole
    assert bool(whole.problems) == (what not in ("good", "an alias", "whole numbers as doubles"))


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c,d\n1,x,2013-01-01,true\n2,,2013-01-02,false\n",
        "a,b,c,d\n1,7,2013-01-01,0\n2.5,x,not a day,1\n",
        'a,b,c,d\nNA,"NA",,""\n,,NULL,"1"\n',
        'a,b,c,d\n007,"two\nlines",2013-01-01 10:00:00,9223372036854775808\n8,"a ""quote""",2013-01-01 10:00:00.5,1\n',
        "a,b,c,d\n",
        "a\n1\n\n3\n",
    ],
)
def test_a_csv_that_is_too_large_to_hold_is_read_as_any_other(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    asked: dict[str, Any] = {"format": "csv", "as_text": {"a"} if "007" in text else ()}

    whole = batches.read(tmp_path / "a.csv", **asked)
    spooled = batches.read(tmp_path / "a.csv", **asked, limits=replace(batches.LIMITS, at_hand=-1))

    assert isinstance(spooled, frames.FileFrame) and frames.types(spooled) == frames.types(whole)
    assert {name: spooled.column(name).to_pylist() for name in spooled.column_names} == {
        name: whole.column(name).to_pylist() for name in whole.column_names
    }


@pytest.mark.parametrize("text", ["a,b\n1\n", "a,a\n1,2\n", ""])
def test_a_csv_that_is_none_is_refused_alike(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    told = []
    for at_hand in (1 << 20, -1):
        with pytest.raises((Malformed, Invalid)) as refusal:
            batches.read(tmp_path / "a.csv", format="csv", limits=replace(batches.LIMITS, at_hand=at_hand))
        told.append((type(refusal.value), refusal.value.message))

    assert told[0] == told[1]


def test_the_first_one_yields_the_same_contract(
    store: Store, month: Month, take: Callable[..., Any], from_file: Callable[[], None]
) -> None:
    with store.view() as view:
        table = month(3)
        from_file()
        taken = take(table)
        shown = contracts.shown_by(view, taken)

    assert [rule.content() for rule in shown.columns] == [
        contracts.infer_column(name, values).content()
        for name, values in zip(table.column_names, batches_plain(table), strict=True)
    ]


def batches_plain(table: pa.Table) -> list[pa.ChunkedArray]:
    return [columns.plain(name, table.column(name)) for name in table.column_names]


def test_memory_holds_a_few_columns_and_no_more(
    store: Store, from_file: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, width = 200_000, 50
    dice = np.random.default_rng(0)
    sink = io.BytesIO()
    table = pa.table({f"c{n}": dice.random(rows) for n in range(width)})
    pq.write_table(table, sink, row_group_size=10_000, compression="none", use_dictionary=False)
    size = table.nbytes
    del table
    blob, _ = store.blobs.put(sink.getvalue())
    monkeypatch.setattr(frames, "AT_HAND", 2 * rows * 8)
    monkeypatch.setattr(manifests, "ROW_GROUP", 10_000)
    from_file()
    before, seen = pa.total_allocated_bytes(), list[int]()

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def and_look(*args: Any, **facts: Any) -> Any:
            found = work(*args, **facts)
            seen.append(pa.total_allocated_bytes() - before)
            return found

        return and_look

    monkeypatch.setattr(columns, "plain", watched(columns.plain))
    monkeypatch.setattr(batches, "_check_limit", watched(batches._check_limit))
    with store.view() as view:
        assert not snapshots.prepare(view, dataset="flights", blob=blob, format="parquet").problems

    assert len(seen) > 3 * width and max(seen) < size / 2


def test_what_is_too_large_is_damaged_or_of_no_plain_type_is_refused_as_before(
    store: Store, from_file: Callable[[], None]
) -> None:
    from_file()
    with pytest.raises(Invalid, match="which a snapshot cannot hold"):
        prepared(store, pa.table({"a": [[1], [2]]}))
    with pytest.raises(Malformed):
        blob, _ = store.blobs.put(b"PAR1 no table at all PAR1")
        with store.view() as view:
            snapshots.prepare(view, dataset="flights", blob=blob, format="parquet")
    with pytest.raises(TooLarge, match="bytes"):
        blob, _ = store.blobs.put(table_of(1000))
        with store.view() as view:
            batches.read(view.blobs.path(blob), format="parquet", limits=batches.Limits(memory=100, at_hand=-1))


def table_of(rows: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": range(rows)}), sink)
    return sink.getvalue()
