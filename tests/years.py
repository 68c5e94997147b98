# SPDX-License-Identifier: Apache-2.0
"""A year that the demo lives through as its owner starts it, for tests to ask about: undisturbed, or with its processes killed.

Workers of one test run share it: the first to come lives it, the others wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ENOUGH_S = 540
#: Who is killed in which month.
KILLED = {"2013-04": "server", "2013-06": "gateway", "2013-08": "worker"}


def plain() -> dict[str, str]:
    """An environment without colours, for a program whose words are read."""
    return {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}


def lived(shared: Path, live: Callable[[Path], str]) -> Path:
    """The folder in ``shared`` in which the year was lived; what was said meanwhile is in ``said.txt`` beside it."""
    shared.mkdir(exist_ok=True)
    folder, said = shared / "demo", shared / "said.txt"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            said.write_text(live(folder))
    return folder


def undisturbed(folder: Path) -> str:
    """Live the year; what the demo said."""
    done = subprocess.run(_demo(folder), capture_output=True, text=True, timeout=ENOUGH_S, env=plain(), check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def disturbed(folder: Path) -> str:
    """Live the year while server, gateway and worker are killed in the middle of a month each; what the demo said."""
    words = folder.parent / "so_far.txt"
    with open(words, "w") as said:
        demo = subprocess.Popen(_demo(folder), stdout=said, stderr=subprocess.STDOUT, env=plain())
    try:
        for month, role in KILLED.items():
            _wait_for(folder / f"answers/{month}.ndjson", demo)
            told = json.loads((folder / ".mainstay/server.json").read_text())
            os.kill(told["pid"] if role == "server" else _pid_of(demo.pid, role), signal.SIGKILL)
        assert demo.wait(timeout=ENOUGH_S) == 0, words.read_text()[-4000:]
    finally:
        demo.kill()
        demo.wait()
    return words.read_text()


def _demo(folder: Path) -> list[str]:
    return [sys.executable, "-m", "mainstay", "demo", "--exit", "--folder", str(folder)]


def _wait_for(file: Path, demo: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not file.exists() or file.stat().st_size == 0:
        assert demo.poll() is None, "the demo ended before it was to be disturbed"
        assert time.monotonic() < end, f"{file.name} did not come"
        time.sleep(0.05)


def _pid_of(parent: int, role: str) -> int:
    """The child of ``parent`` that is the ``role`` process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                status = (entry / "status").read_text()
            except OSError:
                continue
            if re.search(rf"PPid:\s+{parent}\n", status) and role.encode() in words:
                return int(entry.name)
    raise AssertionError(f"no {role} process below {parent}")
