# SPDX-License-Identifier: Apache-2.0
"""Keeps a gateway in step with the control plane: follows the routing table, reports what is loaded and counted.

In: the table's generations, by a request that waits for the next one. Out: a swapped table, reports once a second and
at once after a swap. A control plane that is away changes nothing for the callers: the last table serves on, and a
gateway that starts meanwhile begins with the one kept on the disk. What a report says is what is in memory, not what
was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mainstay import settings
from mainstay.domain.clock import to_wire
from mainstay.domain.errors import Invalid, MainstayError, Unavailable
from mainstay.gateway import routing
from mainstay.gateway.app import Gateway
from mainstay.gateway.control import LONGEST_POLL_S, Control, ask
from mainstay.gateway.routing import Table
from mainstay.gateway.shelf import Shelf
from mainstay.gateway.versions import Library

logger = logging.getLogger(__name__)

REPORT_SOON_S = 0.2
REPORT_EVERY_S = 1.0
# A version that was refused is tried again this often: a library may be installed, a blob may arrive.
RETRY_FAULTS_S = 5.0
# Whoever else works in this folder may be reading an online table that was the newest a moment ago.
LEFT_FOR_S = 600.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0


class Follower:
    """Two loops beside the app: `follow` and `report`.

    Args:
        kept: file of the last table.
    """

    def __init__(self, gateway: Gateway, control: Control, *, kept: Path, left_for_s: float = LEFT_FOR_S) -> None:
        self._gateway = gateway
        self._control = control
        self._kept = kept
        self._left_for_s = left_for_s
        self._library = Library(control.blob)
        self._schemas = routing.Schemas()
        rows, on_disk = settings.get("online_rows"), settings.get("online_disk_rows")
        self._shelf = Shelf(control.blob, control, most=rows, most_on_disk=on_disk)
        self._started_at = to_wire(datetime.now(UTC))
        self._swapped = asyncio.Event()
        self._wire: dict[str, Any] | None = None
        self._left: dict[str, float] = {}  # files of online tables that nothing names any more, and since when
        # Releases as the control plane writes them, by deployment and number; counts are reported in its own words.
        self._written: dict[tuple[str, int], Any] = {}

    async def follow(self) -> None:
        """For ever: wait for the next generation, load what it names, swap."""
        pause = _SHORTEST_PAUSE_S
        while True:
            try:
                await self._step()
                pause = _SHORTEST_PAUSE_S
            except Unavailable as error:
                await self._begin_offline()
                logger.warning("the table is not followed for now: %s", error)
            except Exception:  # whatever one table does, the next one must still be taken
                logger.exception("this table could not be taken into service")
            else:
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def report(self) -> None:
        """For ever: tell what is loaded and what was counted; soon after a change of either, else once a second."""
        while True:
            told = self._gateway.tally.wire()
            if self._gateway.table is not None:
                await self.report_once()
            self._swapped.clear()
            end = time.monotonic() + REPORT_EVERY_S
            while time.monotonic() < end and not self._swapped.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_SOON_S):
                        await self._swapped.wait()
                if self._gateway.tally.wire() != told:
                    break

    async def report_once(self) -> None:
        """One report; a control plane that cannot take it gets the next one, which holds everything again."""
        body = self._body()
        faults = [fault.as_wire() for fault in self._gateway.faults]
        try:
            try:
                await ask(lambda: self._control.report({**body, "faults": faults} if faults else body))
            except Invalid:
                if not faults:
                    raise
                # A control plane that knows no faults still has to hear what is loaded.
                await ask(lambda: self._control.report(body))
            self._gateway.control_seen_at = time.monotonic()
        except MainstayError as error:
            logger.debug("a report was not taken: %s", error)
        except Exception:
            logger.exception("a report could not be sent")

    async def _step(self) -> None:
        table = self._gateway.table
        after = -1 if table is None else table.generation
        wait = 0.0 if table is None else RETRY_FAULTS_S if self._gateway.faults else LONGEST_POLL_S
        wire = await ask(lambda: self._control.table(after, wait))
        self._gateway.control_seen_at = time.monotonic()
        # Not by the generation alone: what the control plane measures (a latency limit) may change within one.
        if wire == self._wire and not self._gateway.faults:
            return
        await self._take(wire)
        self._wire = wire
        await ask(lambda: self._keep(wire))

    def _keep(self, wire: dict[str, Any]) -> None:
        """Keep the table for a start without the control plane, and let go of online tables that it names no more."""
        before, named, now = routing.stored(self._kept), routing.online_tables(wire), time.monotonic()
        routing.store(self._kept, wire)
        left = routing.online_tables(before) if before else set()
        self._left = {digest: self._left.get(digest, now) for digest in (left | self._left.keys()) - named}
        for digest in [each for each, since in self._left.items() if now - since > self._left_for_s]:
            self._control.forget(digest)
            del self._left[digest]

    async def _begin_offline(self) -> None:
        if self._gateway.table is not None:
            return
        wire = await ask(lambda: routing.stored(self._kept))
        if wire is None:
            return
        logger.warning("the control plane is away; the kept table of generation %s serves", wire.get("generation"))
        try:
            await self._take(wire)
        except Exception:
            logger.exception("the kept table could not be taken into service")

    async def _take(self, wire: dict[str, Any]) -> None:
        before = self._gateway.table
        start = before or Table(generation=-1)
        table, faults = await ask(lambda: routing.assemble(wire, start, self._library, self._schemas, self._shelf))
        self._gateway.table = table
        for fault in faults:
            if fault not in self._gateway.faults:
                logger.error("%s %s is not taken into service: %s", fault.deployment, fault.release, fault.sentence)
        self._gateway.faults = faults
        self._library.keep(table.held())
        for deployment in table.deployments.values():
            for variant in deployment.live:
                self._written[deployment.name, variant.release] = variant.wire["release"]
        self._swapped.set()
        if before is None or table.generation != before.generation:
            logger.info("table generation %d is in use, %d versions in memory", table.generation, len(self._library))

    def _body(self) -> dict[str, Any]:
        table = self._gateway.table
        assert table is not None
        variants = [variant for deployment in table.deployments.values() for variant in deployment.live]
        counts = self._gateway.tally.wire()
        for item in counts:
            name = item["deployment"], item["release"]
            item["release"] = self._written.get(name, f"{name[0]}#{name[1]}")
        return {
            "gateway": self._gateway.log.gateway,
            "started_at": self._started_at,
            "generation": table.generation,
            "pid": os.getpid(),
            "loaded": [
                {
                    "deployment": variant.deployment,
                    "release": variant.wire["release"],
                    "version": variant.wire["version"],
                    "digest": variant.loaded.digest,
                    "role": variant.role,
                    "share_bp": variant.share_bp,
                }
                for variant in variants
            ],
            "counts": counts,
        }
