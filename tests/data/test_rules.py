# SPDX-License-Identifier: Apache-2.0
"""Rules that somebody wrote: read from TOML, and held against every batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain import contract_toml
from mainstay.domain.contract_toml import Intent
from mainstay.domain.contracts import TYPES, Column, Contract
from mainstay.domain.data import Refused, Snapshot
from mainstay.domain.errors import Invalid, MainstayError, TooLarge
from mainstay.lifecycle.data import checks, contracts
from mainstay.measures import keys, rules
from mainstay.store import Store

Take = Callable[..., Snapshot]
Refuse = Callable[..., Refused]
NOW = datetime(2026, 5, 1, tzinfo=UTC)
PEOPLE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "day": ["mon", "mon", "tue"],
        "mail": ["a@x.org", "b@x.org", "c@x.org"],
        "seen": pa.array([NOW - timedelta(days=d) for d in (9, 3, 1)], pa.timestamp("us", "UTC")),
    }
)
COLUMNS = {"id": "integer", "day": "text", "mail": "text", "seen": "time"}


def contract(toml: str) -> Contract:
    """Rules for PEOPLE in TOML; a column that is not mentioned has none."""
    said = contract_toml.read(toml, "people")
    by_name = {column.name: column for column in said.columns}
    columns = tuple(by_name.get(name, Column(name=name, type=kind, nullable=True)) for name, kind in COLUMNS.items())
    return Contract(
        dataset="people",
        version=1,
        columns=columns,
        rows_low=said.rows_low or 1,
        rows_high=said.rows_high or 1_000,
        on_rows=said.on_rows or "warn",
        keys=said.keys,
        digest="",
        created_at=NOW,
        actor="ana",
    )


def held(toml: str) -> checks.Checked:
    return checks.check(PEOPLE, contract(toml), lambda column: None, NOW)


BROKEN = [
    ("unique", 'columns.day = { type = "text", unique = true }', "1 of 3 rows repeat"),
    ("unique", 'keys = [["day"]]\ncolumns.day = { type = "text" }', "1 of 3 rows repeat"),
    ("pattern", 'columns.mail = { type = "text", pattern = "[ab]@x[.]org" }', "'c@x.org' in row 3"),
    ("freshness", 'columns.seen = { type = "time", freshness = "23h" }', "1 d old"),
]
ODD = [
    ("range", 'columns.id = { type = "integer", maximum = 2SEVERITY }', "1 to 3"),
    ("category", 'columns.day = { type = "text", categories = ["mon"]SEVERITY }', "'tue'"),
    ("rows", 'rows = { low = 4SEVERITY }\ncolumns.id = { type = "integer" }', "3 rows"),
]


@pytest.mark.parametrize(("fault", "toml", "told"), BROKEN)
def test_a_rule_that_somebody_wrote_refuses_and_can_be_told_to_warn(fault: str, toml: str, told: str) -> None:
    found = held("[contract.people]\n" + toml)
    softened = held("[contract.people]\n" + toml.replace(" }", ', on_violation = "warn" }'))

    assert [problem.problem for problem in found.problems] == [fault] and told in found.problems[0].sentence
    if "keys" not in toml:
        assert softened.problems == () and [problem.problem for problem in softened.warnings] == [fault]


@pytest.mark.parametrize(("fault", "toml", "told"), ODD)
def test_what_is_only_unusual_warns_until_somebody_says_that_it_refuses(fault: str, toml: str, told: str) -> None:
    found = held("[contract.people]\n" + toml.replace("SEVERITY", ""))
    strict = held("[contract.people]\n" + toml.replace("SEVERITY", ', on_violation = "refuse"'))

    assert found.problems == () and [problem.problem for problem in found.warnings] == [fault]
    assert [problem.problem for problem in strict.problems] == [fault] and told in strict.problems[0].sentence


def test_rules_that_hold_say_nothing() -> None:
    found = held(
        '[contract.people]\nrows = { low = 3, high = 3, on_violation = "refuse" }\nkeys = [["id", "mail"]]\n'
        'columns.id = { type = "integer", unique = true, minimum = 1, maximum = 3, on_violation = "refuse" }\n'
        'columns.mail = { type = "text", pattern = "[a-c]@x[.]org", unique = true }\n'
        'columns.seen = { type = "time", freshness = "2d" }'
    )

    assert (found.problems, found.warnings) == ((), ())


def test_missing_values_break_no_rule_but_their_own() -> None:
    rule = Column(name="x", type="text", nullable=True, pattern="a", categories=("a",), unique=True)
    values = pa.chunked_array([["a", None, None]])

    assert list(rules.broken(rule, values)) == [] and not keys.repeated([values]).any()


def test_a_pattern_takes_the_whole_text_and_no_time_to_speak_of() -> None:
    rule = Column(name="x", type="text", nullable=True, pattern="(a+)+")
    values = pa.chunked_array([["a" * 50_000 + "b", "xa", "a"]])  # minutes, for a matcher that goes back

    [(_, mask)] = rules.broken(rule, values)

    assert mask.to_pylist() == [True, True, False]


@pytest.mark.parametrize("pattern", ["(", "a)(b", r"(a)\1", "(?=a)"])
def test_a_pattern_that_is_none_is_refused_when_it_is_written(pattern: str) -> None:
    with pytest.raises(Invalid, match="RE2 syntax is expected"):
        rules.check_pattern(Column(name="x", type="text", nullable=True, pattern=pattern))


def test_keys_are_exact_also_where_the_codes_outgrow_64_bits() -> None:
    rows = 3_000
    columns = [pa.chunked_array([pa.array(range(n, rows + n))]) for n in range(8)]  # 3000 ** 8 is above 2 ** 63
    twice = [pa.chunked_array([*column.chunks, column.chunk(0).slice(7, 1)]) for column in columns]

    assert not keys.repeated(columns).any()
    assert keys.repeated(twice).nonzero()[0].tolist() == [rows]


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[contract.people", "no TOML: Expected"),
        ("[contract.other]", r"no section \[contract.people\]; it has \[contract.other\]"),
        ("[contract.people]", r"contract.people.columns is missing; a section for each column"),
        ("[contract.people]\ncolumn = 1", "'column', which is unknown; its keys are rows, keys, columns"),
        ("[contract.people]\ncolumns.id = {}", "columns.id.type is missing; a text such as 'integer' is expected"),
        ("[contract.people]\ncolumns.id = {type = 'int'}", "columns.id: column 'id' has type 'int'; the types are"),
        (
            "[contract.people]\ncolumns.id = {type = 'integer', min = 1}",
            "columns.id has the key 'min', which is unknown",
        ),
        ("[contract.people]\ncolumns.id = {type = 'integer', minimum = true}", "minimum is True; a number is expected"),
        ("[contract.people]\ncolumns.id = {type = 'integer', minimum = 2, maximum = 1}", "the smaller first"),
        ("[contract.people]\ncolumns.id = {type = 'integer', maximum = nan}", "two finite numbers"),
        ("[contract.people]\ncolumns.id = {type = 'integer', pattern = 'a'}", "pattern, which is for text"),
        ("[contract.people]\ncolumns.id = {type = 'integer', on_violation = 'stop'}", "'refuse' or 'warn' is expected"),
        ("[contract.people]\ncolumns.at = {type = 'time', freshness = '2 days'}", "such as '7d'"),
        ("[contract.people]\nkeys = ['id']\ncolumns.id = {type = 'integer'}", "keys is .*a list of lists"),
        ("[contract.people]\nkeys = [['no']]\ncolumns.id = {type = 'integer'}", "'no', which is no column of it"),
        (
            "[contract.people]\nrows = {low = 0}\ncolumns.id = {type = 'integer'}",
            "rows.low is 0; a whole number from 1",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_what_is_expected(toml: str, told: str) -> None:
    with pytest.raises(MainstayError, match=told):
        contract_toml.read(toml, "people")


def test_a_text_longer_than_any_contract_is_not_read() -> None:
    with pytest.raises(TooLarge, match="at most 1048576 are read"):
        contract_toml.read("#" * (1 << 20) + "\n", "people")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.data())
def test_what_is_written_reads_back_as_the_same_contract(data: st.DataObject) -> None:
    columns = []
    for name in data.draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True)):
        kind = data.draw(st.sampled_from(TYPES))
        more: dict[str, object] = {"unique": data.draw(st.booleans()), "nullable": data.draw(st.booleans())}
        if kind == "text":
            more |= {"categories": tuple(data.draw(st.lists(TEXTS))), "pattern": data.draw(st.none() | TEXTS)}
        if kind == "number":
            more |= {"minimum": data.draw(FINITE)}
        more["on_violation"] = data.draw(st.sampled_from([None, "refuse", "warn"]))
        columns.append(Column(name=name, type=kind, **more))  # type: ignore[arg-type]
    wanted = Intent(columns=tuple(columns), rows_low=2, rows_high=9, on_rows="refuse", keys=((columns[0].name,),))

    assert contract_toml.read(contract_toml.write("people", wanted), "people") == wanted


def test_a_contract_set_in_toml_refuses_the_next_batch_and_keeps_its_bad_rows(
    store: Store, accept: Take, refuse: Refuse
) -> None:
    accept(PEOPLE.drop_columns(["seen"]))
    with store.view() as view:
        toml = contracts.to_toml(contracts.get(view, "flights"))

    with store.change(actor="ana", reason="ids are ids") as change:
        same = contracts.apply(change, dataset="flights", toml=toml)
        unique = toml.replace('type = "integer"', 'type = "integer"\nunique = true')
        strict = contracts.apply(change, dataset="flights", toml=unique)
    refused = refuse(pa.table({"id": [5, 6, 5], "day": ["mon"] * 3, "mail": ["d@x.org"] * 3}))

    assert (same.version, strict.version, refused.contract_version) == (1, 2, 2)
    assert [(problem.column, problem.problem) for problem in refused.problems] == [("id", "unique")]
    rows = json.loads(store.blobs.read(refused.rows_blob))["rows"]
    assert [row["row"] for row in rows] == [3] and rows[0]["values"]["id"] == "5"


def test_a_contract_may_stand_before_the_first_snapshot(store: Store, accept: Take, refuse: Refuse) -> None:
    with store.change(actor="ana", reason="agreed with the source") as change:
        contracts.apply(change, dataset="flights", toml='[contract.flights.columns.n]\ntype = "integer"\nunique = true')

    assert [problem.problem for problem in refuse(pa.table({"n": [1, 1]})).problems] == ["unique"]
    assert accept(pa.table({"n": [1, 2]})).number == 1


def test_an_alias_leaves_every_other_rule_as_it_was(store: Store, accept: Take) -> None:
    accept(PEOPLE.drop_columns(["seen"]))
    toml = '[contract.flights]\nrows = { high = 9, on_violation = "refuse" }\nkeys = [["id"]]\ncolumns.id = {type = "integer"}'
    with store.change(actor="ana", reason="keys") as change:
        before = contracts.apply(change, dataset="flights", toml=toml)

    with store.change(actor="ana", reason="renamed") as change:
        after = contracts.accept_alias(change, dataset="flights", column="id", alias="ident")

    assert (after.keys, after.on_rows, after.rows_low, after.rows_high) == (
        (("id",),),
        "refuse",
        before.rows_low,
        9,
    )


def test_the_digest_of_a_contract_without_new_rules_is_what_it_was_before_there_were_any() -> None:
    plain = Column(name="x", type="number", nullable=True, minimum=0.0)

    assert plain.content() == {
        "name": "x",
        "type": "number",
        "nullable": True,
        "minimum": 0.0,
        "maximum": None,
        "categories": None,
        "aliases": [],
    }
