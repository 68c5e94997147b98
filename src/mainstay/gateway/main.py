# SPDX-License-Identifier: Apache-2.0
"""A gateway as one process: take the port, follow the table, answer until told to stop, lose nothing on the way out.

On SIGTERM or Ctrl-C: no new connections, finish what runs, sync the log, seal it, ship it, exit. What cannot be
shipped in time waits on the disk for the next gateway of this workspace.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from mainstay.gateway.access import Doorkeeper
from mainstay.gateway.app import Gateway, Limits
from mainstay.gateway.control import WireControl
from mainstay.gateway.follower import Follower
from mainstay.gateway.prediction_log import LogSettings, open_log
from mainstay.server.listening import bind

logger = logging.getLogger(__name__)

DRAIN_WITHIN_S = 15
SHIP_WITHIN_S = 10.0


def serve(
    workspace: Path,
    *,
    control_url: str,
    token: str,
    host: str = "127.0.0.1",
    port: int = 7778,
    handed: int | None = None,
    hosts: Iterable[str] = (),
    with_parent: bool = False,
    ahead: bool = False,
    limits: Limits | None = None,
    log_settings: LogSettings | None = None,
) -> None:
    """Answer predictions on ``host:port`` (0: any free port) until SIGTERM or Ctrl-C.

    Args:
        workspace: folder for the log's spool, the kept table and the models' files. token: the gateway's own.
        handed: the descriptor of a port that a supervisor has taken already.
        hosts: further names under which it may be addressed. with_parent: stop also when standard input ends.
        ahead: load what most models need before there is one.

    Raises:
        Conflict: the port is busy. Invalid: it may not be taken.
    """
    taken = bind(host, port, what="the gateway", option="--port") if handed is None else socket.socket(fileno=handed)
    if ahead:
        threading.Thread(target=_load_ahead, name="ahead", daemon=True).start()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(workspace, control_url, token, taken, hosts, with_parent, limits, log_settings))


async def _serve(
    workspace: Path,
    control_url: str,
    token: str,
    listening: socket.socket,
    hosts: Iterable[str],
    with_parent: bool,
    limits: Limits | None,
    log_settings: LogSettings | None,
) -> None:
    control = WireControl(control_url, token, cache=workspace / "cache")
    folder = workspace / "predictions"
    log = open_log(folder, control.ship, log_settings)
    doorkeeper = Doorkeeper(control.who, workspace / "token")
    gateway = Gateway(control=control, log=log, doorkeeper=doorkeeper, hosts=hosts, limits=limits)
    follower = Follower(gateway, control, kept=folder / "table.json")
    server = _server(gateway)
    if with_parent:
        _when_parent_ends(lambda: setattr(server, "should_exit", True))
    log.start()
    beside = [asyncio.create_task(follower.follow()), asyncio.create_task(follower.report())]
    address, port = listening.getsockname()[:2]
    logger.info("gateway %s listens on http://%s:%d", log.gateway, f"[{address}]" if ":" in address else address, port)
    _hold_signals()
    await server.serve(sockets=[listening])
    await gateway.drain()
    for task in beside:
        task.cancel()
    await log.close(timeout_s=SHIP_WITHIN_S)
    if gateway.table is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(follower.report_once(), 2)
    logger.info("gateway %s has stopped; %d segments wait for the next start", log.gateway, log.unshipped)
    control.close()


def _server(gateway: Gateway) -> uvicorn.Server:
    config = uvicorn.Config(
        gateway,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_WITHIN_S,
    )
    return uvicorn.Server(config)


def _load_ahead() -> None:
    if sys.platform == "linux":  # where a thread has a niceness of its own: whoever is waited for goes first
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
    for name in ("sklearn.ensemble", "sklearn.compose", "skops.io"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # not on every system
    except ImportError:
        return None
    return uvloop.new_event_loop


def _hold_signals() -> None:
    """uvicorn raises the signal that stopped it again once it is done; what we do after that must still happen."""
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)


def _when_parent_ends(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input ends: the parent holds its other end and says nothing, ever."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=watch, name="parent", daemon=True).start()
