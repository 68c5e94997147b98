# SPDX-License-Identifier: Apache-2.0
"""Another feature store: asked by name, held to what it was asked for, and never in the way when it fails."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mainstay.domain.errors import Invalid, NotFound, Unavailable
from mainstay.features import sources
from mainstay.features.sources import External

START = datetime(2024, 1, 1, tzinfo=UTC)


class Ledgers:
    """A small store: of each driver what was known from which day on. Its address is a number that it multiplies by."""

    def __init__(self, address: str) -> None:
        self.factor = float(address)
        self.known = {1: [(0, 0.1), (5, 0.5)], 2: [(3, 0.3)]}
        self.fails = False

    def get_historical(self, labels: pa.Table, features: Sequence[str], *, time: str) -> pa.Table:
        asked = zip(labels["driver"].to_pylist(), labels[time].to_pylist(), strict=True)
        return self._told([self._value(who, at) for who, at in asked], features)

    def get_online(self, entities: pa.Table, features: Sequence[str]) -> pa.Table:
        return self._told(
            [self._value(who, START + timedelta(days=100)) for who in entities["driver"].to_pylist()], features
        )

    def _value(self, who: int, at: datetime) -> float | None:
        if self.fails:
            raise ConnectionError("no route")
        values = [value for day, value in self.known.get(who, ()) if START + timedelta(days=day) <= at]
        return values[-1] * self.factor if values else None

    def _told(self, values: list[float | None], features: Sequence[str]) -> pa.Table:
        column = pa.array(values, pa.float64())
        return pa.table({name: column if name.endswith("rate") else pc.fill_null(column, 0) for name in features})


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> External:
    class Entry:
        name = "ledgers"

        @staticmethod
        def load() -> Any:
            return Ledgers

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry] if group == sources.GROUP else [])
    monkeypatch.setenv("MAINSTAY_FEATURE_SOURCES", "other=feast:nowhere; shop=ledgers:10")
    sources.opened.cache_clear()
    return sources.make("shop", {"stats:rate": "float", "stats:score": "float"}, {"driver": "int"})


def labels(*rows: tuple[int, float]) -> pa.Table:
    moments = pa.array([START + timedelta(days=day) for _, day in rows], pa.timestamp("us", "UTC"))
    return pa.table({"driver": [who for who, _ in rows], "asked": moments, "y": list(range(len(rows)))})


def test_labels_keep_their_rows_and_gain_what_the_source_knew_then(shop: External) -> None:
    asked = labels((2, 4), (1, 6), (1, 1), (9, 9))

    found = sources.joined(asked, shop, time="asked")

    assert found.select(asked.column_names).equals(asked)
    assert found["rate"].to_pylist() == [3.0, 5.0, 1.0, None]
    assert sources.now(pa.table({"driver": [9, 1]}), shop)["rate"].to_pylist() == [None, 5.0]
    assert sources.from_json(shop.to_json()) == shop


def test_a_source_that_fails_is_named_and_so_is_one_that_is_not_there(shop: External, monkeypatch) -> None:
    sources.opened("shop").fails = True  # type: ignore[attr-defined]

    with pytest.raises(Unavailable, match="feature source 'shop' failed with ConnectionError: no route"):
        sources.now(pa.table({"driver": [1]}), shop)
    with pytest.raises(NotFound, match=r"no feature source is named 'elsewhere' here \(other, shop\)"):
        sources.opened("elsewhere")
    monkeypatch.setenv("MAINSTAY_FEATURE_SOURCES", "a=unheard:x")
    with pytest.raises(NotFound, match="no kind of feature source 'unheard'; there are feast, ledgers"):
        sources.opened("a")
    monkeypatch.setenv("MAINSTAY_FEATURE_SOURCES", "a")
    with pytest.raises(Invalid, match="NAME=KIND:ADDRESS"):
        sources.opened("a")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"rate": [1.0, 2.0], "score": [1.0, 2.0]}, "2 rows of 2 columns; 1 of 2"),
        ({"rate": [1.0]}, "1 rows of 1 columns; 1 of 2"),
        ({"rate": ["x"], "score": [1.0]}, "feature 'rate' of source 'shop' is string; float is declared"),
    ],
)
def test_an_answer_to_another_question_is_refused(
    shop: External, answer: dict[str, Any], told: str, monkeypatch
) -> None:
    monkeypatch.setattr(Ledgers, "get_online", lambda *_: pa.table(answer))

    with pytest.raises(Invalid, match=told):
        sources.now(pa.table({"driver": [1]}), shop)


def test_whole_numbers_beside_a_null_may_come_as_floats(shop: External, monkeypatch) -> None:
    counted = sources.make("shop", {"stats:rate": "float", "stats:n": "int"}, {"driver": "int"})
    for several, expected in (([2.0, float("nan")], [2, None]), ([None, None], [None, None])):
        told = pa.table({"rate": pa.array([1, 2]), "n": pa.array(several)})
        monkeypatch.setattr(Ledgers, "get_online", lambda *_, told=told: told)

        found = sources.now(pa.table({"driver": [1, 2]}), counted)

        assert found.to_pydict() == {"rate": [1.0, 2.0], "n": expected}
        assert [str(kind) for kind in found.schema.types] == ["double", "int64"]
    monkeypatch.setattr(Ledgers, "get_online", lambda *_: pa.table({"rate": [1.0], "n": [1.5]}))
    with pytest.raises(Invalid, match="'n' of source 'shop' is double; int is declared"):
        sources.now(pa.table({"driver": [1]}), counted)


@pytest.mark.parametrize(
    ("features", "entity", "told"),
    [
        ({}, {"driver": "int"}, "at least one feature"),
        ({"a:x": "float", "b:x": "float"}, {"driver": "int"}, "each once"),
        ({"a:x": "number"}, {"driver": "int"}, "float, int, str, bool, datetime are possible"),
        ({"a:x": "float"}, {"driver": "float"}, "int, str, bool, datetime are possible"),
    ],
)
def test_features_that_cannot_be_are_refused(features: dict[str, str], entity: dict[str, str], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        sources.make("shop", features, entity)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.drop_columns("driver"), "no column 'driver'"),
        (lambda table: table.append_column("rate", table["y"]), "'rate' of source 'shop' stands in the table already"),
    ],
)
def test_labels_that_do_not_fit_are_refused(shop: External, change: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        sources.joined(change(labels((1, 1))), shop, time="asked")
