# SPDX-License-Identifier: Apache-2.0
"""Commits on their way: steps that are done go on record together, while the next ones are being carried out.

In: records of steps, and keys that somebody will want to know about. Out: the control plane's answers, in that order. One
request takes along whatever has gathered: bytes, steps and questions; it goes when that is much, when the first of it has waited
for a moment, or when somebody waits. There is one on its way at a time, and each is kept whole or not at all: so what is on
record is always the first part of what was put here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mainstay.engine.hits import Hits
from mainstay.engine.nearby import Nearby, to_wire

_MOST_STEPS = 250
_ENOUGH = 64  # of a request, what does not depend on the number of steps is by then the smaller part
_LONGEST_S = 0.05  # that a record waits for company
_MOMENT_S = 0.003  # about as long as an answer takes


@dataclass(kw_only=True, eq=False)
class Ticket:
    """One record on its way. ``answer`` is there once it is ``done``; ``lookup``: keys asked about with it; ``since``: when it
    was put."""

    body: Mapping[str, Any]
    lookup: Sequence[str] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    done: bool = False
    since: float = field(default_factory=time.monotonic)


class Commits:
    """The way of one run's steps onto the record; one thread sends, in the order of the records."""

    def __init__(self, nearby: Nearby, hits: Hits, *, run_id: str, worker: str) -> None:
        self._nearby = nearby
        self._hits = hits
        self._about = {"pipeline_run": run_id, "worker": worker}
        self._queue: deque[Ticket] = deque()
        self._is_urgent = False
        self._is_sending = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mainstay-commits", daemon=True)
        self._thread.start()

    def put(self, body: Mapping[str, Any], *, lookup: Sequence[str] = ()) -> Ticket:
        """Take a record; it goes within a moment, or when many have gathered.

        Raises:
            MainstayError: an earlier one was refused.
        """
        ticket = Ticket(body=body, lookup=lookup)
        with self._changed:
            self._raise()
            self._queue.append(ticket)
            if len(self._queue) in (1, _ENOUGH):  # at any other count there is nothing new to think about
                self._changed.notify_all()
        return ticket

    def wait(self, ticket: Ticket) -> None:
        """Until ``ticket`` is answered. Raises MainstayError: it, or one before it, was refused.

        Whoever has nothing to do but wait sends it: a hand-over to the other thread and back would cost more than the work.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: ticket.done or self._error is not None or not self._is_sending)
                if ticket.done:
                    return
                self._raise()
                batch = self._batch()
            self._send_and_tell(batch)

    def wait_a_moment(self, ticket: Ticket) -> None:
        """Until ``ticket`` is answered, or a moment is over: for whoever has something else to look at."""
        with self._changed:
            self._urge()
            self._changed.wait_for(lambda: ticket.done or self._error is not None, timeout=_MOMENT_S)
            if not ticket.done:
                self._raise()

    def flush(self) -> None:
        """Until everything is answered. Raises MainstayError: something was refused."""
        with self._changed:
            self._urge()
            self._changed.wait_for(lambda: self._error is not None or not (self._queue or self._is_sending))
            self._raise()

    def close(self) -> None:
        """Send what waits, if that is possible, and end."""
        with contextlib.suppress(Exception):
            self.flush()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _urge(self) -> None:
        self._is_urgent = bool(self._queue)
        self._changed.notify_all()

    def _batch(self) -> list[Ticket]:
        """What goes now; to be called under the lock, by whoever sends it."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), _MOST_STEPS))]
        self._is_urgent, self._is_sending = self._is_urgent and bool(self._queue), True
        return batch

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._is_closed or self._is_due()):
                    self._changed.wait(self._patience())
                if self._is_closed or self._error is not None:
                    return
                batch = self._batch()
            self._send_and_tell(batch)

    def _is_due(self) -> bool:
        is_enough = self._is_urgent or len(self._queue) >= _ENOUGH or self._patience() == 0
        return is_enough and not self._is_sending

    def _patience(self) -> float | None:
        """Seconds until the first record has waited long enough; None: there is none, or it is being seen to."""
        if not self._queue or self._is_sending:
            return None
        return max(0.0, self._queue[0].since + _LONGEST_S - time.monotonic())

    def _send_and_tell(self, batch: Sequence[Ticket]) -> None:
        try:
            if batch:
                self._send(batch)
        # Whatever it is belongs to whoever waits; a thread only carries it there.
        except BaseException as error:
            self._error = error
        with self._changed:
            self._is_sending = False
            self._changed.notify_all()

    def _send(self, batch: Sequence[Ticket]) -> None:
        asked = [
            key for key in dict.fromkeys(key for each in batch for key in each.lookup) if not self._hits.is_asked(key)
        ]
        fresh = self._nearby.fresh()
        body = {
            **self._about,
            "blobs": to_wire(fresh),
            "steps": [dict(each.body) for each in batch],
            "lookup": asked,
        }
        told = self._nearby.platform.post("/steps/commit-all", body)
        self._nearby.forget(fresh)
        self._hits.learn(asked, told["hits"])
        for ticket, answer in zip(batch, told["steps"], strict=True):
            ticket.answer, ticket.done = answer, True
