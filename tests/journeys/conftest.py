# SPDX-License-Identifier: Apache-2.0
"""The journeys' stage: one year lived through by the real command, shared by every test that looks back at it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.client.session import Session, connect


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``mainstay demo --exit`` has run to its end; its output is in ``said.txt``.

    Workers of one test run share it: the first to come lives the year, the others wait for it.
    """
    shared = tmp_path_factory.getbasetemp().parent / "year"
    shared.mkdir(exist_ok=True)
    folder, said = shared / "demo", shared / "said.txt"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            command = [sys.executable, "-m", "mainstay", "demo", "--exit", "--folder", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=540, env=plain(), check=False)
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
            said.write_text(done.stdout)
    return folder


@pytest.fixture
def records(year: Path) -> Iterator[Session]:
    """A session on the year's workspace, in this process: nothing but the stored records answers."""
    session = connect(workspace=year / ".mainstay")
    yield session
    session.close()


def plain() -> dict[str, str]:
    """An environment without colours, for a program whose words are read."""
    return {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
