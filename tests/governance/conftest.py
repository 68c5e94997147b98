# SPDX-License-Identifier: Apache-2.0
"""A store, and a clock that stands still unless a test moves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.store import Store, open_store


@dataclass
class HeldClock:
    moment: datetime = field(default=datetime(2013, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **units: float) -> None:
        self.moment += timedelta(**units)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def store(tmp_path: Path, clock: HeldClock) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace", clock=clock)
    yield opened
    opened.close()
