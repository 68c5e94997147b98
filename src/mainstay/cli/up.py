# SPDX-License-Identifier: Apache-2.0
"""``mainstay up``: server, gateway and worker as one process tree that lives and dies together.

This process only watches: a child that dies is started again, with pauses that grow. Each child holds the reading end of a
pipe whose writing end is here, so that none outlives this process, however it ends. The ports are taken here and handed
down: who comes while a child is started again waits for it. Gateway and worker are started when there is work for them:
somebody knocks at the gateway's port, or the server says so.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from mainstay import settings
from mainstay.cli.processes import folder_of, take_database_url
from mainstay.domain.errors import Invalid, MainstayError, Unavailable
from mainstay.server import presence
from mainstay.server.listening import bind, require_loopback, url_of

READY_WITHIN_S = 60.0
ANSWERS_WITHIN_S = 5.0
WATCHES_EVERY_S = 0.1
LEAVES_AFTER_S = "120"  # a worker without a job
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
    handed: tuple[int, ...] = ()  # descriptors that it shares with us
    is_wanted: bool = True  # else it is not started before somebody asks for it
    may_leave: bool = False  # ending well is no accident: it is not wanted until somebody asks again
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = 0.2
    not_before: float = 0.0
    started_at: float = field(default=0.0)

    def start(self) -> None:
        """Start it; its standard input is the pipe that tells it we are gone."""
        command = [sys.executable, "-m", "mainstay", *self.arguments, "--with-parent"]
        # Threads of numeric libraries that wait by spinning would take the cores from the other processes.
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **self.environment()}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=self.handed)
        self.started_at = time.monotonic()

    def is_alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.poll() is None

    def revive(self) -> None:
        """Start it if it is wanted, does not run and its pause is over."""
        now = time.monotonic()
        if self.may_leave and self.process is not None and self.process.poll() == 0:
            self.process, self.is_wanted = None, False
        if not self.is_wanted or self.is_alive() or now < self.not_before:
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
    """The processes of one workspace: one or more servers, a gateway and a worker."""

    workspace: Path
    url: str
    gateway_url: str
    servers: list[Child]
    gateway: Child
    worker: Child
    door: socket.socket  # the gateway's port
    summons: int  # where the servers say who is needed
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    @property
    def children(self) -> list[Child]:
        """All of them, the servers first: nobody else can start without one."""
        return [*self.servers, self.gateway, self.worker]

    def start(self) -> None:
        """Start whoever is wanted and does not run yet, and watch from now on: who dies is started again."""
        for child in self.children:
            if child.is_wanted and not child.is_alive():
                child.start()
        self._watcher = threading.Thread(target=self._watch, name="mainstay-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._listen()
            for child in self.children:
                child.revive()

    def _listen(self) -> None:
        """See for a moment who is asked for."""
        waiting: list[Any] = [] if self.gateway.is_wanted else [self.door]
        ready, _, _ = select.select([self.summons, *waiting], [], [], WATCHES_EVERY_S)
        if self.door in ready:
            self.gateway.is_wanted = True  # it will find who knocks still waiting
        if self.summons in ready:
            called = os.read(self.summons, 4096).decode().split()
            for child in (self.gateway, self.worker):
                child.is_wanted |= child.name in called

    def stop(self) -> None:
        """Clients first, the servers last, so that nothing in flight is lost."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        for group in ([self.gateway, self.worker], self.servers):
            for child in group:
                child.ask_to_stop()
            deadline = time.monotonic() + STOPS_WITHIN_S
            for child in group:
                child.end(deadline)


@contextmanager
def running_tree(
    folder: Path, *, host: str, port: int, gateway_port: int, project: Path, workers: int = 1, at_once: bool = True
) -> Iterator[Tree]:
    """Start the tree, wait until a server answers, and stop it at the end of the block.

    ``workers`` servers share the port. Without ``at_once`` gateway and worker are started when they are needed.

    Raises:
        Unavailable: no server came up; its own message stands above on standard error.
        Conflict: a port is taken, or the workspace has a server already.
    """
    require_loopback(host)
    with ExitStack() as held:
        lock = held.enter_context(presence.only_server(folder))
        # What a server that was killed left behind must not be taken for ours while they start.
        presence.remove_server_file(folder)
        control = held.enter_context(bind(host, port, what="the control plane", option="--port"))
        door = held.enter_context(bind(host, gateway_port, what="the gateway", option="--gateway-port"))
        heard, said = os.pipe()
        held.callback(os.close, heard)
        held.callback(os.close, said)
        url, gateway_url = url_of(host, control), url_of(host, door)
        where = ["--workspace", str(folder), "--host", host]
        told = ["--gateway-url", gateway_url, "--socket", str(control.fileno()), "--summons", str(said)]
        told += ["--instance", secrets.token_hex(16)]
        servers = [
            Child("server", ["server", *where, *told], environment=dict, handed=(control.fileno(), said, lock))
            for _ in range(workers)
        ]
        gateway = _gateway(servers, folder, url, where, door, at_once=at_once)
        worker = _worker(servers, folder, url, project, at_once=at_once)
        tree = Tree(folder, url, gateway_url, servers, gateway, worker, door, heard)
        held.callback(presence.remove_server_file, folder)
        held.callback(tree.stop)
        servers[0].start()  # the first alone: all at once would make each other slower
        _wait_until_ready(servers[0], url)
        tree.start()
        yield tree


def _gateway(
    servers: list[Child], folder: Path, url: str, where: list[str], door: socket.socket, *, at_once: bool
) -> Child:
    return Child(
        "gateway",
        ["gateway", *where, "--socket", str(door.fileno()), "--url", url, *(["--ahead"] if at_once else [])],
        environment=lambda: _service(servers, folder, url, "gateway"),
        handed=(door.fileno(),),
        # What an earlier one could not hand over is waited for.
        is_wanted=at_once or any((folder / "predictions").glob("*")),
    )


def _worker(servers: list[Child], folder: Path, url: str, project: Path, *, at_once: bool) -> Child:
    return Child(
        "worker",
        ["worker", "--url", url, "--project", str(project), *([] if at_once else ["--leave-after", LEAVES_AFTER_S])],
        environment=lambda: _service(servers, folder, url, "worker"),
        is_wanted=at_once,
        may_leave=not at_once,
    )


def _service(servers: list[Child], folder: Path, url: str, name: str) -> dict[str, str]:
    """The environment of a service process: a token of its own, made anew at each start.

    When no server is there either, it is this process that must bring one back: it does not wait for an answer.
    """
    if not any(server.is_alive() for server in servers):
        raise Unavailable(f"the {name} waits for the server.")
    reason = {"reason": f"{name} process starts"}
    _post(folder, url, "/api/people", {"name": name, "kind": "service", "roles": [name], **reason})
    made = _post(folder, url, f"/api/people/{name}/tokens", {"days": SERVICE_TOKEN_DAYS, **reason})
    return {"MAINSTAY_TOKEN": made["token"]}


def _post(folder: Path, url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request as the owner. With what Python brings: the client's library would double the memory of this process.

    Raises:
        Unavailable: there was no answer, or not the wanted one.
    """
    headers = {
        "Authorization": f"Bearer {(folder / 'token').read_text().strip()}",
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(16),
    }
    status, answer = _ask(url, "POST", path, json.dumps(body), headers)
    if status >= 300:
        raise Unavailable(f"the server refused POST {path}: {answer.get('error', {}).get('message', status)}")
    return answer


def _ask(url: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Any:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWERS_WITHIN_S)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unavailable(f"the server did not answer {method} {path}: {error}") from error
    finally:
        connection.close()


def _wait_until_ready(server: Child, url: str) -> None:
    """Until the server answers: a question waits at the port that is ours until it is taken."""
    deadline = time.monotonic() + READY_WITHIN_S
    asking = threading.Thread(target=_knock, args=(url, deadline), name="mainstay-knock", daemon=True)
    asking.start()
    while asking.is_alive() and time.monotonic() < deadline:
        asking.join(timeout=0.05)
        if server.process is not None and server.process.poll() is not None:
            raise SystemExit(server.process.returncode or 1)
    if asking.is_alive() or time.monotonic() >= deadline:
        raise Unavailable(f"the server did not answer within {READY_WITHIN_S:.0f} s; its messages stand above.")


def _knock(url: str, deadline: float) -> None:
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            _ask(url, "GET", "/health")
            return


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the workspace.")
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("port"), help="0 picks a free one.")
@click.option("--gateway-port", type=click.IntRange(0, 65535), default=lambda: settings.get("gateway_port"))
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Server processes (PostgreSQL only)."
)
@click.option("--at-once", is_flag=True, help="Start gateway and worker now, not when they are needed.")
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def up(
    workspace: Path | None, host: str, port: int, gateway_port: int, workers: int, at_once: bool, no_open: bool
) -> None:
    """Control plane, web page, loops, worker and gateway; Ctrl-C stops all of it."""
    # Until there is something to wait for: whoever is told to stop while it starts stops what it has started.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    folder = folder_of(workspace)
    take_database_url(folder)
    if workers > 1 and not settings.get("database_url"):
        raise Invalid(
            f"--workers is {workers}, and an embedded database has one server process; set MAINSTAY_DATABASE_URL to the "
            "address of a PostgreSQL database, or leave --workers out."
        )
    with running_tree(
        folder,
        host=host,
        port=port,
        gateway_port=gateway_port,
        project=Path.cwd(),
        workers=workers,
        at_once=at_once,
    ) as tree:
        click.echo(f"Mainstay is up.   workspace {folder}")
        click.echo(f"  page and API    {tree.url}")
        click.echo(f"  gateway         {tree.gateway_url}")
        link = tree.url + str(_post(folder, tree.url, "/api/links", {})["url_path"])
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
