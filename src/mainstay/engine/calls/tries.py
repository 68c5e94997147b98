# SPDX-License-Identifier: Apache-2.0
"""Tries: what may happen to a call besides what its function raises, and whether it may be tried again.

In: a step's options, what went wrong, how often. Out: seconds to wait, or None: it has failed.
"""

from __future__ import annotations

import random

from mainstay.domain.errors import MainstayError, Unavailable
from mainstay.engine.steps import Options

_dice = random.SystemRandom()  # the global generator is the step's


class WorkerDied(Unavailable):
    """The process that carried a step out is gone."""


class StepTimedOut(Unavailable, TimeoutError):
    """A try took longer than its step's ``timeout``; its process was ended."""


def pause(options: Options, attempts: int, error: BaseException | type[BaseException]) -> float | None:
    """Seconds until the next try after ``attempts`` of them; doubled each time, with a random part; None: there is none."""
    kind = error if isinstance(error, type) else type(error)
    is_outside = issubclass(kind, (WorkerDied, StepTimedOut))
    if attempts > options.retries or not issubclass(kind, options.retry_on):
        return None
    if issubclass(kind, MainstayError) and not is_outside:
        return None  # our own refusals say the same thing again
    return options.retry_wait_s * 2 ** (attempts - 1) * (0.75 + _dice.random() / 4)
