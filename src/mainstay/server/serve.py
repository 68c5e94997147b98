# SPDX-License-Identifier: Apache-2.0
"""Run the control plane as a process: hold the workspace, take the port, say where, serve until told to stop.

Below `mainstay up` it is handed all that: the supervisor holds the workspace and the port, and whichever server process is
there accepts. So a request that comes while one is started again waits instead of being turned away.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mainstay import settings
from mainstay.server import listening, peers, presence
from mainstay.server import workspace as workspaces
from mainstay.server.app import make_app


class KnownConnections(HttpToolsProtocol):
    """uvicorn's protocol, which also tells a request whom its connection belongs to, as ``state.peer``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": peers.of(transport)}


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What a supervisor holds for its servers. ``socket`` and ``summons`` are descriptors; to ``summons`` a server writes
    the names of further processes for which there is work."""

    socket: int
    instance: str
    summons: int


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    gateway_url: str | None = None,
    hosts: Iterable[str] = (),
    with_parent: bool = False,
    handed: Handed | None = None,
) -> None:
    """Serve ``folder`` on ``host:port`` (0: any free port) until SIGTERM or Ctrl-C.

    ``with_parent``: stop also when standard input ends, which it does when the process that started this one is gone.

    Raises:
        Forbidden: ``host`` is not loopback. Conflict: the port is busy, or the workspace has a server already.
    """
    listening.require_loopback(host)
    with _place(folder, host, port, handed) as (taken, instance):
        store = workspaces.open_workspace(folder)
        trusted = workspaces.owner_name() if settings.get("trust_same_user") else None
        summons = handed.summons if handed else None
        config = uvicorn.Config(
            make_app(store, hosts=hosts, instance=instance, trusted=trusted, summons=summons),
            http=KnownConnections,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # behind a proxy, whom it forwards for is not whom it lets in
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=3,
            timeout_keep_alive=75,
        )
        server = uvicorn.Server(config)
        # uvicorn sends itself the signal again when it has stopped; by default that would end us before we tidied up.
        signal.signal(signal.SIGTERM, lambda _signal, _frame: setattr(server, "should_exit", True))
        if with_parent:
            listening.stop_when_parent_ends(lambda: setattr(server, "should_exit", True))
        url = listening.url_of(host, taken)
        told = {"url": url, "gateway_url": gateway_url, "pid": os.getpid(), "instance": instance}
        presence.write_server_file(folder, told)
        # What was loaded stays: the collector need not look at it each time.
        gc.freeze()
        gc.enable()
        try:
            server.run(sockets=[taken])
        finally:
            store.close()


@contextmanager
def _place(folder: Path, host: str, port: int, handed: Handed | None) -> Iterator[tuple[socket.socket, str]]:
    """The port, and the name under which ``/health`` knows us."""
    if handed:
        yield socket.socket(fileno=handed.socket), handed.instance
        return
    with presence.only_server(folder):
        taken = listening.bind(host, port, what="the control plane", option="--port")
        # What a server that was killed left behind must not be taken for us while we start.
        presence.remove_server_file(folder)
        try:
            yield taken, secrets.token_hex(16)
        finally:
            presence.remove_server_file(folder)
