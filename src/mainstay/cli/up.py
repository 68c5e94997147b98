# SPDX-License-Identifier: Apache-2.0
"""``mainstay up``: server, gateway and worker as one process tree that lives and dies together.

This process only watches: a child that dies is started again, with pauses that grow. Each child holds the reading end of a
pipe whose writing end is here, so that none outlives this process, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import click

from mainstay import settings
from mainstay.cli.processes import folder_of
from mainstay.domain.errors import MainstayError, Unavailable
from mainstay.server.listening import bind

READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 8.0
LONGEST_PAUSE_S = 10.0
# Longer than a process is left running: one whose token ran out would go on predicting and could no longer say so.
SERVICE_TOKEN_DAYS = 365


@dataclass
class Child:
    """One process, and how to start it again."""

    name: str
    arguments: list[str]
    environment: Callable[[], dict[str, str]]
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = 0.2
    not_before: float = 0.0
    started_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it; its standard input is the pipe that tells it we are gone."""
        command = [sys.executable, "-m", "mainstay", *self.arguments, "--with-parent"]
        # Threads of numeric libraries that wait by spinning would take the cores from the other processes.
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **self.environment()}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        self.started_at = time.monotonic()

    def is_alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def revive(self) -> None:
        """Start it again if it is dead and its pause is over."""
        now = time.monotonic()
        if self.is_alive() or now < self.not_before:
            return
        if now - self.started_at > 30:
            self.pause_s = 0.2
        self.not_before = now + self.pause_s
        self.pause_s = min(LONGEST_PAUSE_S, self.pause_s * 2)
        self.started_at = now  # also a start that fails counts, or its pauses would be short again after a while
        # Whatever keeps it from starting (the server is not back yet, say) may pass; the next look tries again.
        with contextlib.suppress(MainstayError, OSError):
            self.start()

    def ask_to_stop(self) -> None:
        """SIGTERM, and the end of its standard input."""
        if self.process is None:
            return
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if self.is_alive():
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until ``deadline``, then kill."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Tree:
    """The three processes of one workspace."""

    workspace: Path
    url: str
    gateway_url: str
    children: list[Child]
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def start(self) -> None:
        """Start whoever does not run yet, and watch from now on: who dies is started again."""
        for child in self.children:
            if not child.is_alive():
                child.start()
        self._watcher = threading.Thread(target=self._watch, name="mainstay-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for child in self.children:
                child.revive()

    def stop(self) -> None:
        """Clients first, the server last, so that nothing in flight is lost."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        for group in (self.children[1:], self.children[:1]):
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + STOPS_WITHIN_S
            for child in group:
                child.end(deadline)


@contextmanager
def running_tree(folder: Path, *, host: str, port: int, gateway_port: int, project: Path) -> Iterator[Tree]:
    """Start the tree, wait until the server answers, and stop it at the end of the block.

    Raises:
        Unavailable: the server did not come up; its own message stands above on standard error. Conflict, Invalid: the
        gateway's port cannot be taken.
    """
    gateway_port = gateway_port or _free_port(host)
    gateway_url = f"http://{f'[{host}]' if ':' in host else host}:{gateway_port}"
    where = ["--workspace", str(folder), "--host", host]
    server = Child("server", ["server", *where, "--port", str(port), "--gateway-url", gateway_url], environment=dict)
    server.start()
    try:
        url = _wait_until_ready(server, folder)
        # Tried before the gateway is started: one that finds its port taken would be started again for ever.
        bind(host, gateway_port, what="the gateway", option="--gateway-port").close()
    except BaseException:
        server.ask_to_stop()
        server.end(time.monotonic() + STOPS_WITHIN_S)
        raise
    # The port is fixed from now on: a server that comes back must be found where it was.
    server.arguments[server.arguments.index("--port") + 1] = url.rpartition(":")[2]
    gateway = Child(
        "gateway",
        ["gateway", *where, "--port", str(gateway_port), "--url", url],
        environment=lambda: _service(folder, url, "gateway"),
    )
    worker = Child(
        "worker",
        ["worker", "--url", url, "--project", str(project)],
        environment=lambda: _service(folder, url, "worker"),
    )
    tree = Tree(folder, url, gateway_url, [server, gateway, worker])
    try:
        tree.start()
        yield tree
    finally:
        tree.stop()


def _service(folder: Path, url: str, name: str) -> dict[str, str]:
    """The environment of a service process: a token of its own, made anew at each start.

    By the server's address and without insisting: when the server is away too, it is this process that must bring it back.
    """
    from mainstay.client.session import connect

    session = connect(url, token=(folder / "token").read_text().strip(), retry_s=2)
    try:
        reason = {"reason": f"{name} process starts"}
        session.post("/people", {"name": name, "kind": "service", "roles": [name], **reason})
        return {
            "MAINSTAY_TOKEN": session.post(f"/people/{name}/tokens", {"days": SERVICE_TOKEN_DAYS, **reason})["token"]
        }
    finally:
        session.close()


def _wait_until_ready(server: Child, folder: Path) -> str:
    """The server's address, once it answers."""
    import json

    from mainstay.client.wire import Wire

    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert server.process is not None
        if server.process.poll() is not None:
            raise SystemExit(server.process.returncode or 1)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, Unavailable):
            told = json.loads((folder / "server.json").read_text())
            if told["pid"] == server.process.pid:
                probe = Wire(told["url"], None, retry_s=0)
                probe.ask("GET", "/health", timeout=2)
                probe.close()
                return str(told["url"])
        time.sleep(0.03)
    raise Unavailable(f"the server did not answer within {READY_WITHIN_S:.0f} s; its messages stand above.")


def _free_port(host: str) -> int:
    with bind(host, 0, what="the gateway", option="--gateway-port") as probe:
        return int(probe.getsockname()[1])


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the workspace.")
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("port"), help="0 picks a free one.")
@click.option("--gateway-port", type=click.IntRange(0, 65535), default=lambda: settings.get("gateway_port"))
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def up(workspace: Path | None, host: str, port: int, gateway_port: int, no_open: bool) -> None:
    """Control plane, web page, loops, worker and gateway; Ctrl-C stops all of it."""
    from mainstay.cli.open import sign_in_link

    folder = folder_of(workspace)
    with running_tree(folder, host=host, port=port, gateway_port=gateway_port, project=Path.cwd()) as tree:
        click.echo(f"Mainstay is up.   workspace {folder}")
        click.echo(f"  page and API    {tree.url}")
        click.echo(f"  gateway         {tree.gateway_url}")
        link = sign_in_link(folder)
        click.echo(f"  sign in (once)  {link}")
        if not no_open and sys.stdout.isatty():
            click.launch(link)
        wait_for_end()
        click.echo("Stopping.")


def wait_for_end() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
