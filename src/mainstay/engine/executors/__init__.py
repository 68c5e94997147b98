# SPDX-License-Identifier: Apache-2.0
"""Executors: where step calls run, one file a place.

In: step calls whose inputs exist. Out: outcomes, in any order. What good means: an executor runs
``step_calls.carry_out`` and nothing else; it reads inputs from the blobs and writes outputs there, so that a step
carried out anywhere is keyed, cached and explained alike. It never records; it never decides the order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mainstay.engine.platform import Blobs
from mainstay.engine.step_calls import Outcome, StepCall


class Executor(Protocol):
    """``slots``: how many calls it can work on at a time."""

    @property
    def slots(self) -> int: ...

    def start(self, blobs: Blobs) -> None:
        """Be ready for calls that read and write ``blobs``."""
        ...

    def submit(self, call: StepCall) -> None:
        """Take a call; it may begin now or when the outcomes are asked for."""
        ...

    def outcomes(self) -> Iterator[tuple[StepCall, Outcome]]:
        """At least one finished call, if any was taken; waits for it."""
        ...

    def stop(self) -> None:
        """Give up what is unfinished and release everything; safe to call twice."""
        ...
