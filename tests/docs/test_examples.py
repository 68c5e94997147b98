# SPDX-License-Identifier: Apache-2.0
"""The examples of the documentation, run as a reader would: each page in a folder of its own, block after block.

The convention is in the info string of a fenced block. ``python`` and ``console`` are run; ``file=NAME`` is written down instead,
``background`` is started and ends with the page, ``illustration`` is only looked at. In a console block, lines behind ``$ `` are
commands and the lines below one are its output, in which ``…`` stands for anything. ``NAME=$(command)`` keeps an output.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>\w+)(?P<marks>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
# What the README says of a gateway that has not taken a release up yet, and of a log that is not there yet.
NOT_YET = re.compile(r"serves no deployment|no prediction [0-9a-f]{32} in the log|no routing table yet")
PATIENCE_S = 90.0
LONGEST_S = 240.0


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    marks: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        return next((mark.removeprefix("file=") for mark in self.marks if mark.startswith("file=")), None)

    @property
    def is_run(self) -> bool:
        return self.kind in ("python", "console") and "illustration" not in self.marks


def blocks_of(path: Path) -> list[Block]:
    found = FENCE.finditer(path.read_text("utf-8"))
    return [Block(block["kind"], tuple(block["marks"].split()), block["text"]) for block in found]


def commands_of(text: str) -> list[tuple[str, str]]:
    """(command, expected output) of a console block."""
    parts = re.split(r"^\$ ", text, flags=re.M)
    return [(command, output.strip("\n")) for command, _, output in (part.partition("\n") for part in parts[1:])]


def looks_like(expected: str, found: str) -> bool:
    """Whether ``found`` is what the page shows; ``…`` is anything, also several lines, and a gap is a gap of any width."""
    pieces = [r"\s+".join(re.escape(word) for word in piece.split()) for piece in expected.split("…")]
    return re.fullmatch(r"\s*.*?\s*".join(pieces), found.strip(), re.S) is not None


@dataclass
class Reader:
    """Somebody who types what a page says, in a folder of their own."""

    folder: Path
    environment: dict[str, str]
    kept: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def follow(self, block: Block) -> None:
        if block.file:
            (self.folder / block.file).write_text(block.text, "utf-8")
        elif "background" in block.marks:
            self.start(commands_of(block.text)[0])
        elif block.kind == "python":
            self.run(shlex.join(["python", "-c", block.text]))
        else:
            for command, expected in commands_of(block.text):
                self.type(command, expected)

    def type(self, command: str, expected: str) -> None:
        if kept := re.fullmatch(r"(\w+)=\$\((.*)\)", command):
            self.kept[kept[1]] = self.run(kept[2]).strip()
            return
        found = self.run(command)
        assert looks_like(expected, found), f"$ {command}\n{found}\n--- the page says:\n{expected}"

    def run(self, command: str) -> str:
        """The standard output of a command; one that is refused because it is early is typed again."""
        end = time.monotonic() + PATIENCE_S
        while True:
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env=self.environment | self.kept,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
            )
            if done.returncode == 0:
                return done.stdout
            assert NOT_YET.search(done.stderr), f"$ {command}\n{done.stdout}{done.stderr}"
            assert time.monotonic() < end, f"$ {command}\nstill refused: {done.stderr}"
            time.sleep(0.5)

    def start(self, typed: tuple[str, str]) -> None:
        """Start a command that stays, and wait until it has said what the page shows."""
        command, expected = typed
        said = self.folder / "said"
        with said.open("wb") as output:
            arguments = [sys.executable, "-m", *shlex.split(command)]
            self.running.append(
                subprocess.Popen(
                    arguments,
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )
        end = time.monotonic() + PATIENCE_S
        while not looks_like(expected, said.read_text("utf-8")):
            assert self.running[-1].poll() is None, said.read_text("utf-8")
            assert time.monotonic() < end, f"$ {command}\n{said.read_text('utf-8')}"
            time.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self.running):
            process.terminate()
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def reader_in(folder: Path) -> Iterator[Reader]:
    """A reader whose ``mainstay`` and ``python`` are those of this environment, and whose ports are free ones."""
    tools = folder / ".tools"
    tools.mkdir()
    for name, arguments in {"mainstay": ["-m", "mainstay"], "python": []}.items():
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *arguments])} "$@"\n', "utf-8")
        script.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAINSTAY_")}
    environment |= {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    environment |= {"MAINSTAY_PORT": "0", "MAINSTAY_GATEWAY_PORT": "0"}
    (folder / "project").mkdir()
    someone = Reader(folder / "project", environment)
    try:
        yield someone
    finally:
        someone.stop()


def pages_with_examples() -> list[Path]:
    return [path for path in PAGES if any(block.is_run for block in blocks_of(path))]


@pytest.mark.parametrize("path", pages_with_examples(), ids=lambda path: path.stem)
def test_the_examples_of_a_page_do_what_it_says(path: Path, tmp_path: Path) -> None:
    with reader_in(tmp_path) as someone:
        for block in blocks_of(path):
            if block.is_run or block.file:
                someone.follow(block)


def test_the_example_of_an_own_model_closes_the_loop_in_at_most_five_commands() -> None:
    blocks = blocks_of(ROOT / "README.md")
    consoles = [commands_of(block.text) for block in blocks if block.is_run and block.kind == "console"]
    typed = [[command for command, _ in commands] for commands in consoles]

    assert len(typed[1]) <= 5
    assert [command.split()[1] for command in typed[1]] == ["run", "policy", "deployments", "release", "approve"]
    assert [words for words in ("ask.py", "feedback", "why") if not any(words in each for each in typed[2])] == []


def test_every_console_block_that_is_not_run_says_that_it_is_an_illustration() -> None:
    odd = [
        (path.name, block.text)
        for path in PAGES
        for block in blocks_of(path)
        if block.kind == "console" and not commands_of(block.text)
    ]

    assert odd == []


def test_an_output_that_differs_from_the_page_is_noticed() -> None:
    assert looks_like("a …\n…\nlast", "a word\nmore\nlast")
    assert looks_like("…\n5 steps: 5 ran", "first\n5 steps: 5 ran\n")
    assert not looks_like("…\n5 steps: 5 ran", "first\n5 steps: 4 ran")
    assert not looks_like("1 label taken in", "2 labels taken in")


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    with reader_in(tmp_path) as someone, pytest.raises(AssertionError, match="No such command"):
        someone.follow(Block("console", (), "$ mainstay no-such-command\n…\n"))
