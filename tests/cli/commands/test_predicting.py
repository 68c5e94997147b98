# SPDX-License-Identifier: Apache-2.0
"""``predict`` and ``feedback``: a file offline, rows over HTTP, and what turned out to be true."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from mainstay.cli import predict as module
from mainstay.domain.errors import Invalid


def test_a_file_is_answered_offline_into_the_log(type_at, live_house) -> None:
    mainstay = type_at(live_house)
    before = live_house.get("/deployments/trips")["predictions"]

    told = mainstay(
        "predict", "trips", "--input", "rows.parquet", "--output", "out.parquet", "--key", "key", "--at", "at"
    )
    quiet = mainstay("predict", "trips", "--input", "rows.parquet", "--output", "out2.parquet", "--no-log", "--json")

    assert told.status == quiet.status == 0
    assert told.out.startswith("2,000 rows answered by trips#1 = late/1 in ")
    assert "columns that the model does not take: note" in told.out and "in the prediction log" in told.out
    document = json.loads(quiet.out)
    assert (document["rows"], document["part"], document["release"]) == (2000, None, "trips#1")
    assert pq.read_table(live_house.folder / "out.parquet")["_key"][0].as_py() == "k0"
    assert live_house.get("/deployments/trips")["predictions"] == before + 2000


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("trips", "--input", "rows.parquet", "--output", "nowhere/out.parquet"), "there is no folder 'nowhere'"),
        (
            ("trips", "--input", "trips.py", "--output", "out.parquet"),
            "trips.py is neither a Parquet nor an Arrow file",
        ),
        (("nope", "--input", "rows.parquet", "--output", "out.parquet"), "there is no deployment 'nope'"),
        (("trips", '{"x": 1, "y": 2}'), "no gateway is known here; start one with `mainstay up`"),
        (("trips", "{x: 1}"), "row '{x: 1}' is not acceptable JSON"),
        (("trips", "[1]"), "row '[1]' is no JSON object"),
        (("trips", "--row", "x=abc"), "column x is 'abc'; a value of type float is expected."),
        (("nope", "--row", "x=1"), "there is no deployment 'nope'"),
        (("trips", '{"x": 1}', "--gateway-url", "http://127.0.0.1:9"), "no answer from http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(type_at, live_house, words, sentence) -> None:
    told = type_at(live_house)("predict", *words)

    assert told.status == 1
    assert sentence in told.err


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1.5", "float", 1.5),
        ("5", "int", 5),
        ("5", "str", "5"),
        ("True", "bool", True),
        ("", "float", None),
        ("2026-01-01", "datetime", "2026-01-01"),
        ("anything", "unheard of", "anything"),
    ],
)
def test_texts_become_values_by_the_signature(text, kind, value) -> None:
    found = module._value("x", text, kind)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "kind"), [("true", "float"), ("1", "bool"), ("one", "int"), ("[1]", "float")])
def test_a_text_of_another_type_is_refused(text, kind) -> None:
    with pytest.raises(Invalid, match=f"column x is '{text}'".replace("[", r"\[")):
        module._value("x", text, kind)


def test_the_truth_is_taken_in_known_or_revised(type_at, live_house) -> None:
    mainstay = type_at(live_house)
    prediction = pq.read_table(live_house.folder / "scored.parquet")["_id"][0].as_py()

    said = [mainstay("feedback", prediction, label).out for label in ("1", "1", "0")]
    unknown, wrong = mainstay("feedback", "0" * 32, "1"), mainstay("feedback", prediction, "high")

    assert said == ["1 label taken in\n", "1 label known already\n", "1 label changed what was said before\n"]
    assert (unknown.status, wrong.status) == (1, 1)
    assert "is not a prediction id" in unknown.err
    assert "'high', which is none of the model's classes: 0, 1" in wrong.err
    assert live_house.get(f"/predictions/{prediction}")["feedback"][-1]["label"] == 0.0


def test_many_truths_come_from_a_file_and_those_refused_are_named(type_at, live_house) -> None:
    identities = pq.read_table(live_house.folder / "scored.parquet")["_id"].to_pylist()[10:20]
    lines = [json.dumps({"id": identity, "label": 1}) for identity in [*identities, "f" * 32]]
    (live_house.folder / "labels.ndjson").write_text("\n".join(lines) + "\n\n")
    (live_house.folder / "empty.ndjson").write_text("\n")
    mainstay = type_at(live_house)

    told, nothing = mainstay("feedback", "--input", "labels.ndjson"), mainstay("feedback", "--input", "empty.ndjson")

    assert told.status == nothing.status == 1
    assert told.out.splitlines()[0] == "10 labels taken in"
    assert told.out.splitlines()[1].startswith("  refused: ")
    assert "empty.ndjson has no lines" in nothing.err
