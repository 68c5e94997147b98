# SPDX-License-Identifier: Apache-2.0
"""The signature: inferred from a table and a model, written and read as JSON."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats.signature import Column, Output, Signature, infer_signature

FLIGHTS = pa.table(
    {
        "distance": pa.array([200, 1400, 733, 502], pa.int32()),
        "delay": pa.array([1.5, None, float("nan"), -3.0]),
        "carrier": pa.array(["UA", "AA", None, "AA"]).dictionary_encode(),
        "is_holiday": [True, False, False, True],
        "planned": pa.array([datetime.datetime(2013, 1, day) for day in (1, 2, 3, 4)], pa.timestamp("ms")),
        "late": [0, 1, 1, 0],
    }
)


def test_types_nulls_categories_and_ranges_are_read_from_the_table() -> None:
    found = infer_signature(FLIGHTS, "late")

    assert found.inputs == (
        Column(name="distance", type="int", minimum=200, maximum=1400),
        Column(name="delay", type="float", nullable=True, minimum=-3.0, maximum=1.5),
        Column(name="carrier", type="str", nullable=True, categories=("AA", "UA")),
        Column(name="is_holiday", type="bool"),
        Column(name="planned", type="datetime", minimum="2013-01-01T00:00:00", maximum="2013-01-04T00:00:00"),
    )
    assert found.output == Output(type="binary", classes=(0, 1), positive=1)


def test_the_model_says_which_columns_and_in_which_order() -> None:
    import pandas as pd

    frame = pd.DataFrame({"delay": [1.0, 2.0, 3.0, 4.0], "distance": [1.0, 2.0, 5.0, 4.0]})
    fitted = LogisticRegression().fit(frame, ["late", "fine", "late", "lost"])
    loaded = formats.load("sklearn", formats.save(fitted).files)

    for model in (fitted, loaded):
        found = infer_signature(FLIGHTS, "late", model)
        assert [column.name for column in found.inputs] == ["delay", "distance"]
        assert found.output == Output(type="multiclass", classes=("fine", "late", "lost"))


def test_a_regressor_answers_a_number_even_if_there_are_two_values() -> None:
    model = LinearRegression().fit(np.ones((4, 5)), [0, 1, 1, 0])

    assert infer_signature(FLIGHTS, "late", model).output == Output(type="regression")


def test_a_column_of_the_model_that_the_table_has_not_is_named() -> None:
    import pandas as pd

    model = LinearRegression().fit(pd.DataFrame({"wind": [1.0, 2.0], "delay": [2.0, 1.0]}), [0, 1])

    with pytest.raises(Invalid, match="fitted on column 'wind', which the table has not"):
        infer_signature(FLIGHTS, "late", model)


def test_a_type_that_no_model_takes_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="column 'tags' is list"):
        infer_signature(pa.table({"tags": [["a"], ["b"]]}), None)


def test_many_different_texts_are_no_categories() -> None:
    table = pa.table({"name": [f"name-{n}" for n in range(101)]})

    assert infer_signature(table, None).inputs == (Column(name="name", type="str"),)


def test_a_column_of_nothing_but_nulls_has_no_range() -> None:
    table = pa.table({"a": pa.array([None, None], pa.float64()), "b": pa.nulls(2), "c": pa.array([float("inf")] * 2)})

    assert infer_signature(table, None).inputs == tuple(Column(name=n, type="float", nullable=True) for n in "abc")


def test_arrays_are_what_the_model_takes() -> None:
    import pandas as pd

    frame = FLIGHTS.select(["delay", "carrier", "is_holiday"]).to_pandas()
    frame["carrier"], frame["is_holiday"] = pd.Categorical(frame["carrier"]), frame["is_holiday"].astype(float)
    fitted = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=1).fit(frame, [0, 1, 1, 0])
    model = formats.load("sklearn", formats.save(fitted).files)

    arrays = infer_signature(FLIGHTS, "late", model).arrays(FLIGHTS)

    assert [array.dtype.kind for array in arrays.values()] == ["f", "O", "f"]
    np.testing.assert_array_equal(arrays["delay"], [1.5, np.nan, np.nan, -3.0])
    assert arrays["carrier"].tolist() == ["UA", "AA", None, "AA"]
    assert arrays["is_holiday"].tolist() == [1.0, 0.0, 0.0, 1.0]
    np.testing.assert_array_equal(model.predict(arrays), fitted.predict_proba(frame)[:, 1])


def test_a_missing_column_is_refused_if_it_is_required_and_empty_if_not() -> None:
    kinds = ("float", "str", "datetime")
    optional = tuple(Column(name=f"o-{kind}", type=kind, required=False) for kind in kinds)  # type: ignore[arg-type]
    table = pa.table({"x": [1, 2]})

    found = Signature(inputs=optional, output=Output(type="regression")).arrays(table)

    assert np.isnan(found["o-float"]).all() and found["o-str"].tolist() == [None, None]
    assert np.isnat(found["o-datetime"]).all()
    with pytest.raises(Invalid, match="column 'y' is missing; the table has 'x'"):
        Signature(inputs=(Column(name="y", type="int"),), output=Output(type="regression")).arrays(table)


def test_a_text_where_a_number_belongs_is_refused_by_column() -> None:
    signature = Signature(inputs=(Column(name="x", type="float"),), output=Output(type="regression"))

    with pytest.raises(Invalid, match="column 'x' is string, and cannot be read as float"):
        signature.arrays(pa.table({"x": ["far"]}))


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
COLUMNS = st.one_of(
    st.builds(
        Column,
        name=st.text(min_size=1),
        type=st.sampled_from(["float", "int"]),
        required=st.booleans(),
        nullable=st.booleans(),
        categories=st.none(),
        minimum=st.none() | NUMBERS,
        maximum=st.none() | NUMBERS,
    ),
    st.builds(
        Column,
        name=st.text(min_size=1),
        type=st.just("str"),
        required=st.booleans(),
        nullable=st.booleans(),
        categories=st.none() | st.lists(st.text()).map(tuple),
        minimum=st.none(),
        maximum=st.none(),
    ),
    st.builds(
        Column,
        name=st.text(min_size=1),
        type=st.just("datetime"),
        categories=st.none(),
        minimum=st.none() | st.datetimes().map(datetime.datetime.isoformat),
        maximum=st.none() | st.dates().map(datetime.date.isoformat),
    ),
)
OUTPUTS = st.one_of(
    st.just(Output(type="regression")),
    st.lists(st.text(), min_size=2, unique=True).map(lambda c: Output(type="multiclass", classes=tuple(c))),
    st.lists(st.integers(), min_size=2, max_size=2, unique=True).map(
        lambda c: Output(type="binary", classes=tuple(c), positive=c[1])
    ),
)


@given(inputs=st.lists(COLUMNS, unique_by=lambda column: column.name), output=OUTPUTS)
def test_a_signature_survives_json(inputs: list[Column], output: Output) -> None:
    signature = Signature(inputs=tuple(inputs), output=output)

    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature


GOOD: dict[str, Any] = {"inputs": [{"name": "x", "type": "float"}], "output": {"type": "regression"}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "a signature is an object"),
        ({**GOOD, "more": 1}, "a signature is an object"),
        ({**GOOD, "inputs": [{"name": "x"}]}, r"inputs\[0\] of a signature has 'name' and 'type'"),
        ({**GOOD, "inputs": [GOOD["inputs"][0]] * 2}, "names column 'x' twice"),
        ({**GOOD, "inputs": [{"name": "x", "type": "tensor"}]}, r"inputs\[0\] .* its type is one of float"),
        ({**GOOD, "inputs": [{"name": "x", "type": "float", "nullable": 1}]}, "wrong type"),
        ({**GOOD, "inputs": [{"name": "x", "type": "float", "minimum": "low"}]}, "wrong type"),
        ({**GOOD, "inputs": [{"name": "x", "type": "float", "minimum": True}]}, "wrong type"),
        ({**GOOD, "output": {"type": "binary"}}, "binary and multiclass come with 'classes'"),
        ({**GOOD, "output": {"type": "regression", "classes": [1]}}, "binary and multiclass come with 'classes'"),
        ({**GOOD, "output": {"type": "binary", "classes": [0, 1], "positive": 2}}, "'positive' is 2"),
        ({**GOOD, "output": {"type": "binary", "classes": [0, []]}}, "list of texts and numbers"),
    ],
)
def test_what_is_no_signature_is_refused_with_its_place(data: Any, words: str) -> None:
    assert Signature.from_json(GOOD).to_json() == {
        "inputs": [{"name": "x", "type": "float", "required": True, "nullable": False}],
        "output": {"type": "regression"},
    }

    with pytest.raises(Invalid, match=words):
        Signature.from_json(data)


def test_labels_are_places_among_the_classes_and_strangers_are_named() -> None:
    output = Output(type="multiclass", classes=("fast", "slow", "usual"))
    labels = pa.chunked_array([["slow", None], ["fast", "usual", "slow"]])

    places = output.places(labels)

    assert np.isnan(places[1]) and places[[0, 2, 3, 4]].tolist() == [1.0, 0.0, 2.0, 1.0]
    with pytest.raises(Invalid, match="there is label 'late'; the model knows 'fast', 'slow', 'usual'"):
        output.places(pa.chunked_array([["slow", "late"]]))
    assert Output(type="multiclass", classes=(1, 5, 7)).places(pa.chunked_array([[7, 1]])).tolist() == [2.0, 0.0]
