# SPDX-License-Identifier: Apache-2.0
"""What a step writes while it runs: standard output, standard error and logging, line by line.

In: text as it comes. Out: finished lines to whoever keeps them (`Say`), each with the step's label and its stream; what is
written still goes where it went. A progress bar that returns to the start of its line counts as its last state. A step
keeps its first `MOST_LINES`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

Say = Callable[[str, str, str], None]  # label, stream (out, err, log), text

MOST_LINES = 10_000
LONGEST = 4_000
_ENOUGH = f"… more was written; the first {MOST_LINES:,} lines of a step are kept"


class Lines:
    """Text in pieces becomes lines of one step."""

    def __init__(self, label: str, say: Say) -> None:
        self._label, self._say = label, say
        self._begun: dict[str, str] = {}
        self._count = 0

    def write(self, stream: str, text: str) -> None:
        """Take a piece."""
        *lines, rest = (self._begun.pop(stream, "") + text).split("\n")
        for line in lines:
            self.line(stream, line)
        # Of a bar that is redrawn for an hour, only the last state is worth its memory.
        self._begun[stream] = rest if len(rest) <= LONGEST else _folded(rest)[:LONGEST]

    def line(self, stream: str, text: str) -> None:
        """Take a whole line."""
        self._count += 1
        if self._count <= MOST_LINES:
            self._say(self._label, stream, _folded(text)[:LONGEST])
        elif self._count == MOST_LINES + 1:
            self._say(self._label, stream, _ENOUGH)

    def end(self) -> None:
        """Whatever was begun is a line."""
        for stream, text in self._begun.items():
            if text:
                self.line(stream, text)
        self._begun.clear()


@contextlib.contextmanager
def told(label: str, say: Say | None) -> Iterator[None]:
    """Inside the block, what this process writes and logs is also said as lines of ``label``."""
    if say is None:
        yield
        return
    lines = Lines(label, say)
    handler = _Handler(lines, shows=not logging.root.handlers)
    logging.root.addHandler(handler)
    out: Any = _Tee(sys.stdout, lines, "out")
    err: Any = _Tee(sys.stderr, lines, "err")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        logging.root.removeHandler(handler)
        lines.end()


@contextlib.contextmanager
def logging_told(label: str, say: Say) -> Iterator[None]:
    """Inside the block, what this process logs is said as lines of ``label``: where its output is read by another."""
    handler = _Handler(Lines(label, say), shows=False)
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


class _Tee(io.TextIOBase):
    """A stream that passes everything on, and keeps a copy of what the step writes."""

    def __init__(self, stream: Any, lines: Lines, name: str) -> None:
        self._stream, self._lines, self._name = stream, lines, name

    def write(self, text: str) -> int:
        self._stream.write(text)
        if not _is_ours():
            self._lines.write(self._name, text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # encoding, fileno, isatty: those of the stream behind


class _Handler(logging.Handler):
    def __init__(self, lines: Lines, *, shows: bool) -> None:
        super().__init__()
        self._lines = lines
        self._shown = sys.stderr if shows else None  # as logging does where nobody has set it up

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "mainstay" or _is_ours():
            return
        text = f"{record.levelname} {record.name}: {record.getMessage()}"
        for line in text.splitlines():
            self._lines.line("log", line)
        if self._shown is not None and record.levelno >= logging.WARNING:
            print(record.getMessage(), file=self._shown)


def _is_ours() -> bool:
    # The embedded server's threads live in the same process, and what they say is not the step's.
    return threading.current_thread().name.startswith("mainstay")


def _folded(text: str) -> str:
    parts = [part for part in text.split("\r") if part]
    return parts[-1] if parts else ""
