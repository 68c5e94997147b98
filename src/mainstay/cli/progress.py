# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: on a terminal one moving line under the lines of what is done, in a log plain lines only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words

if TYPE_CHECKING:
    from mainstay.engine.execution import Notice

_MARKS = {
    "hit": ("✓ hit", "green"),
    "done": ("✓ ran", "green"),
    "failed": ("✗ failed", "red"),
    "warning": ("▲ note", "yellow"),
}


class Steps:
    """Tells the steps of a run as they happen, on what is standard output meanwhile."""

    def __init__(self) -> None:
        self._status: Any = None

    def __enter__(self) -> Steps:
        if printing.is_terminal():
            self._status = printing.make_console().status("")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, notice: Notice) -> None:
        """Say one notice of an execution."""
        text = words.one_line(notice.text)
        if notice.what == "run":
            self._line(f"{notice.label}: {text}")
        elif notice.what == "start":
            self._start(f"{notice.label}  {text}")
        elif notice.what in _MARKS:
            word, colour = _MARKS[notice.what]
            said = [notice.label, *([text] if text != "hit" else [])]
            said += [words.seconds(notice.seconds)] if notice.seconds else []
            self._line(f"  {word:<8}  {'  '.join(said)}", colour)

    def _start(self, text: str) -> None:
        if self._status is None:
            self._line(f"  … runs    {text}")
        else:
            self._status.update(f" {text}")

    def _line(self, text: str, colour: str = "") -> None:
        if self._status is not None:
            # Through the board that holds the moving line, so that it makes room.
            self._status.console.print(text, style=colour or None)
            self._status.update("")
        else:
            click.echo(text)


@contextmanager
def doing(text: str, *, err: bool) -> Iterator[None]:
    """Show what is under way for as long as the block takes."""
    if not printing.is_terminal() or err:
        click.echo(f"{text} …", err=True)
        yield
        return
    with printing.make_console().status(f" {text} …"):
        yield


@contextmanager
def counting(text: str, *, err: bool) -> Iterator[Callable[[str, str], None]]:
    """Show how many of each kind are done, and the newest; what is yielded is told of each. A log gets a line a hundred."""
    done: Counter[str] = Counter()

    def shown() -> str:
        return ", ".join(f"{number:,} {kind}{'' if number == 1 else 's'}" for kind, number in done.items())

    if not printing.is_terminal() or err:

        def line(kind: str, name: str) -> None:
            done[kind] += 1
            if sum(done.values()) % 100 == 0:
                click.echo(f"{text}: {shown()} …", err=True)

        yield line
        return
    with printing.make_console().status(f" {text} …") as status:

        def update(kind: str, name: str) -> None:
            done[kind] += 1
            status.update(f" {text}: {shown()} · {words.one_line(name)}")

        yield update
