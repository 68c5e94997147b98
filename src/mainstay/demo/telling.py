# SPDX-License-Identifier: Apache-2.0
"""Telling what happens while it happens: lines for events, and on a terminal one line that says what is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from mainstay.client.session import Session
from mainstay.domain.errors import MainstayError

LOOKS_EVERY_S = 0.5


class Teller:
    """Where the demo speaks. Colours and the moving line only on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        # A log has no width of its own: rows of the table must not be cut to that of an absent terminal.
        width = None if stream.isatty() else 140
        self.console = Console(file=stream, highlight=False, soft_wrap=True, width=width)
        self.month = ""
        self._began = time.monotonic()
        self._status: Any = None

    def say(self, text: str, style: str = "") -> None:
        """One line: seconds since the beginning, the month, the words."""
        seconds = f"{time.monotonic() - self._began:5.1f}s"
        self.console.print(f"[dim]{seconds}[/] [bold]{self.month:<4}[/]", end="")
        self.console.print(text, style=style or None, markup=False)

    @contextmanager
    def doing(self, text: str) -> Iterator[None]:
        """Show what is under way; nothing is printed where nobody watches."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"{self.month} {text} …"):
            yield


class News:
    """A thread that follows the ledger and tells what people would want to hear."""

    def __init__(self, session: Session, teller: Teller) -> None:
        self._session = session
        self._teller = teller
        self._stopping = threading.Event()
        self._seq = int((session.get("/events", limit=1)["items"] or [{"seq": 0}])[0]["seq"])
        self._thread = threading.Thread(target=self._follow, name="mainstay-news", daemon=True)
        self._looking = threading.Lock()

    def catch_up(self) -> None:
        """Tell now whatever has happened by now."""
        self._look()

    def __enter__(self) -> News:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._look()

    def _follow(self) -> None:
        while not self._stopping.wait(LOOKS_EVERY_S):
            try:
                self._look()
            except MainstayError:  # the server is being restarted; the next look finds what was missed
                continue

    def _look(self) -> None:
        with self._looking:
            for event in reversed(self._session.get("/events", after=self._seq, limit=1000)["items"]):
                self._seq = max(self._seq, event["seq"])
                if line := _line(event):
                    self._teller.say(*line)


def _line(event: dict[str, Any]) -> tuple[str, str] | None:
    """An event in words, and its colour; None for those that would only be noise here."""
    body, name, reason = event["body"], event["subject"].partition(":")[2], event["reason"] or ""
    match event["kind"]:
        case "snapshot.taken":
            return f"snapshot {name}: {body.get('rows', '?')} rows", ""
        case "batch.refused":
            return f"refused at ingest: {', '.join(_problem(one) for one in body['problems'])}", "red"
        case "contract.changed":
            return f"contract of {name} is now version {body.get('version')}", ""
        case "version.registered":
            return f"registered {name} (digest {str(body.get('digest'))[:12]})", "cyan"
        case "release.requested":
            return f"release {name} requested by {event['actor']} for {body['model']}/{body['version']}", "cyan"
        case "release.judged":
            passed = sum(gate["verdict"] == "pass" for gate in body["gates"])
            style = "red" if body["state"] == "refused" else "green"
            return f"release {name}: gates {passed}/{len(body['gates'])}, {body['state']} ({reason})", style
        case "approval.given":
            return f"{body['decision']}d by {event['actor']}: {reason}", "green"
        case "rollout.started" | "rollout.moved":
            return f"release {name} takes {body['share']:.0%} of the traffic", "cyan"
        case "rollout.completed":
            return f"release {name} is live", "bold green"
        case "rollout.aborted":
            return f"release {name} lost its traffic again: {reason}", "red"
        case "alert.opened":
            return f"alert: {body.get('title') or reason} → {body.get('owner', '')}", "yellow"
        case "decision.made":
            return f"decision {body['outcome']}: {body.get('sentence', reason)}", "magenta"
    return None


def _problem(found: dict[str, Any]) -> str:
    likely = found.get("likely_alias")
    return f"column {found['column']!r} {found['problem']}" + (f", likely called {likely!r} now" if likely else "")
