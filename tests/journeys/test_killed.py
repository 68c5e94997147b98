# SPDX-License-Identifier: Apache-2.0
"""Server and gateway are killed in the middle of the year; nothing that was acknowledged is lost, and the year goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from mainstay.client.session import Session, connect

ENOUGH_S = 500


def test_a_killed_server_and_a_killed_gateway_cost_time_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "mainstay", "demo", "--exit", "--folder", str(folder)]
    with open(tmp_path / "said.txt", "w") as said:
        demo = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        wait_for(folder, "answers/2013-04.ndjson", demo)
        kill(json.loads((folder / ".mainstay/server.json").read_text())["pid"])
        wait_for(folder, "answers/2013-06.ndjson", demo)
        kill(pid_of(demo.pid, "gateway"))
        wait_for(folder, "answers/2013-08.ndjson", demo)
        kill(pid_of(demo.pid, "worker"))
        assert demo.wait(timeout=ENOUGH_S) == 0, (tmp_path / "said.txt").read_text()[-3000:]
    finally:
        demo.kill()
        demo.wait()

    session = connect(workspace=folder / ".mainstay")
    try:
        assert lost(session, folder) == []
        assert session.get("/audit/verify")["ok"]
        assert len(session.get("/monitors/flights/windows")["items"]) == 10
    finally:
        session.close()


def lost(session: Session, folder: Path) -> list[str]:
    """Ids that the gateway acknowledged and that the log does not hold. Each fiftieth of all, and all of the killed months."""
    missing = []
    for file in sorted((folder / "answers").glob("*.ndjson")):
        answers = [json.loads(line)["id"] for line in file.read_text().splitlines()]
        over_http = [json.loads(line)["id"] for line in file.read_text().splitlines() if "variant" in json.loads(line)]
        asked = over_http if file.stem in ("2013-04", "2013-06", "2013-08") else answers[::500]
        lines = "\n".join(json.dumps({"id": identity, "label": 0}) for identity in asked)
        told = session.post_bytes("/feedback", lines.encode(), content_type="application/x-ndjson")
        missing += [one["id"] for one in told["refused"]]
    return missing


def wait_for(folder: Path, name: str, demo: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not (folder / name).exists() or (folder / name).stat().st_size == 0:
        assert demo.poll() is None, "the demo ended before it was to be disturbed"
        assert time.monotonic() < end, f"{name} did not come"
        time.sleep(0.05)


def pid_of(parent: int, role: str) -> int:
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


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
