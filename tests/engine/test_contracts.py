# SPDX-License-Identifier: Apache-2.0
"""Contracts written in code: read from models of pandera, and held against what a step returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pandera.pandas as pa_pandas
import pandera.polars as pa_polars
import polars as pl
import pyarrow as pa
import pytest
from pandera.typing import DataFrame

import mainstay as ms
from mainstay.domain import contract_toml
from mainstay.domain.errors import Invalid
from mainstay.engine import contracts
from mainstay.measures import rules


class Trips(pa_pandas.DataFrameModel):
    """What a pandera model can say that a contract can too."""

    id: int = pa_pandas.Field(ge=1, lt=100, unique=True)
    carrier: str = pa_pandas.Field(isin=["AA", "UA"])
    tail: str = pa_pandas.Field(nullable=True, str_matches=r"N\d+")
    share: float = pa_pandas.Field(gt=0.0, le=1.0)

    class Config:
        """A key of two columns."""

        unique = ["id", "carrier"]  # noqa: RUF012


class Rows(pa_polars.DataFrameModel):
    """The same words of its Polars side."""

    id: int = pa_polars.Field(in_range={"min_value": 0, "max_value": 9, "include_max": False})
    day: pl.Date
    at: pl.Datetime
    zoned: Annotated[pl.Datetime, "us", "UTC"]


GOOD = pa.table({"id": [1, 2], "carrier": ["AA", "UA"], "tail": ["N1x", None], "share": [0.5, 1.0], "more": [0, 0]})


def test_a_model_of_pandera_becomes_the_same_contract_that_toml_gives() -> None:
    found = ms.contract(Trips)

    assert contract_toml.read(found.toml("trips"), "trips") == found
    assert [(c.name, c.type, c.nullable, c.unique, c.on_violation) for c in found.columns] == [
        ("id", "integer", False, True, "refuse"),
        ("carrier", "text", False, False, "refuse"),
        ("tail", "text", True, False, "refuse"),
        ("share", "number", False, False, "refuse"),
    ]
    assert (found.columns[0].minimum, found.columns[0].maximum, found.keys) == (1, 99, (("id", "carrier"),))
    assert found.columns[1].categories == ("AA", "UA")


def test_times_and_ranges_of_polars_are_understood() -> None:
    found = {column.name: column for column in ms.contract(Rows).columns}

    assert {name: column.type for name, column in found.items()} == {
        "id": "integer",
        "day": "date",
        "at": "local_time",
        "zoned": "time",
    }
    assert (found["id"].minimum, found["id"].maximum) == (0, 8)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"str_matches": "ab"}, "abc", "xab"),
        ({"str_contains": "b+"}, "abbc", "ac"),
        ({"str_startswith": "a."}, "a.b", "ab"),
        ({"str_endswith": "b"}, "a\nb", "ba"),
        ({"str_length": {"min_value": 2, "max_value": 3}}, "äöü", "x"),
    ],
)
def test_a_text_rule_means_what_pandera_means_by_it(field: dict[str, Any], good: str, bad: str) -> None:
    [(name, said)] = field.items()
    check = getattr(pa_pandas.Check, name)(**said) if isinstance(said, dict) else getattr(pa_pandas.Check, name)(said)
    schema = pa_pandas.DataFrameSchema({"x": pa_pandas.Column(str, check)})

    [(_, mask)] = rules.broken(ms.contract(schema).columns[0], pa.chunked_array([[good, bad]]))

    assert mask.to_pylist() == [False, True]
    schema.validate(pd.DataFrame({"x": [good]}))
    with pytest.raises(Exception, match="fail"):
        schema.validate(pd.DataFrame({"x": [bad]}))


def test_what_a_contract_has_no_word_for_is_an_error_and_not_left_out() -> None:
    odd = pa_pandas.DataFrameSchema({"n": pa_pandas.Column(int, pa_pandas.Check(lambda s: s % 2 == 0))})
    listed = pa_pandas.DataFrameSchema({"n": pa_pandas.Column(int, pa_pandas.Check.isin([1, 2]))})
    absent = pa_pandas.DataFrameSchema({"n": pa_pandas.Column(int, required=False)})

    for schema, told in ((odd, "no word"), (listed, "'isin', for which"), (absent, "may be absent")):
        with pytest.raises(Invalid, match=told):
            ms.contract(schema)
    with pytest.raises(Invalid, match=r"pandera model or of TOML; a builtins.int was given"):
        ms.contract(3)


def test_a_contract_is_found_in_an_annotation() -> None:
    plain = ms.contract('[contract.t.columns.x]\ntype = "integer"')

    assert contracts.contract_of(Annotated[pl.DataFrame, Trips]) == ms.contract(Trips)
    assert contracts.contract_of(Annotated[pd.DataFrame, "words", plain]) is plain
    assert contracts.contract_of(DataFrame[Trips]) == ms.contract(Trips)
    assert contracts.contract_of(pl.DataFrame) is contracts.contract_of(Annotated[int, "words"]) is None


def test_a_table_that_keeps_its_contract_may_hold_more() -> None:
    contracts.check(GOOD, ms.contract(Trips))


def test_a_table_that_breaks_its_contract_is_refused_with_its_bad_rows() -> None:
    kept: list[bytes] = []
    bad = GOOD.set_column(3, "share", pa.array([0.5, 1.5])).set_column(2, "tail", pa.array(["N1", "X"]))

    with pytest.raises(
        Invalid, match="the result of 'load' breaks its contract: column 'tail' holds 1 values"
    ) as caught:
        contracts.check(bad, ms.contract(Trips), "the result of 'load'", put=lambda data: kept.append(data) or "f" * 64)

    assert [problem["column"] for problem in caught.value.facts["problems"]] == ["tail", "share"]
    assert caught.value.facts["rows_blob"] == "f" * 64
    assert [row["row"] for row in json.loads(kept[0])["rows"]] == [2]
    with pytest.raises(Invalid, match="'carrier' is missing"):
        contracts.check(GOOD.drop_columns(["carrier"]), ms.contract(Trips))


def test_a_contract_is_read_from_a_file_with_one_section_or_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mainstay.toml"
    file.write_text('[contract.a.columns.x]\ntype = "integer"\n[contract.b.columns.y]\ntype = "text"\n')

    assert ms.contract(file, "b").columns[0].name == "y"
    with pytest.raises(Invalid, match=r"contracts for a, b; say which"):
        ms.contract(file)
