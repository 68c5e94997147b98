# SPDX-License-Identifier: Apache-2.0
"""A clock that stands still unless a test moves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class HeldClock:
    """Says the same until it is moved."""

    moment: datetime = field(default=datetime(2013, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.moment

    def pass_(self, **units: float) -> None:
        self.moment += timedelta(**units)
