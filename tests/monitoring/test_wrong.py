# SPDX-License-Identifier: Apache-2.0
"""When a labelled prediction counts as wrong to the judge of a canary, by what the model answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.lifecycle.serving import prediction_log


@pytest.mark.parametrize(
    ("kind", "value", "label", "expected"),
    [
        ("binary", [0.4, 0.6, 0.5], [1.0, 1.0, 0.0], [True, False, True]),
        ("multiclass", [0.0, 2.0, 1.0], [0.0, 1.0, 1.0], [False, True, False]),
        ("regression", [10.0, 10.0, 10.0], [12.0, 7.0, 10.5], [False, True, False]),
    ],
)
def test_wrong_is_what_the_kind_of_the_answer_makes_it(
    kind: str, value: list[float], label: list[float], expected: list[bool]
) -> None:
    assert prediction_log._is_wrong(kind, np.array(value), np.array(label), 2.0).tolist() == expected


def test_the_usual_error_is_that_of_nine_rows_in_ten(tmp_path: Path) -> None:
    errors = np.append(np.arange(1.0, 101.0), np.nan)
    pq.write_table(pa.table({"_score": errors, "_label": np.zeros(101)}), tmp_path / "evaluation.parquet")

    assert prediction_log._usual_error(tmp_path / "evaluation.parquet") == pytest.approx(90.1)
