# SPDX-License-Identifier: Apache-2.0
"""Presence: that a workspace has a server, the only one, and where it listens. The standard library alone, so that whoever
only needs to know this does not load a server.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Conflict

SERVER_FILE = "server.json"
LOCK_FILE = "server.lock"


@contextmanager
def only_server(folder: Path) -> Iterator[int]:
    """Hold the workspace as its one server. The descriptor that holds it: a process that inherits it holds it too.

    Raises:
        Conflict: another server holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / LOCK_FILE, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            where = (read_server_file(folder) or {}).get("url", "another port")
            raise Conflict(
                f"workspace {folder.parent.name or folder.name}/{folder.name} already has a server, at {where}; "
                "use that one, stop it, or choose another folder with --workspace."
            ) from error
        yield lock.fileno()


def read_server_file(folder: Path) -> dict[str, Any] | None:
    """Where this workspace's server said it listens, or None."""
    try:
        found = json.loads((folder / SERVER_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_server_file(folder: Path, content: dict[str, Any]) -> None:
    """Say where the server listens; whole or not at all."""
    write_private(folder / SERVER_FILE, json.dumps(content))


def remove_server_file(folder: Path) -> None:
    """The server has stopped."""
    with contextlib.suppress(FileNotFoundError):
        (folder / SERVER_FILE).unlink()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read; whole, durably, or not at all."""
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
