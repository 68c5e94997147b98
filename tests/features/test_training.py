# SPDX-License-Identifier: Apache-2.0
"""Training tables and online tables: one rule, two ways, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Corrupt, Invalid
from mainstay.features import definitions, online, training
from mainstay.features.definitions import Definition

START = datetime(2024, 1, 1, tzinfo=UTC)
UTC_US = pa.timestamp("us", "UTC")


def view(**facts: Any) -> Definition:
    return definitions.make("spend", **({"entity": "id", "time": "at"} | facts))


def made(rows: list[tuple[Any, ...]], kind: pa.DataType = UTC_US) -> pa.Table:
    """Rows of (id, hours since the start, amount)."""
    moments = [START + timedelta(hours=row[1]) for row in rows]
    return pa.table(
        {
            "id": pa.array([row[0] for row in rows], pa.int64()),
            "at": pa.array(moments, kind),
            "amount": pa.array([row[2] for row in rows], pa.float64()),
        }
    )


def asked(rows: list[tuple[Any, float]]) -> pa.Table:
    return made([(*row, 0.0) for row in rows]).select(["id", "at"]).rename_columns(["id", "asked"])


def in_memory(definition: Definition, table: pa.Table) -> online.Online:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return online.Online(definition, sink.getvalue().to_pybytes(), ["amount"])


def micro(hours: float) -> int:
    return (START + timedelta(hours=hours) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_labels_keep_their_rows_and_gain_the_features() -> None:
    labels = asked([(2, 5), (1, 5), (3, 5)]).append_column("y", pa.array([1, 0, 1]))
    other = definitions.make("clicks", entity="id", time="at", columns={"n": "int"})
    clicks = pa.table({"id": [1], "at": pa.array([START], UTC_US), "n": [7]})

    found = training.joined(labels, [(view(), made([(1, 0, 1.0), (2, 4, 2.0)])), (other, clicks)], time="asked")

    assert found.select(["id", "asked", "y"]).equals(labels)
    assert found["amount"].to_pylist() == [2.0, 1.0, None]
    assert found["n"].to_pylist() == [None, 7, None]


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50), st.floats(-5, 5)), max_size=20),
    watermark=st.integers(-20, 60),
    later=st.integers(0, 30),
    delay=st.integers(0, 5),
    ttl=st.one_of(st.none(), st.integers(0, 40)),
)
def test_what_is_looked_up_online_is_what_a_training_table_holds(rows, watermark, later, delay, ttl) -> None:
    """As long as nothing more happened after the watermark: then a newer table would have to be made."""
    definition = view(available_after=f"{delay}h", ttl=None if ttl is None else f"{ttl}h")
    rows = [row for row in rows if row[1] + delay <= watermark]
    moment = watermark + later
    trained = training.joined(asked([(n, moment) for n in range(4)]), [(definition, made(rows))], time="asked")

    table = online.latest(definition, made(rows), watermark=START + timedelta(hours=watermark))
    served = [in_memory(definition, table).row((n,), micro(moment))[0][0] for n in range(4)]

    assert served == trained["amount"].to_pylist()
    assert table["id"].to_pylist() == sorted(set(table["id"].to_pylist()), key=table["id"].to_pylist().index)


def test_an_online_table_says_why_it_knows_nothing() -> None:
    definition = view(available_after="2h", ttl="10h")
    memory = in_memory(definition, made([(1, 0, 1.5)]))

    assert memory.row((1,), micro(2)) == ((1.5,), None)
    assert memory.row((1,), micro(1.9)) == ((None,), online.EARLY)
    assert memory.row((1,), micro(10.1)) == ((None,), online.STALE)
    assert memory.row((2,), micro(2)) == ((None,), online.UNKNOWN)
    assert len(memory) == 1


def test_bytes_that_are_no_online_table_are_refused() -> None:
    with pytest.raises(Corrupt):
        online.Online(view(), b"PAR1 not really", ["amount"])


def test_an_instant_is_one_entity_however_it_is_written() -> None:
    zoned = datetime(2024, 1, 1, 1, tzinfo=UTC).astimezone()

    assert online.key_of({"at": zoned}, ["at"]) == online.key_of({"at": datetime(2024, 1, 1, 1)}, ["at"])


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"entity": []}, "name its column"),
        ({"entity": ["id", "id"]}, "several different"),
        ({"time": "id"}, "two columns"),
        ({"ttl": "soon"}, "ttl of view 'spend'"),
        ({"columns": {"amount": "number"}}, "float, int, str, bool, datetime"),
        ({"columns": {"at": "datetime"}}, "leave it out"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(facts: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        view(**facts)


@pytest.mark.parametrize(
    ("facts", "change", "told"),
    [
        ({}, lambda t: t.drop_columns("id"), "made no column 'id'"),
        ({}, lambda t: t.set_column(0, "id", t["amount"]), "entity 'id' as float"),
        ({}, lambda t: t.set_column(1, "at", t["amount"]), "make it a time"),
        ({}, lambda t: t.drop_columns("amount"), "made no feature"),
        ({}, lambda t: t.append_column("x", pa.array([[1]])), "'x' of view 'spend' is list"),
        ({"columns": {"amount": "int"}}, lambda t: t, "is float; int is declared"),
        ({"columns": {"total": "float"}}, lambda t: t, "declares feature 'total'"),
        ({"columns": {}}, lambda t: t, "does not declare"),
    ],
)
def test_a_table_that_is_not_what_was_declared_is_refused(facts: dict[str, Any], change: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        definitions.checked(view(**facts), change(made([(1, 0, 1.0)])))


def test_labels_that_do_not_fit_are_refused() -> None:
    table = made([(1, 0, 1.0)])

    for labels, time, told in (
        (asked([(1, 1)]), "when", "no column 'when'"),
        (asked([(1, 1)]).drop_columns("id"), "asked", "no entity 'id'"),
        (asked([(1, 1)]).append_column("amount", pa.array([1])), "asked", "stands in the table already"),
    ):
        with pytest.raises(Invalid, match=told):
            training.joined(labels, [(view(), table)], time=time)


def test_a_definition_comes_back_as_it_was_written() -> None:
    definition = view(entity=["id", "shop"], ttl="90d", available_after="1h", columns={"amount": "float"})

    assert definitions.from_json(definition.to_json()) == definition
    with pytest.raises(Invalid):
        definitions.from_json({"name": "spend"})


@given(
    events=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=8),
    questions=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6),
    delay=st.sampled_from(["0s", "1h", "3h"]),
    ttl=st.sampled_from([None, "2h", "5h"]),
    kind=st.sampled_from([UTC_US, pa.timestamp("ns"), pa.timestamp("s", "Europe/Berlin")]),
)
def test_questions_with_a_watermark_each_are_answered_as_from_a_table_of_each(
    events, questions, delay, ttl, kind
) -> None:
    known = view(available_after=delay, ttl=ttl)
    table = made([(*event, float(n)) for n, event in enumerate(events)], kind)
    whole = asked([(who, at) for who, at, _ in questions])
    marks = pa.array([START + timedelta(hours=until) for *_, until in questions], UTC_US)

    found = online.answered(known, table, whole.append_column("until", marks), known_up_to="until", time="asked")

    for place, (who, at, until) in enumerate(questions):
        rows = online.latest(known, table, watermark=START + timedelta(hours=until))
        (wanted,) = training.joined(asked([(who, at)]), [(known, rows)], time="asked")["amount"].to_pylist()
        assert (None if found[place] < 0 else table["amount"][int(found[place])].as_py()) == wanted


def test_times_finer_than_a_request_can_bring_find_the_same_row_in_training_and_in_serving() -> None:
    moments = pa.array([1_000_000_999, 3_000_000_500, None], pa.timestamp("ns"))
    table = pa.table({"id": [1, 1, 1], "at": moments, "amount": [1.0, 2.0, 3.0], "since": moments})
    asked = pa.array([1_000_000, 3_000_000], UTC_US)

    learnt = training.joined(pa.table({"id": [1, 1], "asked": asked}), [(view(), table)], time="asked")
    serving = in_memory(view(), online.latest(view(), table, watermark=START))

    assert learnt["amount"].to_pylist() == [1.0, 2.0]
    assert learnt.schema.field("since").type == pa.timestamp("us")
    assert serving.row((1,), 3_000_000) == ((2.0,), None) and serving.row((1,), 2_999_999)[1] == "early"
