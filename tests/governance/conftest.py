# SPDX-License-Identifier: Apache-2.0
"""A store, and a clock that stands still unless a test moves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.store import Store, open_store

from ..clocks import HeldClock


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def store(tmp_path: Path, clock: HeldClock) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace", clock=clock)
    yield opened
    opened.close()
