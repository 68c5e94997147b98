# SPDX-License-Identifier: Apache-2.0
"""How alike two results are: bytes first, then numbers within a tolerance, and never anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mainstay.engine import materialise
from mainstay.engine.repeating import alikeness

TABLE = {"x": [1.0, 2.0, None], "name": ["a", "b", "c"], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    ("before", "after", "word", "told"),
    [
        ({"auc": 0.5}, {"auc": 0.5}, "identical", "the same bytes"),
        ({"auc": 0.5}, {"auc": 0.5 + 1e-12}, "equivalent", "auc is 0.5 in place of 0.5"),
        ({"auc": 0.5}, {"auc": 0.6}, "different", "auc is 0.6 in place of 0.5"),
        ({"auc": [0.5, float("nan")]}, {"auc": [0.5, float("nan")]}, "identical", "the same bytes"),
        ({"n": 3}, {"n": 4}, "different", "n is 4 in place of 3"),
        ({"n": 3}, {"n": 3.0}, "different", "n is 3.0 in place of 3"),
        ({"a": 1}, {"b": 1}, "different", "the value is {'b': 1} in place of {'a': 1}"),
        (
            pa.table(TABLE),
            pa.table({**TABLE, "x": [1.0, 2.0 + 1e-12, None]}),
            "equivalent",
            "column 'x' is apart by up to",
        ),
        (pa.table(TABLE), pa.table({**TABLE, "x": [1.0, 2.1, None]}), "different", "column 'x' is apart by up to"),
        (pa.table(TABLE), pa.table({**TABLE, "x": [1.0, None, None]}), "different", "column 'x' has other values"),
        (pa.table(TABLE), pa.table({**TABLE, "name": ["a", "b", "d"]}), "different", "column 'name' has other values"),
        (pa.table(TABLE), pa.table(TABLE).slice(1), "different", "2 rows in place of 3"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-12]), "equivalent", "the array is apart by up to"),
        (np.array([1, 2]), np.array([1, 3]), "different", "the array has other values"),
        ({"auc": 0.5}, np.array([0.5]), "different", "a numpy in place of a json"),
    ],
)
def test_only_numbers_are_given_a_tolerance(platform: Any, before: Any, after: Any, word: str, told: str) -> None:
    a, b = materialise.write(before, platform), materialise.write(after, platform)

    verdict, sentence = alikeness.of(a, b, platform, platform, tolerance=1e-9)

    assert verdict == word
    assert sentence.startswith(told)
