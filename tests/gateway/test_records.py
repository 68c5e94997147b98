# SPDX-License-Identifier: Apache-2.0
"""What becomes of a model's values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from mainstay.formats.signature import Signature
from mainstay.gateway.fields import read_fields
from mainstay.gateway.records import Answer, encode_answer, judge
from mainstay.gateway.validation import Request, Schema

SCHEMA = Schema(
    read_fields(
        Signature.from_json(
            {"inputs": [{"name": "x", "type": "float", "maximum": 5}], "output": {"type": "regression"}}
        )
    )
)


def request(*numbers: float) -> Request:
    return SCHEMA.decode(json.dumps({"rows": [{"x": number} for number in numbers]}).encode())


def answered(values: Any, classes: list[Any] | None = None) -> list[dict[str, Any]]:
    judged = judge(np.array(values, dtype=float), classes, request(*range(len(values))), SCHEMA)
    answer = Answer(judged.predictions([f"id{n}" for n in range(len(values))]), 7, "m/2", "champion")
    return json.loads(encode_answer(answer))["predictions"]


def test_a_value_is_passed_on_to_the_last_digit() -> None:
    assert answered([0.1 + 0.2]) == [{"id": "id0", "value": 0.1 + 0.2}]


def test_a_value_that_is_no_number_is_null_with_its_status_and_its_neighbours_stand() -> None:
    told = answered([0.5, float("nan"), float("inf")])

    assert [one["value"] for one in told] == [0.5, None, None]
    assert [one.get("status") for one in told] == [None, "invalid_output", "invalid_output"]


def test_more_than_two_classes_answer_with_the_likeliest_its_label_and_all_scores() -> None:
    told = answered([[0.1, 0.7, 0.2], [float("nan"), 0.5, 0.5]], ["setosa", "virginica", "versicolor"])

    assert told[0] == {"id": "id0", "value": 1.0, "label": "virginica", "scores": [0.1, 0.7, 0.2]}
    assert told[1]["value"] is None
    assert told[1]["status"] == "invalid_output"


def test_a_flag_is_told_to_the_caller() -> None:
    judged = judge(np.array([1.0]), None, request(9.0), SCHEMA)

    assert judged.predictions(["id"])[0].flags == ["range:x"]
