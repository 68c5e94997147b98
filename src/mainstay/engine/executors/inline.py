# SPDX-License-Identifier: Apache-2.0
"""In this process and thread, one call after the other, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mainstay.engine.platform import Blobs
from mainstay.engine.step_calls import Outcome, StepCall, carry_out


class Inline:
    """Nothing to start, nothing to stop; a debugger sees everything."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: deque[StepCall] = deque()
        self._blobs: Blobs | None = None

    def start(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def submit(self, call: StepCall) -> None:
        self._waiting.append(call)

    def outcomes(self) -> Iterator[tuple[StepCall, Outcome]]:
        if self._waiting and self._blobs is not None:
            call = self._waiting.popleft()
            yield call, carry_out(call, self._blobs)

    def stop(self) -> None:
        self._waiting.clear()
