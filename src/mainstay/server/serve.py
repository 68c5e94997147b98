# SPDX-License-Identifier: Apache-2.0
"""Run the control plane as a process: hold the workspace, take the port, say where, serve until told to stop."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from mainstay import settings
from mainstay.domain.errors import Conflict, Forbidden, Invalid
from mainstay.server import workspace as workspaces
from mainstay.server.app import make_app
from mainstay.server.peers import KnownConnections

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


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
    require_loopback(host)
    with workspaces.only_server(folder):
        listening = bind(host, port, what="the control plane", option="--port")
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


def require_loopback(host: str) -> None:
    """Refuse an address that others can reach.

    Raises:
        Forbidden: anything but loopback.
    """
    if host not in LOOPBACK:
        raise Forbidden(
            f"host {host!r} would open the workspace to other machines; this version listens on loopback only (127.0.0.1). "
            "Put a reverse proxy with TLS and sign-in in front of it, and pass its name with --allow-host."
        )


def bind(host: str, port: int, *, what: str, option: str) -> socket.socket:
    """Take a port before anything else is done.

    Raises:
        Conflict: somebody else has it. Invalid: it may not be taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Small answers must not wait for the delayed acknowledgement of the one before: that costs others 40 ms a call.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} for {what} is in use by another program; choose another with {option}, or 0 for any."
            ) from error
        raise Invalid(
            f"{what} cannot listen on {host}:{port}: {error.strerror}; choose another with {option}."
        ) from error
    listening.listen(1024)
    return listening


def stop_when_parent_ends(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input ends: the parent holds its other end and says nothing, ever."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=watch, name="mainstay-parent", daemon=True).start()


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
