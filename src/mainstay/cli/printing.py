# SPDX-License-Identifier: Apache-2.0
"""What commands print: tables and facts for people, one JSON document for programs.

On a terminal ids and digests are short and prose is wrapped; in a pipe everything stands whole, one row a line, without
colours. ``rich`` is imported when something is drawn, never before: `--help` must not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mainstay.cli.words import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 100_000
LEAST_PROSE = 24
SHORT = 12


class Cell(NamedTuple):
    """Text with a style. ``whole`` is what a pipe gets instead, where the text is shortened for the eye."""

    text: str
    style: str = ""
    whole: str | None = None


class Column(NamedTuple):
    """A column: its heading, how a row's cell is found, and its kind: text, number (right), prose (wrapped)."""

    name: str
    of: Callable[[Any], Cell | str]
    kind: str = "text"


class Empty(NamedTuple):
    """What an empty list says: what such a thing is for, and the one command that makes the first."""

    sentence: str
    command: str


# What a state means to somebody who glances at it: colour, icon and word together, so that none is the only sign.
_TONES = {
    "ok": (
        "✓",
        "green",
        "ok live succeeded cached done pass passed approved approve completed active skipped released",
    ),
    "watch": (
        "▲",
        "yellow",
        "watch warning waiting rolling running paused held judging leased queued pending acknowledged muted suggest "
        "insufficient candidate asked",
    ),
    "alert": (
        "✗",
        "red",
        "alert refused failed fail rejected reject rolled_back aborted cancelled open disabled retired",
    ),
    "unknown": ("?", "magenta", "unknown"),
}
_TONE_BY_STATE = {state: (icon, colour) for icon, colour, states in _TONES.values() for state in states.split()}


def state(word: str | None) -> Cell:
    """A state as colour, icon and word."""
    found = word or "unknown"
    icon, colour = _TONE_BY_STATE.get(found, ("·", ""))
    return Cell(f"{icon} {found.replace('_', ' ')}", colour)


def digest(found: str | None) -> Cell:
    """A digest: short to read, whole in a pipe."""
    return Cell(found[:SHORT], "dim", found) if found else Cell("unknown", "dim")


def is_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stdout.isatty()


def is_coloured() -> bool:
    """Whether colours are wanted: on a terminal, unless NO_COLOR is set to anything."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def answer(found: Any, as_json: bool, people: Callable[[Any], None]) -> None:
    """Print the API's answer as it is, or in words."""
    if as_json:
        print_json(found)
    else:
        people(found)


def print_json(found: Any) -> None:
    """One JSON document."""
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


def say(text: str = "", style: str = "", *, err: bool = False) -> None:
    """One line."""
    _echo(click.style(text, **_click_style(style)) if style and is_coloured() and not err else text, err=err)


def print_list(found: Mapping[str, Any], columns: Sequence[Column], empty: Empty, *, as_json: bool) -> None:
    """A list as the API gave it: the document, a table, or what the first one would be good for."""
    if as_json:
        print_json(found)
    elif not found["items"]:
        print_empty(empty)
    else:
        print_table(found["items"], columns)
        if found.get("next"):
            say(f"There are more than {len(found['items'])}; --limit shows them.", "dim")


def print_empty(empty: Empty) -> None:
    """What an empty list says."""
    say(empty.sentence)
    say(f"  {empty.command}", "bold")


def print_table(rows: Iterable[Any], columns: Sequence[Column], *, title: str | None = None) -> None:
    """Rows under headings; nothing at all if there are no rows."""
    from rich.table import Table

    cells = [[_cell(column.of(row)) for column in columns] for row in rows]
    if not cells:
        return
    if title:
        print_title(title)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column.name,
            justify="right" if column.kind == "number" else "left",
            no_wrap=column.kind != "prose",
            overflow="fold",
        )
    _draw(table, cells, columns)


def print_facts(facts: Iterable[tuple[str, Cell | str]]) -> None:
    """Names and values, aligned."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    columns = (Column("", lambda row: row[0]), Column("", lambda row: row[1], "prose"))
    _draw(table, [[Cell(name), _cell(value)] for name, value in facts], columns)


def print_title(title: str) -> None:
    """A heading with room above it."""
    say()
    say(title, "bold")


_DIFF_TONES = {"+": "green", "-": "red", "@": "cyan"}


def print_diff(text: str | None) -> None:
    """A unified difference without its head."""
    for line in (text or "").splitlines()[2:]:
        say(line, _DIFF_TONES.get(line[:1], "dim"))


def print_wrapped(text: str, *, indent: str) -> None:
    """Prose behind ``indent``: wrapped on a terminal, whole in a pipe."""
    if not is_terminal():
        say(indent + text)
        return
    width = max(LEAST_PROSE, make_console().width - len(indent))
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]:
        _echo(indent + (click.style(line, dim=True) if is_coloured() else line))


def make_console() -> Console:
    """A drawing board for standard output."""
    from rich.console import Console

    return Console(
        file=sys.stdout,
        force_terminal=is_terminal(),
        color_system="auto" if is_coloured() else None,
        width=None if is_terminal() else PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _cell(found: Cell | str) -> Cell:
    given = Cell(found) if isinstance(found, str) else found
    text = given.whole if given.whole is not None and not is_terminal() else given.text
    return Cell(one_line(text), given.style)


def _draw(table: Table, rows: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> None:
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    console = make_console()
    # An id that is cut is of no use: where the terminal is too narrow for them, the lines run on.
    console.width = max(console.width, _needed(rows, columns))
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        _echo(line.rstrip())


def _needed(rows: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> int:
    widths = [
        min(LEAST_PROSE, _widest(rows, place, column)) if column.kind == "prose" else _widest(rows, place, column)
        for place, column in enumerate(columns)
    ]
    return sum(widths) + 2 * len(columns)


def _widest(rows: Sequence[Sequence[Cell]], place: int, column: Column) -> int:
    return max(len(column.name), *(len(row[place].text) for row in rows))


def _click_style(style: str) -> dict[str, Any]:
    return {"bold": True} if style == "bold" else {"dim": True} if style == "dim" else {"fg": style}


def _echo(text: str, *, err: bool = False) -> None:
    click.echo(text, err=err, color=is_coloured() if not err else None)
