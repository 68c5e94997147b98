# SPDX-License-Identifier: Apache-2.0
"""Natural batching: the next batch is whatever queued up while the last one ran.

In: rows of many requests at once. Out: one array of values for each request, in its order. There is no timer, so a
lone request never waits for company; under load the batches grow by themselves, which is where most models win most (a
forest takes about as long for 64 rows as for one). The model runs on one thread of its own, or inline when it is so
quick that the way to a thread and back would cost more than the answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from mainstay.domain.errors import MainstayError

Values = npt.NDArray[np.float64]
Predict = Callable[[Sequence[Any]], Values]

INLINE_BELOW_S = 100e-6
# More rows than this leave the event loop even when one row is quick.
INLINE_ROWS = 32


class Overloaded(MainstayError):
    """Too much waits already; the caller should come back a little later."""

    kind = "unavailable"


class DeadlineExceeded(MainstayError):
    """The answer did not come within the request's time."""

    kind = "unavailable"


@dataclass(slots=True, eq=False)
class _Item:
    rows: Sequence[Any]
    future: asyncio.Future[Values]
    deadline: float  # on the clock of the event loop


class Batcher:
    """Runs one model for many requests.

    Args:
        predict: rows to values of shape (rows,); called on the batcher's thread, or inline.
        one_row_s: measured seconds for one row; below 100 µs small requests run inline.
        max_rows: rows in one call of ``predict``. max_waiting: requests queued or running; more are refused.
    """

    def __init__(self, predict: Predict, *, one_row_s: float, max_rows: int = 2048, max_waiting: int = 1024) -> None:
        self.predict = predict
        self.inline = one_row_s < INLINE_BELOW_S
        self.max_rows = max_rows
        self.max_waiting = max_waiting
        self.waiting = 0
        self.batches = 0
        self.batched_rows = 0
        self._inbox: SimpleQueue[_Item | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, rows: Sequence[Any], *, deadline: float) -> Values:
        """Values for ``rows``.

        Raises:
            Overloaded: ``max_waiting`` requests wait already.
            DeadlineExceeded: the loop's clock passed ``deadline`` before the values were there.
            Exception: whatever the model raised on these rows.
        """
        if self.inline and len(rows) <= INLINE_ROWS:
            self.batches += 1
            self.batched_rows += len(rows)
            return self.predict(rows)
        if self.waiting >= self.max_waiting:
            raise Overloaded(f"{self.waiting} requests wait for this model already; ask again in a second.")
        loop = self._start()
        item = _Item(rows, loop.create_future(), deadline)
        self.waiting += 1
        alarm = loop.call_at(deadline, _expire, item.future)
        self._inbox.put(item)
        try:
            return await item.future
        finally:
            alarm.cancel()

    def close(self) -> None:
        """End the thread after what it has begun; nothing may be run afterwards."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._thread is None or self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, args=(self._loop,), name="predict", daemon=True)
            self._thread.start()
        return self._loop

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        ended = False
        while not ended:
            batch, ended = self._take()
            results = self._answer([item for item in batch if item.deadline > loop.time()]) if batch else []
            try:
                loop.call_soon_threadsafe(self._deliver, len(batch), results)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _take(self) -> tuple[list[_Item], bool]:
        """Wait for one request, then take all that wait, up to ``max_rows`` rows."""
        item = self._inbox.get()
        batch: list[_Item] = []
        rows = 0
        while item is not None:
            batch.append(item)
            rows += len(item.rows)
            if rows >= self.max_rows:
                return batch, False
            try:
                item = self._inbox.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _answer(self, batch: list[_Item]) -> list[tuple[_Item, Values | Exception]]:
        if not batch:
            return []
        rows = batch[0].rows if len(batch) == 1 else [row for item in batch for row in item.rows]
        try:
            values = self.predict(rows)
        except Exception as error:
            if len(batch) == 1:
                return [(batch[0], error)]
            # One request's rows must not fail its neighbours: ask again one by one.
            return [self._answer([item])[0] for item in batch]
        self.batches += 1
        self.batched_rows += len(rows)
        ends = np.cumsum([len(item.rows) for item in batch])
        return [(item, values[end - len(item.rows) : end]) for item, end in zip(batch, ends, strict=True)]

    def _deliver(self, taken: int, results: list[tuple[_Item, Values | Exception]]) -> None:
        self.waiting -= taken
        for item, result in results:
            if item.future.done():
                continue
            if isinstance(result, Exception):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)


def _expire(future: asyncio.Future[Values]) -> None:
    if not future.done():
        future.set_exception(DeadlineExceeded("the answer was not ready within the time this request had."))
