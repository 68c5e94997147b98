# SPDX-License-Identifier: Apache-2.0
"""Rows of online tables go when nobody can ask for them any more, and no look-up ever tells the difference."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.domain.errors import Conflict
from mainstay.features.rows import Row
from mainstay.lifecycle.data.features import leftovers, online_rows, views
from tests.data.online_house import START, OnlineHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OnlineHouse]:
    made = OnlineHouse(tmp_path / "workspace")
    made.declare()
    yield made
    made.store.close()


@pytest.fixture(params=[1, 2, 5_000])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are looked at together."""
    monkeypatch.setattr(leftovers, "AT_ONCE", request.param)


def test_what_became_another_goes_an_hour_later_and_what_counts_stays(house: OnlineHouse, at_once: None) -> None:
    first = house.materialise({"a": 1.0, "b": 2.0, "c": 3.0})
    house.write([Row('["a"]', 0, "[9.0]"), Row('["d"]', 0, "[9.0]")])  # of a refresh that died
    house.now += timedelta(minutes=10)
    second = house.materialise({"a": 1.5, "b": 2.0})
    begun = house.write([Row('["b"]', 0, "[7.0]")])  # of one that is under way

    house.now += timedelta(minutes=59)
    house.sweep()
    assert house.answers(first, "a", "b", "c", "d") == ["[1.0]", "[2.0]", "[3.0]", None]

    house.now += timedelta(minutes=2)
    house.sweep()

    assert house.kept() == [('["a"]', second), ('["b"]', first), ('["b"]', begun)]
    assert house.answers(second, "a", "b", "c", "d") == ["[1.5]", "[2.0]", None, None]
    with pytest.raises(Conflict, match="table 1 of spend/1 is no longer kept by key"):
        house.answers(first, "a")
    with house.store.view() as view:
        assert online_rows.changed(view, "spend", 1, after=first, until=second) is None
        assert online_rows.changed(view, "spend", 1, after=second, until=second) == []


def test_what_is_past_its_time_to_live_by_a_day_goes_and_hides_nothing_older(house: OnlineHouse, at_once: None) -> None:
    house.materialise({"a": 1.0, "b": 2.0}, at=START + timedelta(days=50))
    newest = house.materialise({"a": 1.5, "b": 2.0}, at=START)  # it was found that it happened earlier

    house.now = START + timedelta(days=90, hours=23)
    house.sweep()
    assert house.answers(newest, "a", "b") == ["[1.5]", "[2.0]"]

    house.now = START + timedelta(days=91, hours=1)
    house.sweep()

    assert house.kept() == [] and house.answers(newest, "a", "b") == [None, None]


def test_a_version_that_is_let_go_keeps_its_table_and_is_written_whole_by_the_next_refresh(house: OnlineHouse) -> None:
    house.declare("other code")
    old = house.materialise({"a": 1.0, "b": 2.0})
    house.materialise({"a": 5.0}, version=2)
    assert house.answers(1, "a", version=2) == ["[5.0]"]
    with house.store.view() as view:
        assert leftovers.unneeded(view, set()) == []
    house.now += timedelta(days=1, seconds=1)
    with house.store.view() as view:
        assert leftovers.unneeded(view, {"spend/1"}) == []
        assert leftovers.unneeded(view, {"spend/2"}) == [("spend", 1)]

    house.let_go(1)
    again = house.materialise({"a": 3.0})

    # Even before its rows are gone: "b" is unknown now, whatever stands there of it.
    assert house.answers(again, "a", "b") == ["[3.0]", None]
    house.sweep()
    assert house.kept() == [('["a"]', again)]
    house.let_go(1)
    house.sweep()
    with house.store.view() as view:
        assert leftovers.count(view, "spend", 1) == 0 and leftovers.count(view, "spend", 2) == 1
        assert views.routed(view, {"view": "spend", "version": 1, "digest": views.get(view, "spend", 1).digest})["online"][
            "by_key"
        ] is False  # fmt: skip
        with pytest.raises(Conflict, match="can be looked up"):
            online_rows.lookup(view, "spend", 1, {"id": "a"})
    assert house.told() == [{"view": "spend", "version": 1, "rows": rows_told} for rows_told in (2, 1)]
    with pytest.raises(Conflict):
        house.answers(old, "a")
