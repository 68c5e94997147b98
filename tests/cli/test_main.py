# SPDX-License-Identifier: Apache-2.0
"""The command: its exit statuses, its one sentence, and how little it loads to show its help."""

from __future__ import annotations

import ast
import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mainstay import __version__, cli
from mainstay.domain.errors import Conflict

from .conftest import Run

# Third-party packages that `mainstay --help` may load. Nothing else: each costs everybody, at every call.
NEEDED_FOR_HELP = {"click", "mainstay"}


def test_help_shows_every_command_and_loads_nothing_that_it_does_not_need() -> None:
    probe = (
        "import sys\nbefore = set(sys.modules)\nfrom mainstay.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    print('status', end.code)\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)

    *help_, status, loaded = shown.stdout.splitlines()
    assert (status, shown.stderr) == ("status 0", "")
    assert {name for name in ast.literal_eval(loaded) if not name.startswith("_")} <= NEEDED_FOR_HELP
    assert all(any(line.split()[:1] == [name] for line in help_) for name in cli.COMMANDS)


def test_every_command_that_is_listed_exists_and_explains_itself() -> None:
    group = cli.command
    context = click.Context(group)
    for name in cli.COMMANDS:
        if importlib.util.find_spec(f"mainstay.cli.{cli.COMMANDS[name][0]}") is None:
            pytest.fail(f"`mainstay {name}` is listed and does not exist")
        command = group.get_command(context, name)
        assert command is not None
        assert (command.help or "").strip(), name


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["up", "--help"], 0),
        (["nonsense"], 2),
        (["up", "--nonsense"], 2),
        (["up", "--port", "eighty"], 2),
        (["server", "--port", "99999"], 2),
        (["gateway"], 2),
        (["server", "--host", "0.0.0.0"], 1),
    ],
)
def test_the_exit_status_says_what_became_of_it(run: Run, arguments: list[str], status: int) -> None:
    done = run(*arguments)

    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) is (status != 0)
    if arguments == ["--version"]:
        assert __version__ in done.stdout


def test_a_refusal_is_one_sentence_with_the_next_step(run: Run) -> None:
    done = run("server", "--host", "0.0.0.0")

    assert done.stderr.startswith("refused: host '0.0.0.0' would open the workspace to other machines; ")
    assert "\x1b" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(("variable", "default"), [("MAINSTAY_PORT", 7777), ("MAINSTAY_GATEWAY_PORT", 7778)])
def test_a_setting_that_cannot_be_read_is_one_sentence(run: Run, variable: str, default: int) -> None:
    done = run("up", **{variable: "eighty"})

    expected = f"setting {variable} is 'eighty'; a whole number from 0 to 65535 is expected (default {default})."
    assert (done.returncode, done.stderr) == (1, f"refused: {expected}\n")


def test_a_server_that_is_away_is_one_sentence(run: Run) -> None:
    done = run(
        "people", "list", MAINSTAY_URL="http://127.0.0.1:1", MAINSTAY_TOKEN="mst_a_b", MAINSTAY_RETRY_SECONDS="0"
    )

    assert done.returncode == 1
    assert done.stderr.startswith(
        "refused: no answer from http://127.0.0.1:1 (ConnectError); start it with `mainstay up`"
    )
    assert "Traceback" not in done.stderr


def test_a_database_that_was_damaged_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".mainstay").mkdir()
    (tmp_path / ".mainstay" / "mainstay.db").write_bytes(b"no database at all" * 500)

    done = run("people", "list")

    assert (done.returncode, done.stderr) == (
        1,
        "refused: mainstay.db is not a readable database; restore it from a backup.\n",
    )


def test_open_without_a_server_says_how_to_start_one(run: Run) -> None:
    done = run("open", "--no-open")

    assert (done.returncode, done.stderr) == (
        1,
        "refused: no server runs on this workspace; start one with `mainstay up`.\n",
    )


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (Conflict("no."), 1),
        (KeyboardInterrupt(), 130),
        (click.UsageError("x"), 2),
        (click.ClickException("x"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b.parquet"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_command_raises_becomes_a_status(
    raised: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_it(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(cli.command, "main", raise_it)

    with pytest.raises(SystemExit) as end:
        cli.main([])

    assert end.value.code == status


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run_out_of_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/a/b.parquet")

    monkeypatch.setattr(cli.command, "main", run_out_of_room)

    with pytest.raises(SystemExit):
        cli.main([])

    assert capsys.readouterr().err == (
        "refused: the disk is full: b.parquet was not written to the end. Free some space, then repeat the command.\n"
    )


def test_a_pipe_that_closes_early_is_no_error(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m mainstay --help | head -n 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], cwd=tmp_path, capture_output=True, text=True, env=os.environ
    )

    assert done.stderr == ""
