# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures goes through a pipeline: taken in as a snapshot, read by a step, a hit until a file changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
from pathlib import Path
import mainstay as ms

@ms.step
def sizes(pictures: Path) -> dict[str, int]:
    return {file.relative_to(pictures).as_posix(): file.stat().st_size for file in sorted(pictures.rglob("*")) if file.is_file()}

@ms.pipeline
def flow():
    sizes(ms.snapshot("pictures", Path("pictures")))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pictures" / "sub").mkdir(parents=True)
    (tmp_path / "pictures" / "a.png").write_bytes(b"a" * 10)
    (tmp_path / "pictures" / "sub" / "b.png").write_bytes(b"b" * 20)
    (tmp_path / "flow.py").write_text(FLOW)
    return tmp_path


def say(project: Path, *words: str) -> str:
    command = [sys.executable, "-m", "mainstay", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_folder_is_taken_in_read_by_a_step_and_a_hit_until_a_file_changes(project: Path) -> None:
    say(project, "run", "flow.py:flow")
    again = say(project, "run", "flow.py:flow")
    (project / "pictures" / "a.png").write_bytes(b"a" * 11)
    changed = say(project, "run", "flow.py:flow")

    assert "2 hits" in again and "2 ran" in changed
    first, second = (json.loads(say(project, "datasets", "show", f"pictures@{n}", "--json")) for n in (1, 2))
    assert (first["kind"], first["rows"], first["size"], second["size"]) == ("files", 2, 30, 31)
    say(project, "datasets", "checkout", "pictures@1", "out")
    assert (project / "out" / "a.png").read_bytes() == b"a" * 10
    assert (project / "out" / "sub" / "b.png").read_bytes() == b"b" * 20
    assert json.loads(say(project, "datasets", "verify", "pictures@2", "--json"))["sound"]
    assert json.loads(say(project, "gc", "--json"))["objects"] == 0
