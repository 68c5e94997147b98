# SPDX-License-Identifier: Apache-2.0
"""Rounds: many small writes, one transaction, one wait for the disk.

In: work from many threads. Out: its result, or its own error, and only when the whole round is on the disk. Whoever comes while
nobody leads leads: it takes the writer's place, carries out all that wait by then, commits once, wakes them, and hands the lead
to the first of those who came meanwhile. Nobody waits for company: who is alone goes alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

# So that a round neither keeps a governed change waiting for long nor makes everybody repeat much if its commit fails.
MOST_TURNS = 64


class Turn:
    """One piece of work that waits for its round."""

    __slots__ = ("_woken", "error", "has_ended", "result", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.has_ended = False
        # A bare lock: an Event would cost more to make than the row it waits for.
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self) -> None:
        """Sleep until the round is over, or until it is this turn's part to lead one."""
        self._woken.acquire()

    def wake(self) -> None:
        """End the `wait`."""
        self._woken.release()

    def outcome(self) -> Any:
        """What the work answered, or what it raised."""
        if self.error is not None:
            raise self.error
        return self.result


class Rounds:
    """The queue in front of the writer. ``carry_out`` takes a function that says who is in, and returns when all is durable."""

    def __init__(self, carry_out: Callable[[Callable[[], Sequence[Turn]]], None]) -> None:
        self._carry_out = carry_out
        self._guard = threading.Lock()
        self._waiting: list[Turn] = []
        self._is_led = False

    def take(self, work: Callable[[Any], Any]) -> Any:
        """Have ``work`` carried out in the next round; what it answered, once that is durable."""
        mine = Turn(work)
        with self._guard:
            self._waiting.append(mine)
            leads, self._is_led = not self._is_led, True
        if not leads:
            mine.wait()
        if not mine.has_ended:
            self._lead()
        return mine.outcome()

    def _lead(self) -> None:
        round_: list[Turn] = []

        def gather() -> Sequence[Turn]:
            if not round_:
                with self._guard:
                    round_.extend(self._waiting[:MOST_TURNS])
                    del self._waiting[:MOST_TURNS]
            return round_

        try:
            self._carry_out(gather)
        except BaseException as error:
            # Nothing was committed, so nobody's work is done: also not of those whose own part went well.
            for turn in gather():
                turn.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._end(gather())

    def _end(self, round_: Sequence[Turn]) -> None:
        with self._guard:
            following = self._waiting[0] if self._waiting else None
            self._is_led = following is not None
        for turn in round_:
            turn.has_ended = True
            turn.wake()
        if following is not None:
            following.wake()
