# SPDX-License-Identifier: Apache-2.0
"""The journeys' stage: the whole of Mainstay as its owner starts it, and the records of the year that was lived through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.client.session import Session, connect

from ..protocols.conftest import Served, serving


@dataclass
class House:
    """``mainstay up``, as its owner sees it: the command, the addresses, and a session for what takes many words."""

    folder: Path
    session: Session

    def told(self) -> dict[str, Any]:
        """Where everything listens."""
        found: dict[str, Any] = json.loads((self.folder / "server.json").read_text())
        return found

    @property
    def url(self) -> str:
        return str(self.told()["url"])

    def say(self, *words: str, fails: bool = False, **environment: str) -> str:
        """``mainstay WORDS`` in a shell of the owner's; what it printed."""
        command = [sys.executable, "-m", "mainstay", *words]
        told = {**os.environ, "NO_COLOR": "1", "MAINSTAY_WORKSPACE": str(self.folder), **environment}
        done = subprocess.run(
            command, env=told, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def person(self, name: str, role: str) -> str:
        """A token of somebody in that role."""
        self.say("people", "add", name, "--role", role)
        return str(json.loads(self.say("tokens", "create", name, "--json"))["token"])

    def ask(self, deployment: str, rows: list[dict[str, Any]]) -> httpx.Response:
        """One request to the gateway, over HTTP."""
        headers = {"Authorization": f"Bearer {(self.folder / 'token').read_text().strip()}"}
        url = f"{self.told()['gateway_url']}/deployments/{deployment}/predict"
        return httpx.post(url, json={"rows": rows}, headers=headers, trust_env=False, timeout=60)

    def predict(self, deployment: str, rows: list[dict[str, Any]]) -> list[Any]:
        """What the gateway says of these rows, once it has loaded the model."""

        def answered() -> Any:
            reply = self.ask(deployment, rows)
            return reply.json()["predictions"] if reply.status_code == 200 else None

        return [one["value"] for one in until(answered)]


def until(what: Callable[[], Any], within_s: float = 120) -> Any:
    """What ``what`` answers, once it answers something."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """``mainstay up`` on a fresh workspace, until the file's tests are done."""
    folder = tmp_path_factory.mktemp("up") / ".mainstay"
    command = [sys.executable, "-m", "mainstay", "up", "--workspace", str(folder), "--port", "0", "--gateway-port", "0"]
    process = subprocess.Popen([*command, "--no-open"], stdout=subprocess.DEVNULL)
    try:
        until(
            lambda: (
                (folder / "server.json").exists() and json.loads((folder / "server.json").read_text())["gateway_url"]
            )
        )
        session = connect(workspace=folder)
        yield House(folder, session)
        session.close()
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def up(house: House) -> Session:
    """The owner's session."""
    return house.session


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A control plane alone, on a real port."""
    with serving(tmp_path_factory.mktemp("served") / ".mainstay") as one:
        yield one


@pytest.fixture
def records(year: Path) -> Iterator[Session]:
    """A session on the year's workspace, in this process: nothing but the stored records answers."""
    session = connect(workspace=year / ".mainstay")
    yield session
    session.close()
