# SPDX-License-Identifier: Apache-2.0
"""Summons: tell the supervisor for which further processes there is work.

A gateway and a worker each take as much memory as the server itself. Below `mainstay up` they are started when there is a
deployment to answer for, or a job to carry out; this loop sees it first.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable

from mainstay.lifecycle.serving import deployments
from mainstay.store import Store, jobs

LOOKS_EVERY_S = 0.5
AGAIN_AFTER_S = 5.0


class Summons:
    """Writes the name of who is needed, a line each, to a pipe that the supervisor reads; and again while the need lasts, for
    who was called may just have been on its way out."""

    def __init__(self, descriptor: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._clock = clock
        self._looked_at = -math.inf
        self._called_at: dict[str, float] = {}

    def look(self, store: Store) -> bool:
        """See who is needed. Nothing is done by it, so nobody need look again because of it."""
        now = self._clock()
        if now - self._looked_at >= LOOKS_EVERY_S:
            self._looked_at = now
            with store.view() as view:
                needed = {"gateway": bool(deployments.listed(view)), "worker": jobs.any_open(view)}
            for name in needed:
                if not needed[name]:
                    self._called_at.pop(name, None)
                elif now - self._called_at.get(name, -math.inf) >= AGAIN_AFTER_S:
                    self._call(name, now)
        return False

    def _call(self, name: str, now: float) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody has listened for long: the pipe holds enough calls
            os.write(self._descriptor, f"{name}\n".encode())
        self._called_at[name] = now
