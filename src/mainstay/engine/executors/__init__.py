# SPDX-License-Identifier: Apache-2.0
"""Executors: where step calls run, one file a place.

In: step calls whose inputs exist. Out: outcomes, in any order. What good means: an executor runs
``step_calls.attempt`` and nothing else; it reads inputs from the blobs and writes outputs there, so that a step
carried out anywhere is keyed, cached and explained alike. It tries again and ends what takes too long as the step's options
say. It never records; it never decides the order.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Protocol

from mainstay import settings
from mainstay.domain.errors import Invalid
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.step_output import Say
from mainstay.engine.calls.surroundings import Surroundings
from mainstay.engine.platform import Platform


class Executor(Protocol):
    """``slots``: how many calls it can work on at a time."""

    @property
    def name(self) -> str: ...

    @property
    def slots(self) -> int: ...

    def start(self, platform: Platform, around: Surroundings, say: Say | None) -> None:
        """Be ready for calls that read and write the platform's blobs; ``say`` is told what steps write."""
        ...

    def submit(self, call: StepCall) -> None:
        """Take a call; it may begin now or when the outcomes are asked for."""
        ...

    def outcomes(self, *, wait: bool = True) -> Iterator[tuple[StepCall, Outcome]]:
        """Calls that have ended; with ``wait`` at least one, if any was taken."""
        ...

    def stop(self) -> None:
        """Give up what is unfinished and release everything; safe to call twice."""
        ...


def names() -> list[str]:
    """Every executor there is; the name of its file."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make(name: str | None = None, *, workers: int | None = None) -> Executor:
    """The executor of that name, else the one that is set; with so many workers, else as many as are set.

    Raises:
        Invalid: there is none of that name, or what it needs is not installed.
    """
    chosen = name or settings.get("executor")
    if chosen not in names():
        raise Invalid(f"there is no executor {chosen!r}; the executors are {', '.join(names())}.")
    module = importlib.import_module(f"{__name__}.{chosen}")
    made: Executor = module.make(workers or settings.get("workers") or None)
    return made
