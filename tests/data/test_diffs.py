# SPDX-License-Identifier: Apache-2.0
"""What is different between two snapshots: columns, values, files, and rows by a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain import folders as trees
from mainstay.domain.data import Snapshot
from mainstay.domain.errors import Invalid
from mainstay.lifecycle.data import contracts, datasets, diffs, rows, snapshots
from mainstay.store import Store

from .test_routes import make, take

Month = Callable[..., pa.Table]
Take = Callable[..., Snapshot]


def compare(store: Store, before: Snapshot, after: Snapshot, *key: str) -> diffs.Diff:
    return diffs.compare(store.blobs, before, after, key=key)


def test_the_same_content_differs_in_nothing(store: Store, month: Month, accept: Take) -> None:
    taken = accept(month(1))

    found = compare(store, taken, taken)

    assert found.is_same and found.columns == () and found.parts_shared == taken.parts and found.rows is None


def test_columns_that_came_went_or_changed_type_are_named(store: Store, month: Month, accept: Take) -> None:
    before = accept(month(1))
    types = {"flight": "text", "carrier": "text", "gate": "integer"}
    rules = [{"name": name, "type": kind, "nullable": True} for name, kind in types.items()]
    with store.change(actor="ana", reason="a new source") as change:
        contracts.revise(change, dataset="flights", columns=rules)
    table = month(1).select(["flight", "carrier"])
    after = accept(
        table.set_column(0, "flight", table["flight"].cast(pa.string())).append_column("gate", [range(2_000)])
    )

    found = compare(store, before, after)

    assert [field.name for field in found.added] == ["gate"]
    assert [field.name for field in found.removed] == ["wind_speed", "distance", "temp", "late"]
    assert [(each.name, each.before, each.after) for each in found.retyped] == [("flight", "integer", "text")]
    assert [change.column for change in found.columns] == ["carrier"]
    assert (found.parts_added, found.parts_removed, found.parts_shared) == (after.parts, before.parts, ())


def test_the_column_that_moved_most_comes_first_with_its_figures(store: Store, month: Month, accept: Take) -> None:
    before, table = accept(month(1)), month(2)
    table = table.set_column(4, "temp", pa.array(table["temp"].to_numpy() + 30))
    carriers = ["ZZ" if each == "UA" else each for each in table["carrier"].to_pylist()]
    after = accept(table.set_column(1, "carrier", pa.array(carriers)))

    first, second, *rest = compare(store, before, after).columns

    assert (first.column, second.column) == ("temp", "carrier")
    assert first.before.mean == pytest.approx(50, abs=2) and first.after.mean == pytest.approx(80, abs=2)
    assert first.psi > 0.25 and first.ks is not None and first.ks > 0.5
    assert (second.new, second.lost) == (("ZZ",), ("UA",))
    assert all(change.effect < 0.06 for change in rest), rest


def test_profiles_of_other_cells_are_counted_again(store: Store, month: Month, accept: Take) -> None:
    before = accept(month(1))
    with store.change(actor="ana", reason="one column less") as change:
        columns = contracts.get(change, "flights").columns[:-1]
        contracts.revise(change, dataset="flights", columns=[column.content() for column in columns])
    after = accept(month(2).drop_columns(["late"]))

    found = compare(store, before, after)

    assert before.spec != after.spec and "late" not in {change.column for change in found.columns}
    assert len(found.columns) == 5 and all(change.effect < 0.06 for change in found.columns)


def write(folder: Path, name: str, table: pa.Table, parts: int = 1) -> list[Path]:
    size = max(1, -(-table.num_rows // parts))
    files = [folder / f"{name}{n}.parquet" for n in range(parts)]
    for n, file in enumerate(files):
        pq.write_table(table.slice(n * size, size), file)
    return files


PLACES = pa.table({"day": [1, 1, 2, 2, 3], "hour": ["a", "b", "a", "b", "a"], "v": [1.0, 2.0, None, None, 5.0]})


def test_rows_are_paired_by_a_compound_key_in_any_order_and_cut_into_any_files(tmp_path: Path) -> None:
    after = pa.table({"hour": ["b", "a", "b", "a", "c"], "v": [None, 7.0, 2.5, 1.0, 9.0], "day": [2, 2, 1, 1, 9]})

    found = rows.compare(write(tmp_path, "a", PLACES, 2), write(tmp_path, "b", after, 3), ["day", "hour"])

    assert (found.added, found.removed, found.changed, found.same) == (1, 1, 2, 2)
    assert found.columns == {"v": 2}
    assert found.shown_added == [{"day": 9, "hour": "c", "v": 9.0}]
    assert found.shown_removed == [{"day": 3, "hour": "a", "v": 5.0}]
    assert [(each.key, each.columns) for each in found.shown_changed] == [
        ([1, "b"], {"v": (2.0, 2.5)}),
        ([2, "a"], {"v": (None, 7.0)}),
    ]


def test_keys_that_stand_twice_are_named_and_left_out(tmp_path: Path) -> None:
    found = rows.compare(write(tmp_path, "a", PLACES), write(tmp_path, "b", PLACES.slice(1)), ["day"])

    assert (found.added, found.removed, found.changed, found.same) == (0, 0, 0, 1)
    assert (found.repeated_before.rows, found.repeated_before.keys) == (4, [[1], [2]])
    # Day 1 stands once in the second table, but cannot be paired with either of the first.
    assert (found.repeated_after.rows, found.repeated_after.keys) == (3, [[1], [2]])


def test_a_key_that_is_no_column_or_another_type_is_refused(tmp_path: Path) -> None:
    before = write(tmp_path, "a", PLACES)

    with pytest.raises(Invalid, match="no column 'id' to be a key; the columns are day, hour, v"):
        rows.compare(before, before, ["id"])
    with pytest.raises(Invalid, match="'day' is int64 before and string after"):
        rows.compare(before, write(tmp_path, "b", pa.table({"day": ["1"]})), ["day"])


def table_of(pairs: Sequence[Any]) -> pa.Table:
    return pa.table({name: pa.array([pair[n] for pair in pairs], pa.int64()) for n, name in enumerate("kv")})


CELLS = st.one_of(st.none(), st.integers(0, 2))


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.lists(st.tuples(CELLS, CELLS), max_size=8))
def test_rows_are_told_apart_as_by_hand(tmp_path_factory: Any, old: Sequence[Any], new: Sequence[Any]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    files = [write(folder, name, table_of(each)) for name, each in (("a", old), ("b", new))]
    keys = [[k for k, _ in each] for each in (old, new)]
    whole = {k for k in {*keys[0], *keys[1]} if keys[0].count(k) < 2 and keys[1].count(k) < 2}
    was, now = ({k: v for k, v in each if k in whole} for each in (old, new))

    found = rows.compare(files[0], files[1], ["k"])

    both = was.keys() & now.keys()
    assert (found.added, found.removed) == (len(now.keys() - was.keys()), len(was.keys() - now.keys()))
    assert (found.changed, found.same) == (sum(was[k] != now[k] for k in both), sum(was[k] == now[k] for k in both))


def test_a_diff_over_http_takes_the_key_of_the_contract_unless_another_is_asked_for(web: httpx.Client) -> None:
    make(web, "places")
    toml = (
        '[contract.places]\nkeys = [["id"]]\ncolumns.id = { type = "integer" }\ncolumns.town = { type = "text" }\n'
        'columns.n = { type = "integer" }'
    )
    assert web.post("/datasets/places/contract/toml", json={"toml": toml}).status_code == 201
    take(web, "places", b"id,town,n\n1,Ulm,3\n2,Hof,4\n")
    take(web, "places", b"id,town,n\n2,Hof,5\n3,Jena,6\n")

    found = web.get("/snapshots/places@1/diff/places@current").json()
    by_two = web.get("/snapshots/places@1/diff/places@2", params={"key": ["id", "n"]}).json()
    joined = web.get("/snapshots/places@1/diff/places@2", params={"key": "id,n"}).json()
    wrong = web.get("/snapshots/places@1/diff/places@9")
    strange = web.get("/snapshots/places@1/diff/places@2", params={"key": "no"})

    assert (found["rows"]["key"], found["rows"]["added"], found["rows"]["changed"]) == (["id"], 1, 1)
    assert found["rows"]["shown_changed"] == [{"key": [2], "columns": {"n": [4, 5]}}]
    assert by_two["rows"]["key"] == ["id", "n"] and by_two == joined and by_two["rows"]["changed"] == 0
    assert (wrong.status_code, strange.status_code) == (404, 422)
    assert found["columns"][0].keys() >= {"column", "effect", "psi", "js", "before", "after", "new", "lost"}


def test_memory_is_for_the_key_and_one_column_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = pa.table({"k": range(50)} | {f"c{n}": np.arange(50) + n for n in range(30)})
    files, asked = write(tmp_path, "a", wide), []
    read = rows._read
    monkeypatch.setattr(rows, "_read", lambda path, names: asked.append(names) or read(path, names))

    rows.compare(files, files, ["k"])

    assert len(asked) == 62 and max(map(len, asked)) == 1


def test_folders_are_compared_file_by_file(store: Store, tmp_path: Path) -> None:
    taken = []
    for state in ({"a.txt": b"1", "sub/b.txt": b"2", "c.txt": b"3"}, {"a.txt": b"1", "sub/b.txt": b"9", "d.txt": b"3"}):
        files = [trees.File(path=path, digest=store.blobs.put(data)[0], size=len(data)) for path, data in state.items()]
        manifest, _ = trees.write(files, lambda data: store.blobs.put(data)[0])
        with store.change(actor="ana", reason="a folder") as change:
            if not taken:
                datasets.create(change, name="scans", owner="ana")
            taken.append(snapshots.take(change, dataset="scans", blob=manifest, format="files"))

    found = compare(store, *taken)

    assert found.files is not None
    assert (found.files.added, found.files.removed, found.files.changed, found.files.same) == (1, 1, 1, 1)
    assert found.files.shown_changed == ["sub/b.txt"] and found.columns == ()
    with pytest.raises(Invalid, match="are of kind files"):
        compare(store, *taken, "id")
    with store.view() as view, pytest.raises(Invalid, match="of kind files; a contract is inferred from a table"):
        contracts.shown_by(view, taken[0])
