# SPDX-License-Identifier: Apache-2.0
"""What a request may be, and what is said of one that is not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid, MainstayError, Malformed, TooLarge
from mainstay.formats.signature import Signature
from mainstay.gateway import offline
from mainstay.gateway.fields import read_fields
from mainstay.gateway.validation import Schema

SIGNATURE = Signature.from_json(
    {
        "inputs": [
            {"name": "carrier", "type": "str", "categories": ["AA", "UA"]},
            {"name": "mean radius", "type": "float", "minimum": 0, "maximum": 50},
            {"name": "wind_speed", "type": "float", "nullable": True},
            {"name": "weekday", "type": "int", "minimum": 0, "maximum": 6},
            {"name": "weekend", "type": "bool"},
            {"name": "due", "type": "datetime", "minimum": "2013-01-01", "maximum": "2013-12-31T23:59:59"},
        ],
        "output": {"type": "regression"},
    }
)
FIELDS = read_fields(SIGNATURE)
SCHEMA = Schema(FIELDS, max_rows=3)
ROW: dict[str, Any] = {
    "carrier": "UA",
    "mean radius": 14.2,
    "wind_speed": None,
    "weekday": 3,
    "weekend": False,
    "due": "2013-03-01T12:00:00Z",
}


def refusal(body: Any) -> MainstayError:
    with pytest.raises(MainstayError) as caught:
        SCHEMA.decode(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in ROW.items() if name not in names} | more


def test_a_sound_request_becomes_columns_for_the_model() -> None:
    body = {"rows": [ROW, ROW], "key": "a:b", "at": "2013-03-01T00:00:00Z", "release": 7}

    found = SCHEMA.decode(json.dumps(body).encode())
    columns = SCHEMA.columns(found.rows)

    assert (found.key, found.at_us, found.release) == ("a:b", 1362096000000000, 7)
    assert columns["carrier"].tolist() == ["UA", "UA"]
    assert columns["mean radius"].dtype == np.float64
    assert np.isnan(columns["wind_speed"]).all()
    assert columns["weekend"].tolist() == [0.0, 0.0]
    assert columns["due"][0] == np.datetime64("2013-03-01T12:00:00")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (without("wind_speed", wind_spd=3), "missing `wind_speed`; got unknown `wind_spd` — renamed?"),
        (without("mean radius", radius_mean=3), "missing `mean radius`; got unknown `radius_mean` — renamed?"),
        (without("weekday"), "rows[0]: missing `weekday`."),
        (without(extra=1), "rows[0]: unknown `extra`"),
        (without(weekday="3"), "rows[0].weekday is the text '3'; a whole number is expected."),
        (without(weekday=1.5), "rows[0].weekday is 1.5"),
        (without(weekday=True), "rows[0].weekday is true"),
        (without(weekday=1e300), "rows[0].weekday is 1e+300"),
        (without(**{"mean radius": "NaN"}), "rows[0].mean radius is the text 'NaN'; a number is expected."),
        (without(**{"mean radius": None}), "rows[0].mean radius is null; a number is expected."),
        (without(wind_speed="x"), "a number or null is expected"),
        (without(carrier=5), "rows[0].carrier is 5; text is expected."),
        (without(carrier=[1]), "rows[0].carrier is a list"),
        (without(weekend=0), "rows[0].weekend is 0; true or false is expected."),
        (without(due="yesterday"), "rows[0].due is the text 'yesterday'; an ISO 8601 time"),
    ],
)
def test_a_row_that_does_not_fit_is_named_with_its_place(row: dict[str, Any], words: str) -> None:
    error = refusal({"rows": [row]})

    assert isinstance(error, Invalid)
    assert words in error.message
    assert error.facts["problems"][0]["path"].startswith("rows[0]")


def test_every_problem_is_found_not_only_the_first() -> None:
    error = refusal({"rows": [without("carrier", weekday="x"), without(weekend=1)]})

    assert [fact["path"] for fact in error.facts["problems"]] == [
        "rows[0].carrier",
        "rows[0].weekday",
        "rows[1].weekend",
    ]
    assert "(2 more)" in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows":[{"mean radius":NaN}]}',
        b'{"rows":[{"mean radius":1e999}]}',
        b'{"rows":[]} x',
        json.dumps({"rows": [ROW]}).replace('"weekday": 3', '"weekday": 3, "weekday": 4').encode(),
        json.dumps({"rows": [{**ROW, "carrier": "U\x00"}]}).encode(),
        b'{"rows":[{"carrier":"\\ud800"}]}',
        b"\xff\xfe",
    ],
)
def test_json_with_no_or_two_meanings_is_malformed(body: bytes) -> None:
    assert isinstance(refusal(body), Malformed)


def test_whole_numbers_may_be_written_as_floats_and_are_logged_as_whole() -> None:
    found = SCHEMA.decode(json.dumps({"rows": [without(weekday=3.0)]}).encode())

    assert b'"weekday":3,' in msgspec.json.encode(found.rows[0])


def test_too_many_rows_are_too_large() -> None:
    assert isinstance(refusal({"rows": [ROW] * 4}), TooLarge)


def test_what_training_never_saw_is_flagged_not_refused() -> None:
    row = without(carrier="ZZ", weekday=9, due="2014-01-01T00:00:00Z", **{"mean radius": -1})

    found = SCHEMA.decode(json.dumps({"rows": [row, ROW]}).encode())

    assert SCHEMA.flags(found.rows[0]) == ["unseen:carrier", "range:mean radius", "range:weekday", "range:due"]
    assert SCHEMA.flags(found.rows[1]) == []


numbers = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=1)
)
rows = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | numbers for name, value in ROW.items()} | {"x": numbers}
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "rows": st.lists(rows, max_size=3) | numbers,
        "key": numbers,
        "at": numbers,
        "release": numbers,
        "y": numbers,
    },
)


@given(envelopes)
def test_whatever_the_quick_reader_refuses_the_patient_one_can_explain(body: Any) -> None:
    try:
        SCHEMA.decode(json.dumps(body).encode())
    except (Malformed, TooLarge):
        pass
    except Invalid as error:
        assert error.facts["problems"]
        assert "request is" not in error.message  # the sentence for what nobody could explain


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,rows0.eE-+ntfu\\ ', max_size=80).map(str.encode))
def test_any_bytes_give_a_request_or_one_of_three_refusals(body: bytes) -> None:
    try:
        SCHEMA.decode(body)
    except (Malformed, Invalid, TooLarge) as error:
        assert error.message


def table(**more: Any) -> pa.Table:
    columns = {
        "carrier": ["UA", "ZZ"],
        "mean radius": [1.0, 99.0],
        "wind_speed": [None, 2.0],
        "weekday": pa.array([1, 2], pa.int16()),
        "weekend": [True, False],
        "due": pa.array(["2013-03-01", "2014-01-01"]).cast(pa.date32()),
    }
    return pa.table({name: values for name, values in {**columns, **more}.items() if values is not None})


def test_a_file_is_held_against_the_same_rules() -> None:
    found = offline.check(table(note=["a", "b"]), FIELDS)

    assert found.flags.to_pylist() == [[], ["unseen:carrier", "range:mean radius", "range:due"]]
    assert found.ignored == ("note",)
    assert found.columns["weekday"].dtype == np.float64
    assert found.columns["due"].dtype == np.dtype("datetime64[us]")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wind_speed": None, "wind_spd": [1.0, 2.0]}, "missing `wind_speed`; got unknown `wind_spd` — renamed?"),
        ({"weekday": ["1", "2"]}, "weekday is a column of string; a whole number is expected."),
        ({"weekday": [1.0, 1.5]}, "weekday is 1.5 in row 1"),
        ({"mean radius": [1.0, None]}, "mean radius is null or NaN in 1 rows, first in row 1; a number is expected."),
        ({"mean radius": [float("nan"), 1.0]}, "mean radius is null or NaN in 1 rows, first in row 0"),
        ({"mean radius": [1.0, float("inf")]}, "mean radius is infinite in row 1"),
        ({"carrier": [1, 2]}, "carrier is a column of int64; text is expected."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_the_same_words(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as caught:
        offline.check(table(**more), FIELDS)

    assert words in caught.value.message


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "carrier": st.sampled_from(["AA", "UA", "ZZ"]),
                "mean radius": st.floats(-100, 100),
                "wind_speed": st.none() | st.floats(-10, 10),
                "weekday": st.integers(-3, 10),
                "weekend": st.booleans(),
                "due": st.sampled_from(["2012-12-31T00:00:00Z", "2013-05-05T05:05:05Z"]),
            }
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_row_gets_the_same_flags_and_numbers_over_http_and_in_a_file(given_rows: list[dict[str, Any]]) -> None:
    asked = SCHEMA.decode(json.dumps({"rows": given_rows}).encode())
    columns = {name: [row[name] for row in given_rows] for name in ROW}
    columns["due"] = [text.removesuffix("Z") for text in columns["due"]]
    types = {"wind_speed": pa.float64(), "due": pa.string()}
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    arrays["due"] = arrays["due"].cast(pa.timestamp("us"))

    filed = offline.check(pa.table(arrays), FIELDS)

    assert filed.flags.to_pylist() == [SCHEMA.flags(row) for row in asked.rows]
    for name, values in SCHEMA.columns(asked.rows).items():
        np.testing.assert_array_equal(filed.columns[name], values)
