# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the live house of monitoring's tests, with a trigger that retrains."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for folder in ("triggers", "monitoring"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
from live_house import LiveHouse  # noqa: E402


@pytest.fixture(scope="session")
def new_house(tmp_path_factory: pytest.TempPathFactory) -> LiveHouse:
    made = LiveHouse(tmp_path_factory.mktemp("house") / "made")
    made.monitor()
    made.store.close()
    return made


@pytest.fixture
def house(new_house: LiveHouse, tmp_path: Path) -> Iterator[LiveHouse]:
    moved = new_house.moved_to(tmp_path / "house")
    yield moved
    moved.store.close()
