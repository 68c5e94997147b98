# SPDX-License-Identifier: Apache-2.0
"""The server as a process: it says where it is, tidies up when told to stop, and stops with its parent."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.domain.errors import Conflict, Forbidden, Invalid
from mainstay.server import listening, serve

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server on the workspace; every one is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mainstay", "server", "--workspace", str(tmp_path / "w"), "--port", "0", *more]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def told(tmp_path: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What ``server.json`` says, once that process answers."""
    for _ in range(600):
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            said: dict[str, Any] = json.loads((tmp_path / "w" / "server.json").read_text())
            if said["pid"] == process.pid and httpx.get(said["url"] + "/health").status_code == 200:
                return said
        except (OSError, ValueError, httpx.TransportError):
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not come up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_tidies_up(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    server = start()
    said = told(tmp_path, server)

    server.send_signal(number)

    assert server.wait(timeout=20) in (0, 130)
    assert not (tmp_path / "w" / "server.json").exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(said["url"] + "/health")
    assert "Traceback" not in (server.stderr.read() if server.stderr else "")


def test_a_server_that_stops_ends_its_streams_without_an_outcry(start: Start, tmp_path: Path) -> None:
    server = start()
    said = told(tmp_path, server)
    token = {"Authorization": f"Bearer {(tmp_path / 'w' / 'token').read_text().strip()}"}

    with httpx.stream("GET", said["url"] + "/api/events/stream", headers=token, timeout=30) as reply:
        pieces = reply.iter_bytes()
        assert next(pieces).startswith(b"retry")
        server.send_signal(signal.SIGTERM)
        assert b"".join(pieces) == b""

    assert server.wait(timeout=20) == 0
    assert "Traceback" not in (server.stderr.read() if server.stderr else "")
    assert not (tmp_path / "w" / "server.json").exists()


def test_a_server_stops_when_its_parent_is_gone(start: Start, tmp_path: Path) -> None:
    server = start("--with-parent")
    told(tmp_path, server)

    assert server.stdin is not None
    server.stdin.close()

    assert server.wait(timeout=20) == 0
    assert not (tmp_path / "w" / "server.json").exists()


def test_a_second_server_on_a_workspace_says_where_the_first_one_is(start: Start, tmp_path: Path) -> None:
    said = told(tmp_path, start())
    assert httpx.get(said["url"] + "/health").json()["instance"] == said["instance"]
    assert len(said["instance"]) == 32

    second = start()
    _, error = second.communicate(timeout=30)

    assert second.returncode == 1
    assert error.startswith(f"refused: workspace {tmp_path.name}/w already has a server, at {said['url']}; ")
    assert "Traceback" not in error


def test_what_a_killed_server_left_behind_is_replaced(start: Start, tmp_path: Path) -> None:
    first = start()
    before = told(tmp_path, first)
    first.kill()
    first.wait()
    assert (tmp_path / "w" / "server.json").exists()

    after = told(tmp_path, start())

    assert after["instance"] != before["instance"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_only_this_machine_is_listened_to(host: str, tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match="loopback only"):
        serve.serve(tmp_path / "w", host=host, port=0)

    assert not (tmp_path / "w").exists()


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(
            Conflict, match=rf"^port {port} for the gateway is in use by another program; choose another with --p,"
        ):
            listening.bind("127.0.0.1", port, what="the gateway", option="--p")


def test_an_address_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(Invalid, match=r"cannot listen on 192\.0\.2\.1:0"):
        listening.bind("192.0.2.1", 0, what="it", option="--p")
