# SPDX-License-Identifier: Apache-2.0
"""What is printed, on a terminal and in a pipe: colours, widths, and text that must not command the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.cli import printing, words
from mainstay.cli.printing import Cell, Column

DIGEST = "0123456789abcdef" * 4
COLUMNS = (
    Column("id", lambda row: row["id"]),
    Column("digest", lambda row: printing.digest(DIGEST)),
    Column("state", lambda row: printing.state(row["state"])),
    Column("n", lambda row: words.count(row["n"]), "number"),
    Column("reason", lambda row: row["reason"], "prose"),
)
ROW = {"id": "a" * 32, "state": "rolled_back", "n": 1234, "reason": "because " * 30}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns that knows colours."""
    monkeypatch.setattr(printing, "is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_pipe_gets_whole_values_one_row_a_line_without_colour(capsys) -> None:
    printing.print_table([ROW], COLUMNS)

    heading, row = capsys.readouterr().out.splitlines()
    assert row == f"{ROW['id']}  {DIGEST}  ✗ rolled back  1,234  {('because ' * 30).strip()}"
    assert heading.split() == ["id", "digest", "state", "n", "reason"]


def test_a_terminal_gets_short_digests_colours_and_wrapped_prose(terminal, capsys) -> None:
    printing.print_table([ROW], COLUMNS)

    out = capsys.readouterr().out
    assert ROW["id"] in out and DIGEST not in out and DIGEST[:12] in out
    assert "\x1b[31m✗ rolled back" in out
    assert len(out.splitlines()) > 3


def test_no_color_leaves_no_escape_on_a_terminal(terminal, capsys, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    printing.print_table([ROW], COLUMNS)
    printing.print_title("title")
    printing.print_facts([("state", printing.state("ok"))])
    printing.say("red", "red")

    assert "\x1b" not in capsys.readouterr().out


def test_a_state_is_an_icon_a_word_and_a_colour_and_unknown_is_never_green() -> None:
    assert printing.state("ok") == Cell("✓ ok", "green")
    assert printing.state(None) == Cell("? unknown", "magenta")
    assert printing.state("watch").style != printing.state("alert").style
    assert printing.state("superseded") == Cell("· superseded", "")


@given(st.text())
def test_no_text_reaches_a_terminal_that_could_command_it(text: str) -> None:
    shown = words.one_line(text)

    assert all(sign.isprintable() for sign in shown)
    assert words.one_line(shown) == shown


def test_no_text_is_taken_for_markup(capsys) -> None:
    printing.print_table([ROW | {"reason": "[red]x[/] :smile:"}], COLUMNS)

    assert "[red]x[/] :smile:" in capsys.readouterr().out


@given(st.floats(0, 1e9))
def test_how_long_something_took_is_never_blank(length: float) -> None:
    assert words.seconds(length)[0].isdigit()


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ("2026-01-01T00:00:00Z", "just now"),
        ("2025-12-31T23:59:20Z", "40 s ago"),
        ("2025-12-31T23:00:00Z", "60 min ago".replace("60 min", "1 h")),
        ("2025-12-30T00:00:00Z", "2 d ago"),
        ("2026-01-03T00:00:00Z", "in 2 d"),
        ("2025-01-01T00:00:00Z", "12 months ago"),
        ("2013-01-01T00:00:00Z", "13 years ago"),
        (None, "unknown"),
    ],
)
def test_times_are_told_from_now(passed, said) -> None:
    from mainstay.domain.clock import from_wire

    assert words.ago(passed, now=from_wire("2026-01-01T00:00:00Z")) == said
