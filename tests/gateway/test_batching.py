# SPDX-License-Identifier: Apache-2.0
"""Natural batching: company without waiting for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mainstay.gateway.batching import Batcher, DeadlineExceeded, Overloaded


class Gate:
    """A model that doubles, holds its first batch until it is let go, and remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, rows: Sequence[Any]) -> Any:
        self.sizes.append(len(rows))
        self.began.set()
        self.go.wait(10)
        if -1.0 in rows:
            raise ValueError("minus one")
        return np.array(rows, dtype=float) * 2


async def held(model: Gate, batcher: Batcher, later: list[list[float]], deadline_s: float = 10) -> list[Any]:
    """Ask ``later`` while a first request occupies the model, then let it go."""
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(batcher.run([0.0], deadline=loop.time() + 10))
    await loop.run_in_executor(None, model.began.wait, 10)
    asked = [asyncio.create_task(batcher.run(rows, deadline=loop.time() + deadline_s)) for rows in later]
    await asyncio.sleep(0)
    if deadline_s < 1:
        await asyncio.wait(asked)
    model.go.set()
    return [await first, *await asyncio.gather(*asked, return_exceptions=True)]


def test_what_queues_while_the_model_runs_is_one_batch_and_each_gets_its_own() -> None:
    model = Gate()
    batcher = Batcher(model, one_row_s=1.0)

    answers = asyncio.run(held(model, batcher, [[1.0], [2.0, 3.0], [4.0]]))

    assert [answer.tolist() for answer in answers] == [[0.0], [2.0], [4.0, 6.0], [8.0]]
    assert model.sizes == [1, 4]
    assert batcher.waiting == 0


def test_one_requests_bad_rows_do_not_fail_its_neighbours() -> None:
    model = Gate()

    answers = asyncio.run(held(model, Batcher(model, one_row_s=1.0), [[1.0], [-1.0], [3.0]]))

    assert answers[1].tolist() == [2.0]
    assert isinstance(answers[2], ValueError)
    assert answers[3].tolist() == [6.0]


def test_more_than_may_wait_are_refused_at_once() -> None:
    model = Gate()

    answers = asyncio.run(held(model, Batcher(model, one_row_s=1.0, max_waiting=2), [[1.0], [2.0], [3.0]]))

    assert [isinstance(answer, Overloaded) for answer in answers] == [False, False, True, True]


def test_a_request_past_its_deadline_is_answered_and_never_reaches_the_model() -> None:
    model = Gate()

    answers = asyncio.run(held(model, Batcher(model, one_row_s=1.0), [[1.0], [2.0]], deadline_s=0.01))

    assert all(isinstance(answer, DeadlineExceeded) for answer in answers[1:])
    assert model.sizes == [1]


@pytest.mark.parametrize(("rows", "inline"), [(1, True), (32, True), (33, False)])
def test_a_quick_model_runs_inline_for_few_rows_only(rows: int, inline: bool) -> None:
    threads: list[str] = []

    def model(given: Sequence[Any]) -> Any:
        threads.append(threading.current_thread().name)
        return np.array(given)

    async def ask() -> None:
        await Batcher(model, one_row_s=50e-6).run([0.0] * rows, deadline=asyncio.get_running_loop().time() + 5)

    asyncio.run(ask())

    assert (threads == [threading.main_thread().name]) == inline
