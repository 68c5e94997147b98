# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: no setting of the person who runs it leaks in, and nothing leaves this machine.

Property tests have no deadline (the machine may be busy) and, in CI, no dice: the same commit tries the same examples.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

from hypothesis import settings

for name in [name for name in os.environ if name.startswith("MAINSTAY_")]:
    del os.environ[name]

settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "people")


def refuse_far_connections(event: str, arguments: tuple[Any, ...]) -> None:
    """Let a test connect to this machine only: what passes offline must not quietly depend on being online."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = str(arguments[1][0])
    if not is_near(host):
        raise PermissionError(f"a test tried to connect to {host!r}; tests may only reach this machine")


def is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


sys.addaudithook(refuse_far_connections)
