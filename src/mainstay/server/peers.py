# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end of a loopback connection, as the kernel knows it.

In: an accepted connection. Out: the number of the user that its other end belongs to. A program of the same user as the
server could read the workspace's token anyway, so it needs none: that is how an unmodified client of another tool works at
once. Asked once a connection, and only when a request brings no credential; Linux only, elsewhere nobody is recognised.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
from functools import cached_property
from typing import Any

#: What a proxy adds: behind one, the other end of the connection is the proxy's user and not the asker's.
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
#: What only a browser sends: a page from elsewhere must not act through a person's browser.
OF_BROWSERS = ("origin", "referer", "sec-fetch-site", "sec-fetch-mode", "cookie")

Address = tuple[str, int]


class Peer:
    """The other end of one connection."""

    def __init__(self, near: Address | None, far: Address | None) -> None:
        self._near = near
        self._far = far

    @cached_property
    def user(self) -> int | None:
        """The number of its user; None where it is not on this machine, or nobody can tell."""
        if self._near is None or self._far is None or not _is_loopback(self._far[0]):
            return None
        return _owner(self._far, self._near)

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to the user who runs this server."""
        return self.user == os.getuid()


def of(transport: asyncio.Transport) -> Peer:
    """Whoever is at the other end of a connection."""
    return Peer(*(_address(transport, name) for name in _ENDS))


_ENDS = ("sockname", "peername")
_IN_HEX = {4: "/proc/net/tcp", 16: "/proc/net/tcp6"}


def _address(transport: asyncio.Transport, name: str) -> Address | None:
    found: Any = transport.get_extra_info(name)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _owner(local: Address, remote: Address) -> int | None:
    """Whose socket it is that stands between these two ends, by the kernel's table."""
    host = ipaddress.ip_address(local[0])
    wanted = [_in_hex(local), _in_hex(remote)]
    try:
        with open(_IN_HEX[len(host.packed)]) as table:
            for line in table:
                parts = line.split(maxsplit=8)
                if parts[1:3] == wanted:
                    return int(parts[7])
    except (OSError, IndexError, ValueError):
        return None
    return None


def _in_hex(address: Address) -> str:
    """``127.0.0.1:80`` as ``0100007F:0050``: each 32 bits in the machine's own order."""
    packed = ipaddress.ip_address(address[0]).packed
    words = [int.from_bytes(packed[place : place + 4], sys.byteorder) for place in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
