# SPDX-License-Identifier: Apache-2.0
"""Evidence for the gates: whose answers can be held against whose, and in which order of classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mainstay.domain.errors import Invalid
from mainstay.engine import registration
from mainstay.engine.jobs import judge_release
from mainstay.formats.signature import Column, Output, Signature

THREE = Output(type="multiclass", classes=("a", "b", "c"))
TWO = Output(type="binary", classes=("a", "b"), positive="b")
OTHER_THREE = Output(type="multiclass", classes=("a", "b", "d"))
NUMBER = Output(type="regression")


def test_a_champion_s_scores_stand_in_the_candidate_s_order() -> None:
    champion = Output(type="multiclass", classes=("c", "a", "b"))
    scores = np.array([[0.7, 0.2, 0.1]])

    assert judge_release._incomparable(champion, THREE) is None
    assert judge_release._in_order_of(THREE, champion, scores).tolist() == [[0.2, 0.1, 0.7]]


@pytest.mark.parametrize(
    ("champion", "candidate", "words"),
    [
        (NUMBER, THREE, "the champion's answer is regression, the candidate's multiclass."),
        (OTHER_THREE, THREE, "the champion knows classes 'a', 'b', 'd', the candidate 'a', 'b', 'c'."),
        (Output(type="binary", classes=("a", "b"), positive="a"), TWO, "the champion scores class 'a', not 'b'."),
    ],
)
def test_answers_of_another_kind_are_not_compared(champion: Output, candidate: Output, words: str) -> None:
    assert judge_release._incomparable(champion, candidate) == words


@pytest.mark.parametrize(
    ("output", "labels", "expected"),
    [(THREE, ["c", "a"], [2.0, 0.0]), (NUMBER, [1.5, 2.0], [1.5, 2.0]), (TWO, [1, 0], [1, 0])],
)
def test_labels_are_numbers_of_the_candidate_s_kind(output: Output, labels: list, expected: list) -> None:
    table = pa.table({"_label": labels})

    found = judge_release._labels(table, Signature(inputs=(Column(name="x", type="float"),), output=output))

    assert found.to_pylist() == expected


@pytest.mark.parametrize(
    ("output", "labels", "words"),
    [
        (THREE, ["a", "late"], "there is label 'late'; the model knows 'a', 'b', 'c'"),
        (TWO, ["a", "c"], "there is label 'c'; the model knows 'a', 'b'"),
        (NUMBER, ["1.5", "2"], "the holdout's target is string, and the model answers a number"),
    ],
)
def test_a_holdout_with_other_labels_than_the_model_answers_is_refused(
    output: Output, labels: list, words: str
) -> None:
    signature = Signature(inputs=(Column(name="x", type="float"),), output=output)

    with pytest.raises(Invalid, match=words):
        registration._labels(pa.chunked_array([labels]), signature)
