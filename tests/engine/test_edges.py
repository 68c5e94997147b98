# SPDX-License-Identifier: Apache-2.0
"""Edges and results: compared before anything runs, named, and held against contracts."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mainstay.domain.errors import Invalid

HEAD = """
    from typing import Annotated, NamedTuple
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import mainstay as ms
    from mainstay.domain.contract_toml import Intent
    from mainstay.domain.contracts import Column

    SOLD = Intent(columns=(Column(name="price", type="number", nullable=False, minimum=0.0, on_violation="refuse"),))
"""


def flow_of(make_project, body: str):
    text = textwrap.dedent(HEAD) + textwrap.dedent(body)
    return make_project(flights=text).load()


@pytest.mark.parametrize(
    ("given", "wanted", "made"),
    [
        ("pl.DataFrame", "pd.DataFrame", "pl.DataFrame({'price': [1.0]})"),
        ("pa.Table", "pl.DataFrame | None", "pa.table({'price': [1.0]})"),
        ("int", "float", "1"),
        ("dict[str, float]", "dict", "{'a': 1.0}"),
        ("list[pl.DataFrame]", "list", "[]"),
        ("Annotated[pl.DataFrame, SOLD]", "pd.DataFrame", "pl.DataFrame({'price': [1.0]})"),
    ],
)
def test_results_that_fit_go_on_and_tables_are_converted(platform, make_project, given, wanted, made):
    flow = flow_of(
        make_project,
        f"""
        @ms.step
        def make() -> {given}:
            return {made}

        @ms.step
        def take(value: {wanted}) -> str:
            return type(value).__module__.partition(".")[0]

        @ms.pipeline
        def flow():
            take(make())
        """,
    )

    done = flow.run(platform)

    library = {"pd": b'"pandas"', "pl": b'"polars"'}.get(wanted[:2])
    assert library is None or platform.blobs[done.steps[-1].outputs["value"].digest] == library


@pytest.mark.parametrize(
    ("given", "wanted", "told"),
    [
        ("dict[str, float]", "pl.DataFrame", "takes value: polars.DataFrame, and flights.make gives dict[str, float];"),
        ("str", "int", "takes value: int, and flights.make gives str;"),
        ("float", "int", "takes value: int, and flights.make gives float;"),
        ("str", "list[int]", "takes value: list[int], and flights.make gives str;"),
    ],
)
def test_results_that_cannot_fit_are_refused_before_anything_runs(platform, make_project, given, wanted, told):
    flow = flow_of(
        make_project,
        f"""
        @ms.step
        def make() -> {given}:
            raise AssertionError("nothing may run")

        @ms.step
        def take(value: {wanted}) -> str:
            return ""

        @ms.pipeline
        def flow():
            take(make())
        """,
    )

    with pytest.raises(Invalid) as refusal:
        flow.plan(platform)

    assert told in refusal.value.message
    assert platform.runs == {}


def test_a_list_of_results_is_compared_item_by_item(platform, make_project):
    flow = flow_of(
        make_project,
        """
        @ms.step
        def number() -> int:
            return 1

        @ms.step
        def word() -> str:
            return "a"

        @ms.step
        def total(values: list[int]) -> int:
            return sum(values)

        @ms.pipeline
        def flow():
            total([number(), word()])
        """,
    )

    with pytest.raises(Invalid, match=r"flights\.word gives str"):
        flow.plan(platform)


@pytest.mark.parametrize(
    "annotation", ['ms.Out["train", "test"]', 'Annotated[tuple[pl.DataFrame, int], ms.Out["train", "test"]]']
)
@pytest.mark.parametrize("result", ["(TABLE, 3)", "{'test': 3, 'train': TABLE}"])
def test_results_go_by_the_names_that_out_gives_them(platform, make_project, annotation, result):
    flow = flow_of(
        make_project,
        f"""
        TABLE = pl.DataFrame({{"price": [1.0, 2.0]}})

        @ms.step
        def split() -> {annotation}:
            return {result}

        @ms.step
        def count(table: pl.DataFrame, plus: int) -> int:
            return table.height + plus

        @ms.pipeline
        def flow():
            parts = split()
            train, test = split()
            count(parts.train, parts["test"])
            count(train, test)
        """,
    )

    done = flow.run(platform)

    assert list(done.steps[0].outputs) == ["train", "test"]
    assert platform.blobs[done.steps[-1].outputs["value"].digest] == b"5"


def test_a_name_that_out_does_not_give_is_refused(platform, make_project):
    flow = flow_of(
        make_project,
        """
        @ms.step
        def split() -> ms.Out["train", "test"]:
            return 1, 2

        @ms.pipeline
        def flow():
            split()["judged"]
        """,
    )

    with pytest.raises(Invalid, match="no result 'judged'; the annotation promises train, test"):
        flow.plan(platform)


def test_a_result_that_breaks_its_contract_goes_no_further_and_its_bad_rows_are_kept(platform, make_project):
    flow = flow_of(
        make_project,
        """
        @ms.step
        def load(low: float) -> Annotated[pl.DataFrame, SOLD]:
            return pl.DataFrame({"price": [1.0, low]})

        @ms.step
        def mean(table: pl.DataFrame) -> float:
            return float(table["price"].mean())

        @ms.pipeline
        def flow(low: float):
            mean(load(low))
        """,
    )
    assert flow.run(platform, low=0.5).summary() == "2 steps: 2 ran"

    with pytest.raises(Invalid, match=r"the result of step flights\.load breaks its contract"):
        flow.run(platform, low=-5.0)

    failed = [run for run in platform.runs.values() if run["kind"] == "step" and run["state"] == "failed"]
    assert [artifact["path"] for artifact in failed[0]["artifacts"]] == ["broken-rows.json"]


def test_a_contract_of_one_of_several_results_is_held_too(platform, make_project):
    flow = flow_of(
        make_project,
        """
        class Parts(NamedTuple):
            sold: Annotated[pl.DataFrame, SOLD]
            count: int

        @ms.step
        def split() -> Parts:
            return Parts(pl.DataFrame({"price": [-1.0]}), 1)

        @ms.pipeline
        def flow():
            split()
        """,
    )

    with pytest.raises(Invalid, match=r"result 'sold' of step flights\.split breaks its contract"):
        flow.run(platform)


def test_a_type_checker_sees_a_step_as_the_function_it_is(tmp_path: Path) -> None:
    (tmp_path / "flights.py").write_text(
        textwrap.dedent(
            """
            import mainstay as ms

            @ms.step
            def double(numbers: list[int], by: int = 2) -> list[int]:
                return [by * number for number in numbers]

            @ms.step(cache="6h", env=["RATE"])
            def load(until: str) -> list[int]:
                return [len(until)]

            reveal_type(double([1]))
            double("a")
            reveal_type(load("b"))
            load()
            """
        )
    )

    command = [
        sys.executable,
        "-m",
        "mypy",
        "--follow-imports=silent",
        "--cache-dir",
        str(tmp_path / "cache"),
        "flights.py",
    ]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    assert (
        told.count('Revealed type is "list[int]"') == 2
        or told.count('Revealed type is "builtins.list[builtins.int]"') == 2
    )
    assert "flights.py:13: error: Argument 1" in told and 'incompatible type "str"; expected "list[int]"' in told
    assert 'flights.py:15: error: Missing positional argument "until"' in told
    assert "Found 2 errors" in told
