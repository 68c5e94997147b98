# SPDX-License-Identifier: Apache-2.0
"""In this process and thread, one call after the other, in the order in which they came.

A step with a timeout, or one that asks for isolation, is carried out in a child process all the same: a function that does
not return can be ended in no other way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mainstay.engine.calls.children import Crew
from mainstay.engine.calls.step_calls import Outcome, StepCall, carry_out
from mainstay.engine.calls.step_output import Say
from mainstay.engine.calls.surroundings import Surroundings
from mainstay.engine.platform import Platform


class Inline:
    """Nothing to start, nothing to stop; a debugger sees everything."""

    name = "inline"
    slots = 1

    def __init__(self) -> None:
        self._waiting: deque[StepCall] = deque()
        self._platform: Platform | None = None
        self._say: Say | None = None
        self._crew = Crew(1)

    def start(self, platform: Platform, around: Surroundings, say: Say | None) -> None:
        self._platform, self._say = platform, say
        self._crew.start(platform, around, say)

    def submit(self, call: StepCall) -> None:
        self._waiting.append(call)

    def outcomes(self, *, wait: bool = True) -> Iterator[tuple[StepCall, Outcome]]:
        if not self._waiting or self._platform is None:
            return
        call = self._waiting.popleft()
        options = call.step.options
        if options.isolate or options.timeout is not None:
            self._crew.submit(call)
            yield from self._crew.outcomes(wait=True)
        else:
            yield call, carry_out(call, self._platform, self._say)

    def stop(self) -> None:
        self._waiting.clear()
        self._crew.stop()


def make(workers: int | None) -> Inline:
    """There is one worker: this process."""
    return Inline()
