# SPDX-License-Identifier: Apache-2.0
"""In child processes of this one, on this machine: started ahead with the project's modules loaded, and reused.

Values never pass through a pipe: a child maps the files that hold its inputs, and leaves large outputs as files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mainstay.engine.calls.children import Crew
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.step_output import Say
from mainstay.engine.calls.surroundings import Surroundings
from mainstay.engine.platform import Platform


class Processes:
    """As many children as slots."""

    name = "processes"

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._crew = Crew(slots)

    def start(self, platform: Platform, around: Surroundings, say: Say | None) -> None:
        self._crew.start(platform, around, say, ahead=self.slots)

    def submit(self, call: StepCall) -> None:
        self._crew.submit(call)

    def outcomes(self, *, wait: bool = True) -> Iterator[tuple[StepCall, Outcome]]:
        yield from self._crew.outcomes(wait=wait)

    def stop(self) -> None:
        self._crew.stop()


def make(workers: int | None) -> Processes:
    """``workers``: how many; by default one for each processor that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Processes(workers or allowed)
