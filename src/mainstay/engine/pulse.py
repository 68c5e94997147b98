# SPDX-License-Identifier: Apache-2.0
"""The pulse of a run: a sign of life every few seconds, what is under way, and the lines that its steps have written.

One thread. A control plane that is away is waited for; one that says the run is another's by now is believed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from mainstay.domain.clock import to_wire, utc_now
from mainstay.domain.errors import Conflict, Forbidden, MainstayError, NotFound
from mainstay.engine.platform import Platform

LEASE_S = 30.0
BEATS_EVERY_S = 5.0
LOOKS_EVERY_S = 0.5
_MOST_LINES = 2_000  # in one request
_MOST_WAITING = 50_000

log = logging.getLogger("mainstay.pulse")


class Pulse:
    """``lost`` says why, once the run is not ours any more."""

    def __init__(self, platform: Platform, run_id: str, worker: str) -> None:
        self.lost: MainstayError | None = None
        self._platform, self._run_id, self._worker = platform, run_id, worker
        self._lines: deque[dict[str, str]] = deque(maxlen=_MOST_WAITING)
        self._running: list[str] = []
        self._outline: Sequence[Mapping[str, Any]] | None = None
        self._told: list[str] = []
        self._beat_at = time.monotonic()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="mainstay-pulse", daemon=True)
        self._thread.start()

    def say(self, label: str, stream: str, text: str) -> None:
        """A step has written a line."""
        self._lines.append({"step": label, "stream": stream, "at": to_wire(utc_now()), "text": text})

    def under_way(self, labels: Sequence[str]) -> None:
        """These steps are being carried out."""
        with self._lock:
            self._running = list(labels)

    def intend(self, outline: Sequence[Mapping[str, Any]]) -> None:
        """This is what the run means to do, as far as it is known."""
        with self._lock:
            self._outline = list(outline)

    def stop(self) -> None:
        """Send the last lines and end; safe to call twice."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(LOOKS_EVERY_S) and self.lost is None:
            self._look(is_last=False)
        if self.lost is None:
            self._look(is_last=True)

    def _look(self, *, is_last: bool) -> None:
        try:
            self._send_lines()
            if not is_last:
                self._beat()
        except (Conflict, NotFound, Forbidden) as error:
            self.lost = error
        except MainstayError as error:
            log.warning("run %s: no sign of life: %s", self._run_id, error.message)

    def _send_lines(self) -> None:
        while self._lines:
            batch = [self._lines[n] for n in range(min(len(self._lines), _MOST_LINES))]
            self._platform.post(f"/runs/{self._run_id}/lines", {"lines": batch})
            for _ in batch:
                self._lines.popleft()

    def _beat(self) -> None:
        with self._lock:
            running, outline = list(self._running), self._outline
        now = time.monotonic()
        if now - self._beat_at < BEATS_EVERY_S and outline is None and running == self._told:
            return
        body: dict[str, Any] = {"worker": self._worker, "seconds": LEASE_S, "running": running}
        if outline is not None:
            body["outline"] = list(outline)
        self._platform.post(f"/runs/{self._run_id}/alive", body)
        self._beat_at, self._told = now, running
        with self._lock:
            if self._outline is outline:
                self._outline = None
