# SPDX-License-Identifier: Apache-2.0
"""Online tables are swept an hour apart, some rows a look; views that no release needs are let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mainstay.lifecycle.data.features import leftovers
from mainstay.lifecycle.release import releases, tables
from mainstay.lifecycle.serving.sweeping import Sweep
from tests.data.online_house import OnlineHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OnlineHouse]:
    made = OnlineHouse(tmp_path / "workspace")
    yield made
    made.store.close()


def released(monkeypatch: pytest.MonkeyPatch, *made: tuple[str, str, list[str]]) -> None:
    """Releases, the newest first: deployment, state, views."""
    found = [
        SimpleNamespace(deployment=where, state=state, manifest={"features": [{"view": each} for each in pinned]})
        for where, state, pinned in made
    ]
    monkeypatch.setattr(tables, "releases_of", lambda view, deployment=None, limit=0: found)


def test_the_views_of_releases_that_answer_or_may_come_to_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    released(
        monkeypatch,
        ("a", "waiting", ["spend/9"]),
        ("a", "live", ["spend/8", "clicks/1"]),
        ("a", "refused", ["spend/7"]),
        ("a", "rolled_back", ["spend/6"]),
        ("a", "superseded", ["spend/5"]),
        ("a", "superseded", ["spend/4"]),
        ("b", "superseded", ["spend/3"]),
        ("b", "failed", ["spend/2"]),
    )

    found = releases.needed_views(None)  # type: ignore[arg-type]

    assert found == {"spend/9", "spend/8", "clicks/1", "spend/6", "spend/5", "spend/3"}


def test_a_pass_goes_through_every_version_and_begins_again_an_hour_later(
    house: OnlineHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "AT_ONCE", 2)
    for word in ("first", "second", "third"):
        house.declare(word)
    for version in (1, 2, 3):
        house.materialise({"a": 1.0, "b": 2.0, "c": 3.0}, version=version)
    released(monkeypatch, ("d", "live", ["spend/2"]))
    sweep = Sweep()

    def look(times: int) -> list[int]:
        assert not any([sweep.look(house.store) for _ in range(times)])
        return [len(house.kept(version)) for version in (1, 2, 3)]

    assert look(20) == [3, 3, 3]
    house.now += timedelta(days=1, minutes=1)
    assert look(1) == [3, 3, 3] and house.told() == [{"view": "spend", "version": 1, "rows": 3}]
    assert look(1) == [1, 3, 3]
    assert look(20) == [0, 3, 3]
    for version in (2, 3):
        house.materialise({"a": 1.0, "b": 2.0}, version=version)
    house.now += timedelta(minutes=59)
    assert look(20) == [0, 4, 4]  # one that is gone, too
    house.now += timedelta(minutes=2)
    assert look(20) == [0, 2, 2]


def test_a_sweep_that_fails_goes_on_with_the_next_version(house: OnlineHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    for word, version in (("first", 1), ("second", 2)):
        house.declare(word)
        house.materialise({"a": 1.0}, version=version)
    seen: list[Any] = []

    def fails(ingest: Any, view: str, version: int, after: str) -> None:
        seen.append((version, after))
        raise ZeroDivisionError

    monkeypatch.setattr(leftovers, "sweep", fails)
    sweep = Sweep()
    sweep.look(house.store)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            sweep.look(house.store)

    assert sorted(seen) == [(1, ""), (2, "")]
