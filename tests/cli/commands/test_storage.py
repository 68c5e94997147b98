# SPDX-License-Identifier: Apache-2.0
"""Folders on the command line: taken in, verified, laid out; and what nothing refers to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def pictures(tmp_path: Path, run: Run) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"a needle in a haystack")
    (folder / "sub" / "b.png").write_bytes(b"b" * 20)
    added = run("datasets", "add", "pictures", "pictures", "-m", "the first ones")
    assert added.returncode == 0, added.stderr
    assert "snapshot pictures@1: 2 files" in added.stdout
    return folder


def test_a_folder_is_shown_verified_laid_out_and_nothing_of_it_is_collected(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    shown = run("datasets", "show", "pictures@1").stdout
    assert "none: files" in shown and "2" in shown
    whole = run("datasets", "show", "pictures").stdout
    assert "2 files" in whole and "files have no columns" in whole
    assert "2 files" in run("datasets", "list").stdout

    assert "is sound" in run("datasets", "verify", "pictures@current").stdout
    assert "2 files written" in run("datasets", "checkout", "pictures@1", "out").stdout
    assert (tmp_path / "out" / "sub" / "b.png").read_bytes() == b"b" * 20
    assert "nothing to collect" in run("gc").stdout

    refused = run("datasets", "export", "pictures@1", "out.csv")
    assert refused.returncode == 1 and "mainstay datasets checkout pictures@1" in refused.stderr


def test_what_is_dropped_is_shown_by_kind_goes_and_is_told_to_have_been_freed(
    pictures: Path, tmp_path: Path, run: Run
) -> None:
    (pictures / "a.png").write_bytes(b"another picture")
    run("datasets", "add", "pictures", "pictures")
    assert (
        "is the newest" in run("datasets", "drop", "pictures@2").stderr
        or "pictures@current" in run("datasets", "drop", "pictures@2").stderr
    )
    assert "is back" in (run("datasets", "drop", "pictures@1") and run("datasets", "restore", "pictures@1")).stdout
    run("datasets", "drop", "pictures@1", "-m", "a trial")
    for file in (tmp_path / ".mainstay" / "blobs").rglob("*"):
        if file.is_file():
            os.utime(file, (time.time() - 48 * 3600,) * 2)

    assert "nothing to collect" in run("gc").stdout
    counted = json.loads(run("gc", "--deleted-days", "0", "--json").stdout)
    shown = run("gc", "--deleted-days", "0").stdout
    taken = run("gc", "--deleted-days", "0", "--delete", "-m", "room").stdout

    assert [kind["what"] for kind in counted["kinds"]] == ["dropped snapshots"] and not counted["deleted"]
    assert "dropped snapshots" in shown and "`mainstay gc --delete` takes them away" in shown and "taken away" in taken
    found = run("datasets", "verify", "pictures@1")
    assert found.returncode == 1 and "freed by gc on" in found.stdout
    assert run("datasets", "verify", "pictures@2").returncode == 0


def test_damage_is_named_and_the_status_is_1(pictures: Path, tmp_path: Path, run: Run) -> None:
    (pack,) = (tmp_path / ".mainstay" / "blobs" / "packs").iterdir()
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes().replace(b"needle", b"noodle"))

    found = run("datasets", "verify", "pictures@1")

    assert found.returncode == 1
    assert "a.png" in found.stdout and "sub/b.png" not in found.stdout
