# SPDX-License-Identifier: Apache-2.0
"""Figures, tables and values as files that their readers can read."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from mainstay.client import renderings
from mainstay.domain.errors import Invalid

matplotlib.use("agg")

COLUMNS = {"a": [1, 2], "b": ["x", None]}


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame(COLUMNS),
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        COLUMNS,
        [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
    ],
    ids=["pandas", "polars", "arrow", "columns", "rows"],
)
def test_a_table_of_any_kind_is_the_same_table(rows: Any) -> None:
    expected = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]

    assert parquet.read_table(io.BytesIO(renderings.table("t.parquet", rows))).to_pylist() == expected
    assert json.loads(renderings.table("t.json", rows)) == expected
    assert csv.read_csv(io.BytesIO(renderings.table("t.csv", rows)))["a"].to_pylist() == [1, 2]


@pytest.mark.parametrize("rows", [3, "text", [1, 2], {"a": [1], "b": [1, 2]}])
def test_what_is_no_table_is_refused_with_one_sentence(rows: Any) -> None:
    with pytest.raises(Invalid, match=r"table 't\.csv' is a .* that makes no table"):
        renderings.table("t.csv", rows)
    with pytest.raises(Invalid, match="has no ending"):
        renderings.table("t", COLUMNS)


@pytest.mark.parametrize(
    ("path", "magic"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF"), ("f", b"\x89PNG")]
)
def test_a_figure_is_written_as_its_name_says(path: str, magic: bytes) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([1, 2])

    assert renderings.figure(path, figure).startswith(magic)
    assert renderings.figure(path, axes).startswith(magic)


def test_an_image_is_written_too_and_what_is_none_is_refused() -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    assert renderings.figure("i.png", Image.new("RGB", (2, 2))).startswith(b"\x89PNG")
    with pytest.raises(Invalid, match="cannot be written as 'xyz'"):
        renderings.figure("f.xyz", Figure())
    with pytest.raises(Invalid, match="is a list; one of Matplotlib"):
        renderings.figure("f.png", [1, 2])


def test_a_value_is_json_for_people() -> None:
    value = {"when": date(2013, 1, 2), "x": np.float32(0.5), "y": np.arange(2), "z": {2, 1}, "ü": None}

    found = renderings.as_json("v.json", value)

    assert json.loads(found) == {"when": "2013-01-02", "x": 0.5, "y": [0, 1], "z": [1, 2], "ü": None}
    for odd in ({"a": object()}, {"a": float("nan")}):
        with pytest.raises(Invalid, match=r"'v\.json' holds what JSON cannot"):
            renderings.as_json("v.json", odd)
