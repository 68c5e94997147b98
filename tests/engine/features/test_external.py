# SPDX-License-Identifier: Apache-2.0
"""Features of another store in a pipeline: joined as of each label's time, and pinned by the version that was trained on them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from mainstay.features import sources

FLOW = """
    import datetime as dt
    import numpy as np
    import pyarrow as pa
    import mainstay as ms
    from sklearn.linear_model import LogisticRegression

    stats = ms.external_features("shop", {"stats:rate": float, "stats:more": float}, entity={"driver": int})
    other = ms.external_features("other", {"other:score": float}, entity={"driver": int})

    @ms.on_request
    def twice(rate: float) -> float:
        return rate * 2

    @ms.on_request
    def unused(rate: float) -> float:
        return rate

    @ms.step
    def labels() -> pa.Table:
        asked = [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)] * 8
        return pa.table({"driver": list(range(8)), "asked": asked, "late": [0, 1] * 4})

    @ms.step
    def train(table: pa.Table) -> LogisticRegression:
        return LogisticRegression().fit(table["twice"].to_numpy().reshape(-1, 1), table["late"].to_numpy())

    @ms.pipeline
    def flow():
        table = ms.get_training(labels(), [stats, other, twice, unused], time="asked")
        ms.register("late", train(table), holdout=table, target="late", features=["twice"])
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    found: list[list[int]] = []

    class Store:
        def get_historical(self, labels: pa.Table, features: list[str], *, time: str) -> pa.Table:
            found.append(labels["driver"].to_pylist())
            assert labels.column_names == ["driver", "asked"]
            return pa.table({name: pa.array([float(each) for each in found[-1]]) for name in features})

    monkeypatch.setattr(sources, "opened", lambda name: Store())
    return found


def test_a_version_pins_the_source_and_the_transform_that_made_its_input_and_no_others(
    platform: Any, make_project: Any, asked: list[list[int]]
) -> None:
    flow = FLOW.replace("twice, unused.renamed if False else twice_again", "twice").replace(
        '"stats:more": float', '"stats:more": float'
    )
    project = make_project(shop=flow)

    project.load("shop.py:flow").run(platform)
    project.load("shop.py:flow").run(platform)

    (version,) = platform.models["late"]["versions"]
    held = version["signature"]
    assert [each["source"] for each in held["sources"]] == ["shop"]
    assert held["sources"][0]["features"] == ["stats:rate", "stats:more"]
    assert [each["name"] for each in held["transforms"]] == ["twice"] and held.get("views", []) == []
    assert len(asked) == 4  # what another store knows is never taken from the cache
