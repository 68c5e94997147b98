# SPDX-License-Identifier: Apache-2.0
"""A real server on a real port, and the unmodified clients of other tools, each in an environment of its own.

A client's script runs as a process of its own; it gets the server's address, prints one JSON object, and ends with 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from .. import databases

CLIENTS = Path(__file__).parents[2] / ".clients"
STARTS_WITHIN_S = 60


@dataclass
class Served:
    """A control plane that listens."""

    folder: Path
    url: str
    token: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request without a client in between."""
        headers = {"Authorization": f"Bearer {self.token}"} | dict(more.pop("headers", {}))
        return httpx.request(method, self.url + path, headers=headers, trust_env=False, timeout=60, **more)


@contextmanager
def serving(folder: Path, *, port: int = 0, **environment: str) -> Iterator[Served]:
    """``mainstay server`` on a workspace, until the block ends."""
    databases.make(folder)
    command = [sys.executable, "-m", "mainstay", "server", "--workspace", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + STARTS_WITHIN_S
        while not (folder / "server.json").exists():
            assert process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.05)
        url = json.loads((folder / "server.json").read_text())["url"]
        while True:
            try:
                httpx.get(url + "/health", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < end, "the server does not answer"
                time.sleep(0.05)
        yield Served(folder, url, (folder / "token").read_text().strip(), process)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / ".mainstay") as one:
        yield one


def python_of(client: str) -> str:
    """The interpreter of a client's environment; ``make test`` makes it."""
    found = CLIENTS / client / "bin" / "python"
    assert found.exists(), f"{found} is missing; `make test` makes the environments of the clients"
    return str(found)


Talk = Callable[..., dict[str, Any]]


def talk(url: str, script: str, *, client: str = "mlflow", **environment: str) -> dict[str, Any]:
    """Run ``script`` with an unmodified client against ``url``; what it printed last, as JSON.

    The script finds the address in ``MLFLOW_TRACKING_URI``, as any user's does.
    """
    told = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    done = subprocess.run(
        [python_of(client), "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        env=told | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
