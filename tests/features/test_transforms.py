# SPDX-License-Identifier: Apache-2.0
"""Expressions and transforms: what they give, that they always end and raise nothing, and what is refused when it is read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid
from mainstay.features import expressions, transforms
from mainstay.features.transforms import Transform

A, B, S, T, F = (["input", name] for name in "abstf")
KINDS = {"a": "float", "b": "float", "n": "int", "s": "str", "t": "datetime", "u": "datetime", "f": "bool"}
MOMENT = datetime(2024, 2, 29, 13, 5, tzinfo=UTC)
ROW = {"a": 7.0, "b": 2.0, "n": 5, "s": "Ab", "t": MOMENT, "u": MOMENT - timedelta(hours=2), "f": True}


def value(tree: Any, **facts: Any) -> Any:
    row = ROW | facts
    return expressions.read(tree, KINDS).evaluate([row[name] for name in KINDS])


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (["/", A, B], 3.5),
        (["//", ["input", "n"], ["value", 2]], 2),
        (["%", ["input", "n"], ["value", 3]], 2),
        (["**", A, ["value", 2]], 49.0),
        (["+", S, ["value", "!"]], "Ab!"),
        (["if", [">", A, B], ["value", 1], ["value", 0.5]], 1.0),
        (["one_of", S, "x", "Ab"], True),
        (["contains", S, ["value", "b"]], True),
        (["seconds", ["-", T, ["input", "u"]]], 7200.0),
        (["weekday", T], 3),
        (["round", ["/", A, ["value", 3]], ["value", 2]], 2.33),
        (["round", A], 7),
        (["int", F], 1),
        (["max", A, ["input", "n"]], 7.0),
        (["log1p", A], math.log1p(7.0)),
        (["not", ["==", S, ["value", "ab"]]], True),
    ],
)
def test_an_expression_gives_what_it_says(tree: Any, expected: Any) -> None:
    found = value(json.loads(json.dumps(tree)))

    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "tree",
    [
        ["/", A, ["value", 0]],
        ["log", ["value", -1]],
        ["sqrt", ["negative", A]],
        ["exp", ["value", 10_000]],
        ["*", ["value", 2**62], ["input", "n"]],
        ["**", ["negative", A], ["value", 0.5]],
        ["**", ["value", 10.0], ["value", 400]],
        ["+", A, ["value", None]],
        ["if", ["value", None], A, B],
        ["and", F, ["value", None]],
    ],
)
def test_what_cannot_be_computed_or_is_not_known_is_null(tree: Any) -> None:
    assert value(tree) is None


def test_what_is_decided_is_decided_whatever_is_not_known_beside_it() -> None:
    unknown = [">", A, B]

    assert value(["or", F, unknown], a=None) is True
    assert value(["and", ["not", F], unknown], a=None) is False
    assert value(["if", F, B, ["/", A, ["value", 0]]], a=None) == 2.0
    assert value(["is_null", A], a=None) is True and value(["is_null", A]) is False


def test_a_text_does_not_grow_without_end() -> None:
    tree: Any = S
    for _ in range(7):
        tree = ["+", tree, tree]

    assert value(tree, s="x" * 78) == "x" * 78 * 128
    assert value(tree, s="x" * 79) is None


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (["+", A, S], "takes no float and str"),
        (["<", S, A], "takes no str and float"),
        (["and", A, F], "takes no float and bool"),
        (["if", A, A, B], "takes no float and float and float"),
        (["if", F, A, S], "takes no bool and float and str"),
        (["*", S, ["value", 9]], "takes no str and int"),
        (["one_of", S, 1], "values of its type"),
        (["__import__", ["value", "os"]], "there is no operation '__import__'"),
        (["input", "z"], "reads 'z'; its inputs are a, b, n"),
        (["input", ["x"]], "reads"),
        (["value", [1]], "is no value"),
        (["value", 1e999], "is no value"),
        (["value", 2**63], "is no value"),
        (["+"], "is no expression"),
        ("a", "is no expression"),
        ([1, 2], "is no expression"),
        (["len", A], "takes no float"),
        (["abs", A, B], "takes no float and float"),
        (["is_null", A, B], "takes no float and float"),
    ],
)
def test_what_says_no_expression_is_refused_when_it_is_read(tree: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told.replace("(", r"\(")):
        expressions.read(tree, KINDS)


def test_an_expression_has_no_more_parts_and_levels_than_it_may() -> None:
    deep: Any = A
    for _ in range(expressions.DEEPEST):
        deep = ["negative", deep]
    with pytest.raises(Invalid, match="nested deeper"):
        expressions.read(deep, KINDS)
    with pytest.raises(Invalid, match="more than 500 parts"):
        expressions.read(["max", *[A] * 600], KINDS)


TREES = st.recursive(
    st.one_of(
        st.sampled_from([["input", name] for name in KINDS]),
        st.builds(
            lambda each: ["value", each], st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9))
        ),
    ),
    lambda part: st.builds(
        lambda name, parts: [name, *parts],
        st.sampled_from(sorted(expressions._OPERATIONS)),
        st.lists(part, min_size=1, max_size=3),
    ),
    max_leaves=12,
)


@given(tree=TREES, known=st.lists(st.booleans(), min_size=7, max_size=7))
def test_whatever_is_read_gives_a_value_of_its_type_or_null_and_raises_nothing(tree, known) -> None:
    try:
        found = expressions.read(tree, KINDS)
    except Invalid:
        return
    types = {
        "float": (float, int),
        "int": int,
        "str": str,
        "bool": bool,
        "datetime": datetime,
        "duration": float,
        "null": (),
    }

    given_ = [ROW[name] if is_known else None for name, is_known in zip(KINDS, known, strict=True)]
    made = found.evaluate(given_)

    assert made is None or isinstance(made, types[found.kind])


def ratio(**facts: Any) -> Transform:
    told: dict[str, Any] = {"kind": "float", "inputs": [("a", "float"), ("b", "float")], "moment": None}
    return transforms.make("ratio", **(told | {"expression": ["/", A, B]} | facts))


def test_a_column_holds_what_one_row_gives_and_may_be_read_by_the_next() -> None:
    hour = transforms.make(
        "hour", kind="int", inputs=[("now", "datetime")], moment="now", expression=["hour", ["input", "now"]]
    )
    more = transforms.make("more", kind="float", inputs=[("ratio", "float"), ("hour", "int")], moment=None,
                           expression=["+", ["input", "ratio"], ["input", "hour"]])  # fmt: skip
    zone = timezone(timedelta(hours=3))
    table = pa.table(
        {
            "a": pa.array([1, 2, None, 4], pa.int32()),
            "b": [2.0, 0.0, 1.0, math.nan],
            "asked": pa.array([MOMENT.astimezone(zone)] * 4, pa.timestamp("ns", "+03:00")),
        }
    )

    found = transforms.added(table, [ratio(), hour, more], time="asked")

    assert found["ratio"].to_pylist() == [0.5, None, None, None]
    assert found["hour"].to_pylist() == [13] * 4
    assert found["more"].to_pylist() == [13.5, None, None, None]
    rows = [ratio().apply(row) for row in zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)]
    assert rows == found["ratio"].to_pylist()


def test_a_transform_comes_back_as_it_was_written_and_another_one_has_another_digest() -> None:
    held = json.loads(json.dumps(ratio().to_json()))

    assert transforms.from_json(held).to_json() == held
    assert transforms.from_json(held).digest == ratio().digest != ratio(expression=["/", B, A]).digest


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"kind": "int"}, "gives float; int is declared"),
        ({"kind": "number"}, "float, int, str, bool, datetime are possible"),
        ({"moment": "a"}, "no input 'a' of type datetime"),
        ({"expression": ["+", A]}, "cannot be carried out"),
        ({"expression": None}, "cannot be carried out"),
    ],
)
def test_a_transform_that_cannot_be_is_refused(facts: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        ratio(**facts)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"a": [1.0]}, "reads 'b', and the table has a"),
        ({"a": [1.0], "b": ["x"]}, "reads 'b' as float, and that column is string"),
        ({"a": [1.0], "b": [1.0], "ratio": [1.0]}, "stands in the table already"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        transforms.added(pa.table(table), [ratio()], time=None)


@pytest.mark.parametrize(
    "held", [{}, {"name": "x"}, ratio().to_json() | {"inputs": ["a"]}, ratio().to_json() | {"type": 5}]
)
def test_what_is_no_transform_is_refused(held: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        transforms.from_json(held)
