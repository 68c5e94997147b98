# SPDX-License-Identifier: Apache-2.0
"""Who waits is told of what is new, once more at the end, and not at all when nobody listens any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mainstay.server import waiting


class Caller:
    """A request whose connection breaks after so many questions."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.asked = 0

    async def is_disconnected(self) -> bool:
        self.asked += 1
        return self.asked > self.patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which goes on only while somebody sleeps."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.asyncio, "sleep", sleep)
    return now


def moments(clock: list[float], counts: dict[float, int], *, seconds: float, caller: Caller) -> list[float]:
    """When a look was worth its cost, if the count is as told from these times on."""

    def count() -> int:
        return max(value for since, value in counts.items() if since <= clock[0] + 1e-9)

    async def listen() -> list[float]:
        request: Any = caller
        return [round(clock[0], 2) async for _ in waiting.moments(request, count, seconds)]

    return asyncio.run(listen())


def test_there_is_a_moment_at_once_after_each_growth_and_at_the_end(clock: list[float]) -> None:
    assert moments(clock, {0: 5, 0.2: 6, 1.0: 9}, seconds=2, caller=Caller(99)) == [0.0, 0.2, 1.0, 2.0]


def test_who_does_not_wait_is_told_once(clock: list[float]) -> None:
    assert moments(clock, {0: 5}, seconds=0, caller=Caller(99)) == [0.0]
    assert moments(clock, {0: 5}, seconds=-3, caller=Caller(99)) == [0.0]


def test_nobody_is_told_who_is_gone(clock: list[float]) -> None:
    assert moments(clock, {0: 5, 3: 6}, seconds=9, caller=Caller(1)) == [0.0]


def test_whether_somebody_is_there_is_asked_once_a_second(clock: list[float]) -> None:
    caller = Caller(99)

    moments(clock, {0: 5}, seconds=10, caller=caller)

    assert 9 <= caller.asked <= 10


def test_no_question_waits_longer_than_half_a_minute(clock: list[float]) -> None:
    assert moments(clock, {0: 5}, seconds=1e9, caller=Caller(99)) == [0.0, 30.0]
