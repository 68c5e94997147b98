# SPDX-License-Identifier: Apache-2.0
"""A real server process on a workspace, that can be killed and started again where it was."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from .. import databases


@dataclass
class ServerProcess:
    """``mainstay server`` on ``folder``; started again, it takes the same port."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.folder / "token").read_text().strip()

    def start(self, *, wait: bool = True) -> None:
        databases.make(self.folder)
        command = [
            sys.executable,
            "-m",
            "mainstay",
            "server",
            "--workspace",
            str(self.folder),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen([*command, "--with-parent"], stdin=subprocess.PIPE)
        for _ in range(600 if wait else 0):
            said = self.said()
            if said.get("pid") == self.process.pid and self.answers(said["url"]):
                self.port = int(said["url"].rpartition(":")[2])
                return
            assert self.process.poll() is None
            time.sleep(0.05)
        assert not wait, "the server did not come up"

    def said(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / "server.json").read_text()))
        except (OSError, ValueError):
            return {}

    def answers(self, url: str) -> bool:
        try:
            return httpx.get(url + "/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """One for a test that kills it."""
    one = ServerProcess(tmp_path / "workspace")
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for the tests that leave it as they found it: up."""
    one = ServerProcess(tmp_path_factory.mktemp("standing") / "workspace")
    one.start()
    yield one
    one.kill()
