# SPDX-License-Identifier: Apache-2.0
"""The commands as a whole: each helps without loading anything heavy, and each that is named anywhere is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mainstay import cli

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"alembic", "fastapi", "httpx", "numpy", "pandas", "pyarrow", "pydantic", "rich", "sklearn", "sqlalchemy"}
PASSING_OPTIONS_ON = {("run",), ("plan",)}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, by its words."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


COMMANDS = dict(leaves(cli.command))


def usage(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command)
    arguments = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
    return " ".join(["mainstay", *path, *arguments])


def test_help_of_every_command_loads_nothing_heavy() -> None:
    """One process asks them all; each is asked by the entry of the console script."""
    code = f"""
import contextlib, io, sys
from mainstay import cli
for words in {sorted(COMMANDS)!r}:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    assert "Usage: mainstay " + " ".join(words) in said.getvalue(), words
print(*{{name.split(".")[0] for name in sys.modules}})
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) & HEAVY == set()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_in_one_short_sentence_what_it_does(path: tuple[str, ...]) -> None:
    said = COMMANDS[path].get_short_help_str(200)

    assert said.endswith(".") and not said.endswith("...")
    assert len(said) <= 80


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_argument_hides_an_option_of_the_same_name(path: tuple[str, ...]) -> None:
    names = [each.name for each in COMMANDS[path].params]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", [path for path in COMMANDS if path[-1] in ("list", "show")], ids=" ".join)
def test_every_list_and_show_takes_json(path: tuple[str, ...]) -> None:
    assert "--json" in options_of(COMMANDS[path])


def options_of(command: click.Command) -> set[str]:
    found = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return found | {"--help", "-h"}


def test_the_page_on_the_command_line_lists_every_command_and_no_other() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")

    rows = re.findall(r"^\| `(mainstay [^`]+)` \| (.+) \|$", page, re.MULTILINE)

    assert sorted(rows) == sorted((usage(path, each), each.get_short_help_str(200)) for path, each in COMMANDS.items())


def test_the_front_help_lists_the_same_commands_as_can_be_called() -> None:
    assert set(cli.COMMANDS) == {path[0] for path in COMMANDS}
    for group in {path[0] for path in COMMANDS if len(path) > 1}:
        said = re.findall(r": ([a-z, ]+)\.$", cli.COMMANDS[group][1])
        there = [path[1] for path in COMMANDS if path[0] == group and len(path) > 1]
        assert sorted(", ".join(said).split(", ")) == sorted(there), group


def named_commands() -> Iterator[tuple[str, str]]:
    """Where a command is written out for people to type: in messages, on the page, in the documentation."""
    files = [
        *(ROOT / "src" / "mainstay").rglob("*.py"),
        *(ROOT / "ui" / "src").rglob("*.tsx"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    for file in sorted(files):
        text = file.read_text("utf-8")
        for quoted in re.findall(r"[`\"'>] ?(?:  )?(mainstay [a-z][^`\"\n<]*)", text):
            yield file.name, quoted
        if file.suffix == ".md":
            for line in re.findall(r"^(mainstay [a-z].*?)(?:  +#.*)?$", text, re.MULTILINE):
                yield file.name, line


@pytest.mark.parametrize(("file", "line"), sorted(set(named_commands())))
def test_every_command_that_is_named_anywhere_exists_with_its_options(file: str, line: str) -> None:
    words = line.split()[1:]
    names = [re.sub(r"\W+$", "", word) for word in words[:2]]
    path = next((p for p in COMMANDS if p in ((names[0],), tuple(names))), None)
    group = any(p[0] == names[0] for p in COMMANDS)

    if path is None:  # a group alone ("`mainstay runs`"), or prose that merely begins so
        assert group or names[0] in PROSE, f"{file} names {line!r}, which is no command"
        assert not (group and len(words) > 1 and names[1] in VERBS), f"{file} names {line!r}, which is no command"
        return
    asked = {word.partition("=")[0] for word in words if word.startswith("--") and len(word) > 2}
    if path not in PASSING_OPTIONS_ON:
        assert {re.sub(r"[^\w-]+$", "", option) for option in asked} <= options_of(COMMANDS[path]), f"{file}: {line}"


# Words that follow the name of the program where no command is meant.
PROSE: set[str] = set()
VERBS = {path[1] for path in COMMANDS if len(path) > 1}


def test_colours_are_off_in_an_error_where_they_are_not_wanted(tmp_path: Path) -> None:
    """On a terminal too: NO_COLOR is somebody's word."""
    master, slave = os.openpty()
    code = "from mainstay.cli import main; main(['runs', 'show', 'nope'])"
    environment = dict(os.environ, NO_COLOR="1", TERM="xterm", MAINSTAY_WORKSPACE=str(tmp_path / ".mainstay"))
    ran = subprocess.run([sys.executable, "-c", code], stderr=slave, stdout=slave, env=environment, check=False)
    os.close(slave)
    said = os.read(master, 65_536).decode()
    os.close(master)

    assert ran.returncode == 1
    assert "refused: no run is called 'nope'" in said and "\x1b" not in said
    assert f"new workspace {tmp_path / '.mainstay'}" in said


def test_the_end_of_a_pipe_is_no_error(tmp_path: Path) -> None:
    """`mainstay audit list | head -1`."""
    code = "from mainstay.cli import main; main(['people', 'list', '--json'])"
    environment = dict(os.environ, MAINSTAY_WORKSPACE=str(tmp_path / ".mainstay"))
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, env=environment, text=True, check=False
    )
    os.close(writer)

    assert ran.returncode == 0
    assert "Broken" not in ran.stderr and "Traceback" not in ran.stderr
