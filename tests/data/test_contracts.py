# SPDX-License-Identifier: Apache-2.0
"""What the first batch teaches, and what every later one must satisfy."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from mainstay.domain.contracts import Contract
from mainstay.domain.data import Problem, Refused, Snapshot
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.lifecycle.data import contracts, renames, snapshots
from mainstay.store import Store

Month = Callable[..., pa.Table]
Take = Callable[..., Snapshot]
Refuse = Callable[..., Refused]


def to_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def contract(store: Store) -> Contract:
    with store.view() as view:
        return contracts.get(view, "flights")


def only(refused: Refused) -> Problem:
    assert len(refused.problems) == 1, refused.problems
    return refused.problems[0]


def test_the_first_snapshot_yields_the_contract(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))

    rules = {column.name: column for column in contract(store).columns}
    assert [(rule.name, rule.type, rule.nullable) for rule in rules.values()] == [
        ("flight", "integer", False),
        ("carrier", "text", False),
        ("wind_speed", "number", True),
        ("distance", "integer", False),
        ("temp", "number", True),
        ("late", "boolean", False),
    ]
    assert rules["carrier"].categories == ("AA", "B6", "DL", "EV", "UA")
    distance = rules["distance"]
    assert distance.minimum == 0 and distance.maximum is not None and 5_000 < distance.maximum < 7_000
    assert (contract(store).rows_low, contract(store).rows_high) == (200, 20_000)


def test_the_next_month_satisfies_it_without_a_warning(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))

    assert accept(month(2)).warnings == ()


@pytest.mark.parametrize("encode", [to_csv, lambda table: table], ids=["csv", "parquet"])
def test_a_renamed_column_is_recognised_by_its_values(
    store: Store, month: Month, accept: Take, refuse: Refuse, encode: Callable[[pa.Table], bytes | pa.Table]
) -> None:
    accept(month(1))
    renamed = encode(month(2).rename_columns(["flight", "carrier", "wind_spd", "distance", "temp", "late"]))

    refused = refuse(renamed, format="csv" if isinstance(renamed, bytes) else "parquet")

    missing, unknown = refused.problems
    assert (missing.column, missing.problem, unknown.column, unknown.problem) == (
        "wind_speed",
        "missing",
        "wind_spd",
        "unknown",
    )
    assert missing.likely_alias is not None
    assert missing.likely_alias.column == "wind_spd"
    assert 0.9 <= missing.likely_alias.overlap <= 1
    assert "'wind_spd' holds what looks like its values" in refused.sentence


def test_a_renamed_text_column_is_recognised_too(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))

    refused = refuse(month(2).rename_columns(["flight", "airline", "wind_speed", "distance", "temp", "late"]))

    assert refused.problems[0].likely_alias is not None
    assert refused.problems[0].likely_alias.column == "airline"


def test_a_strange_column_in_place_of_a_missing_one_is_no_alias(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    strange = month(2).rename_columns(["flight", "carrier", "gust", "distance", "temp", "late"])
    strange = strange.set_column(2, "gust", pa.array(np.linspace(200, 900, strange.num_rows)))

    refused = refuse(strange)

    assert refused.problems[0].likely_alias is None
    assert "0% the same distribution" in refused.problems[0].found


def test_two_columns_that_could_both_be_the_missing_one_are_no_alias(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    twins = month(2).rename_columns(["flight", "carrier", "wind_a", "distance", "temp", "late"])
    twins = twins.append_column("wind_b", month(3)["wind_speed"])

    refused = refuse(twins)

    assert refused.problems[0].column == "wind_speed"
    assert refused.problems[0].likely_alias is None


def test_two_renamed_columns_each_find_their_own(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))

    refused = refuse(month(2).rename_columns(["number", "carrier", "wind_spd", "miles", "temp", "late"]))

    found = {problem.column: problem.likely_alias for problem in refused.problems if problem.problem == "missing"}
    assert {name: alias and alias.column for name, alias in found.items()} == {
        "flight": "number",
        "wind_speed": "wind_spd",
        "distance": "miles",
    }


def test_values_beyond_the_known_range_never_count_as_alike() -> None:
    before = pa.chunked_array([np.arange(1_000.0)])

    assert renames.overlap(before, pa.chunked_array([np.arange(5_000.0, 6_000.0)])) == 0.0
    assert renames.overlap(before, before) == 1.0
    assert renames.overlap(before, pa.chunked_array([pa.array([None], pa.float64())])) == 0.0


def test_an_alias_is_a_new_version_and_twice_is_once(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    versions = []
    for _ in range(2):
        with store.change(actor="bo", reason="renamed at the source") as change:
            versions.append(contracts.accept_alias(change, dataset="flights", column="temp", alias="temperature"))

    assert [version.version for version in versions] == [2, 2]
    rule = contract(store).column("temp")
    assert rule is not None and rule.aliases == ("temperature",)


def test_an_alias_cannot_mean_two_columns(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    with store.change(actor="bo") as change:
        contracts.accept_alias(change, dataset="flights", column="temp", alias="t")

    for column, alias in (("wind_speed", "t"), ("wind_speed", "temp"), ("temp", "temp")):
        with pytest.raises(Conflict, match="already means column 'temp'"), store.change(actor="bo") as change:
            contracts.accept_alias(change, dataset="flights", column=column, alias=alias)
    with pytest.raises(NotFound, match="no column 'gust'"), store.change(actor="bo") as change:
        contracts.accept_alias(change, dataset="flights", column="gust", alias="g")


def test_a_column_and_its_alias_at_once_are_refused(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))
    with store.change(actor="bo") as change:
        contracts.accept_alias(change, dataset="flights", column="temp", alias="temperature")

    refused = refuse(month(2).append_column("temperature", month(2)["temp"]))

    assert (only(refused).column, only(refused).problem) == ("temperature", "unknown")


def test_a_missing_column_is_refused_and_named(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))

    problem = only(refuse(to_csv(month(2).drop_columns(["carrier"])), format="csv"))

    assert (problem.column, problem.problem, problem.found, problem.expected) == (
        "carrier",
        "missing",
        "no such column",
        "text",
    )


def test_a_retyped_column_is_refused_with_the_first_bad_value(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    data = to_csv(month(2)).replace(b"\n", b"\nabc,", 1).replace(b"abc,", b'"abc",', 1)
    first = data.split(b"\n")[1].split(b",")
    line = b",".join([first[0], *first[2:]])
    spoiled = b"\n".join([data.split(b"\n")[0], line, *data.split(b"\n")[2:]])

    problem = only(refuse(spoiled, format="csv"))

    assert (problem.column, problem.problem, problem.expected) == ("flight", "type", "integer")
    assert problem.found == "text, such as 'abc' in row 1"


def test_an_all_null_column_is_refused_in_csv_and_parquet(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    given = month(2)
    empty = given.set_column(4, "temp", pa.nulls(given.num_rows, pa.float64()))

    for refused in (refuse(empty), refuse(to_csv(empty), format="csv")):
        assert (only(refused).column, only(refused).problem) == ("temp", "all_null")


def test_a_column_of_nan_is_an_all_null_column(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))
    given = month(2)

    refused = refuse(given.set_column(4, "temp", pa.array(np.full(given.num_rows, np.nan))))

    assert only(refused).problem == "all_null"


def test_a_null_where_none_may_be_is_refused_with_its_row(
    store: Store, month: Month, accept: Take, refuse: Refuse
) -> None:
    accept(month(1))
    given = month(2)
    holes = given["distance"].to_pylist()
    holes[6] = holes[9] = None

    refused = refuse(given.set_column(3, "distance", pa.array(holes, pa.int32())))

    assert (only(refused).problem, only(refused).column) == ("null", "distance")
    assert only(refused).found == "2 of 2000 values are null, the first in row 7"
    assert b'"row":7' in store.blobs.read(refused.rows_blob) and b'"row":10' in store.blobs.read(refused.rows_blob)


def test_a_batch_without_rows_is_refused(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    assert only(refuse(month(1, rows=0))).problem == "rows"
    accept(month(1))

    assert only(refuse(month(2, rows=0))).problem == "rows"
    assert only(refuse(to_csv(month(2, rows=0)), format="csv")).problem == "rows"


def test_the_first_batch_must_have_a_value_in_every_column(store: Store, refuse: Refuse) -> None:
    refused = refuse(b"a,b\n1,\n2,\n", format="csv")

    assert (only(refused).column, only(refused).problem) == ("b", "all_null")
    assert refused.contract_version == 0


def test_all_problems_are_named_at_once(store: Store, month: Month, accept: Take, refuse: Refuse) -> None:
    accept(month(1))
    given = month(2)
    bad = given.drop_columns(["carrier"]).append_column("gate", pa.array(["x"] * given.num_rows))
    bad = bad.set_column(0, "flight", pa.array(["ten"] * given.num_rows))

    refused = refuse(bad)

    assert {(problem.column, problem.problem) for problem in refused.problems} == {
        ("carrier", "missing"),
        ("gate", "unknown"),
        ("flight", "type"),
    }


def test_what_is_only_unusual_is_a_warning(store: Store, month: Month, accept: Take) -> None:
    accept(month(1))
    odd = month(2, rows=150)
    odd = odd.set_column(1, "carrier", pa.array(["ZZ", *odd["carrier"].to_pylist()[1:]]))
    odd = odd.set_column(3, "distance", pa.array([90_000, *odd["distance"].to_pylist()[1:]], pa.int32()))

    taken = accept(odd)

    assert [(warning.column, warning.problem) for warning in taken.warnings] == [
        (None, "rows"),
        ("carrier", "category"),
        ("distance", "range"),
    ]


def test_whole_numbers_in_a_column_of_doubles_are_no_retyping(store: Store, accept: Take) -> None:
    accept(pa.table({"x": [0.5, 1.5, 2.0, 3.0]}))

    assert accept(b"x\n1\n2\n3\n", format="csv").schema[0].type == "number"


def test_a_fraction_in_a_column_of_integers_is_a_retyping(store: Store, accept: Take, refuse: Refuse) -> None:
    accept(pa.table({"n": [1, 2, 3]}))

    problem = only(refuse(pa.table({"n": [1.0, 2.5, 3.0]})))

    assert problem.found == "number, such as 2.5 in row 2"


def test_text_that_looks_like_numbers_stays_text(store: Store, accept: Take) -> None:
    accept(pa.table({"code": ["007", "abc"]}))

    taken = accept(b"code\n001\n002\n", format="csv")

    with store.view() as view:
        assert snapshots.get(view, "flights", taken.number).schema[0].type == "text"


def test_a_revised_contract_lets_a_new_column_in_and_an_old_one_go(store: Store, accept: Take, refuse: Refuse) -> None:
    accept(pa.table({"a": [1, 2], "b": ["x", "y"]}))
    changed = pa.table({"a": [1, 2], "c": [0.5, 1.5]})
    refuse(changed)

    with store.change(actor="bo", reason="the source changed for good") as change:
        contracts.revise(
            change,
            dataset="flights",
            columns=[
                {"name": "a", "type": "integer", "nullable": False},
                {"name": "c", "type": "number", "nullable": True},
            ],
            rows_high=100,
        )

    assert [field.name for field in accept(changed).schema] == ["a", "c"]


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [{"name": "a", "type": "integer"}],
        [{"name": "a", "type": "int", "nullable": True}],
        [
            {"name": "a", "type": "integer", "nullable": True},
            {"name": "b", "type": "text", "nullable": True, "aliases": ["a"]},
        ],
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(
    store: Store, accept: Take, columns: list[dict[str, object]]
) -> None:
    accept(pa.table({"a": [1, 2]}))

    with pytest.raises(Invalid), store.change(actor="bo") as change:
        contracts.revise(change, dataset="flights", columns=columns)
    assert contract(store).version == 1
