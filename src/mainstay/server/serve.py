# SPDX-License-Identifier: Apache-2.0
"""Run the control plane as a process: hold the workspace, take the port, say where, serve until told to stop."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from mainstay import settings
from mainstay.server import listening as ports
from mainstay.server import workspace as workspaces
from mainstay.server.app import make_app
from mainstay.server.peers import KnownConnections


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    gateway_url: str | None = None,
    hosts: Iterable[str] = (),
    with_parent: bool = False,
) -> None:
    """Serve ``folder`` on ``host:port`` (0: any free port) until SIGTERM or Ctrl-C.

    ``with_parent``: stop also when standard input ends, which it does when the process that started this one is gone.

    Raises:
        Forbidden: ``host`` is not loopback. Conflict: the port is busy, or the workspace has a server already.
    """
    ports.require_loopback(host)
    with workspaces.only_server(folder):
        listening = ports.bind(host, port, what="the control plane", option="--port")
        store = workspaces.open_workspace(folder)
        # What a server that was killed left behind must not be taken for us while we start.
        workspaces.remove_server_file(folder)
        instance = secrets.token_hex(16)
        trusted = workspaces.owner_name() if settings.get("trust_same_user") else None
        url = f"http://{_written(host)}:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(store, hosts=hosts, instance=instance, trusted=trusted),
            http=KnownConnections,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=3,
            timeout_keep_alive=75,
        )
        server = uvicorn.Server(config)
        # uvicorn sends itself the signal again when it has stopped; by default that would end us before we tidied up.
        signal.signal(signal.SIGTERM, lambda _signal, _frame: setattr(server, "should_exit", True))
        if with_parent:
            stop_when_parent_ends(lambda: setattr(server, "should_exit", True))
        told = {"url": url, "gateway_url": gateway_url, "pid": os.getpid(), "instance": instance}
        workspaces.write_server_file(folder, told)
        try:
            server.run(sockets=[listening])
        finally:
            workspaces.remove_server_file(folder)
            store.close()


def stop_when_parent_ends(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input ends: the parent holds its other end and says nothing, ever."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=watch, name="mainstay-parent", daemon=True).start()


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
