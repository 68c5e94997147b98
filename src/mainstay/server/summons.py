# SPDX-License-Identifier: Apache-2.0
"""Summons: tell the supervisor for which further processes there is work.

A gateway and a worker each take as much memory as the server itself. Below `mainstay up` they are started when there is a
deployment to answer for, or a job to carry out; this loop sees it first.
"""

from __future__ import annotations

import os

from mainstay.lifecycle.serving import deployments
from mainstay.store import Store, jobs


class Summons:
    """Writes each name once, a line each, to a pipe that the supervisor reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told: set[str] = set()

    def look(self, store: Store) -> bool:
        """See who is needed and was not called yet. Nothing is done by it, so nobody need look again because of it."""
        if len(self._told) < 2:
            with store.view() as view:
                needed = {"gateway": bool(deployments.listed(view)), "worker": jobs.any_open(view)}
            for name in needed:
                if needed[name] and name not in self._told:
                    os.write(self._descriptor, f"{name}\n".encode())
                    self._told.add(name)
        return False
