# SPDX-License-Identifier: Apache-2.0
"""Feature views in pipelines: plain functions outside, cached steps inside, joined as of each label's time."""

from __future__ import annotations

import pytest

import mainstay as ms
from mainstay.domain.errors import Invalid
from mainstay.engine.arguments import WHOLE
from mainstay.engine.features.views import FeatureView

FLIGHTS = """
    import datetime as dt
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import mainstay as ms
    from scale import FACTOR

    def moments(*days):
        return [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(days=day) for day in days]

    @ms.step
    def load() -> pa.Table:
        return pa.table({"id": [1, 2, 1], "at": moments(0, 0, 2), "amount": [1.0, 2.0, 3.0]})

    @ms.step
    def labels() -> pa.Table:
        return pa.table({"id": [1, 2, 1, 3], "asked": moments(1, 1, 3, 3)})

    @ms.feature_view(entity="id", time="at", available_after="1h", ttl="30d", schema={"amount": float})
    def spend(tx: pl.DataFrame) -> pl.DataFrame:
        return tx.with_columns(pl.col("amount") * FACTOR)

    @ms.step
    def look(table: pd.DataFrame) -> list:
        return [None if each != each else each for each in table["amount"]]

    @ms.pipeline
    def flow(days: int = 0):
        look(ms.get_training(labels(), [spend.of(load())], time="asked"))
"""


@pytest.fixture
def project(make_project):
    return make_project(flights=FLIGHTS, scale="FACTOR = 10\n")


def last(execution) -> str:
    return execution.steps[-1].outputs[WHOLE].digest


def test_a_view_is_joined_cached_and_made_again_when_its_code_changes(platform, project) -> None:
    first = project.load().run(platform)
    again = project.load().run(platform)
    project.edit("scale.py", "10", "100")
    planned = project.load().plan(platform)
    changed = project.load().run(platform)

    assert [step.state for step in first.steps] == ["succeeded"] * 5
    assert [step.state for step in again.steps] == ["cached"] * 5
    assert planned.items[0].why == "code" and not any(item.is_hit for item in planned.items)
    assert last(first) == last(again) != last(changed)


def test_outside_of_a_run_a_view_is_its_function_and_the_join_a_table(project) -> None:
    flow = project.load()
    module = flow.function.__globals__

    made = module["spend"](__import__("polars").from_arrow(module["load"]()))
    found = ms.get_training(module["labels"](), [module["spend"].of(made)], time="asked")

    assert isinstance(module["spend"], FeatureView)
    assert made["amount"].to_list() == [10, 20, 30]
    assert found["amount"].to_pylist() == [100, 200, 300, None]


def test_a_view_without_a_source_says_how_to_give_it_one(project) -> None:
    spend = project.load().function.__globals__["spend"]

    with pytest.raises(Invalid, match=r"write spend\.of\(table\)"):
        ms.get_training(None, [spend], time="asked")


def test_a_view_that_makes_something_else_than_it_says_fails_its_run(platform, project) -> None:
    project.edit("flights.py", '"amount": float', '"amount": str')

    with pytest.raises(Invalid, match="is float; str is declared"):
        project.load().run(platform)


def test_a_view_that_makes_nothing_fails_its_run_with_a_sentence(platform, project) -> None:
    project.edit("flights.py", "return tx.with_columns", "tx.with_columns")

    with pytest.raises(Invalid, match="view 'spend' made nothing; its function returns a table"):
        project.load().run(platform)


@pytest.mark.parametrize(("source", "told"), [({"unheard": "tx"}, "no parameter 'unheard'"), ("tx", "takes no table")])
def test_a_source_that_nothing_reads_is_refused(source, told: str) -> None:
    def nothing() -> None: ...

    def one(tx: object) -> None: ...

    with pytest.raises(Invalid, match=told):
        ms.feature_view(entity="id", time="at", source=source)(nothing if source == "tx" else one)
