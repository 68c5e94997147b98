# SPDX-License-Identifier: Apache-2.0
"""Taking a port, on loopback only: what server and gateway do first, and what ``up`` tries before it starts a gateway.

A file of its own, because neither a gateway nor ``up`` needs the rest of the server, which takes a second to load.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable

from mainstay.domain.errors import Conflict, Forbidden, Invalid

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


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
        listening.listen(2048)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} for {what} is in use by another program; choose another with {option}, or 0 for any."
            ) from error
        raise Invalid(
            f"{what} cannot listen on {host}:{port}: {error.strerror}; choose another with {option}."
        ) from error
    return listening


def url_of(host: str, listening: socket.socket) -> str:
    """The address under which a port that was taken is reached."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def stop_when_parent_ends(stop: Callable[[], None]) -> None:
    """Call ``stop`` when standard input ends: the parent holds its other end and says nothing, ever."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        stop()

    threading.Thread(target=watch, name="mainstay-parent", daemon=True).start()
