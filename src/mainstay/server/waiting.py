# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to happen, for callers whose question may be answered later; no thread is held meanwhile.

In: a request, and a count that grows when there is something new to see. Out: the moments at which a look is worth its cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

LONGEST_S = 30.0
LOOKS_EVERY_S = 0.05
# Asking whether somebody is still there costs more than all the rest of a look.
LOOKS_BEFORE_ASKING = 20


async def moments(request: Request, count: Callable[[], int], seconds: float) -> AsyncIterator[None]:
    """At once, after each growth of ``count``, and when ``seconds`` (at most 30) are over; no more once the caller is gone."""
    end = time.monotonic() + min(seconds, LONGEST_S)
    seen, looks = None, 0
    while time.monotonic() < end:
        if seen != (seen := count()):
            yield
        looks += 1
        if looks % LOOKS_BEFORE_ASKING == 0 and await request.is_disconnected():
            return
        await asyncio.sleep(LOOKS_EVERY_S)
    yield
