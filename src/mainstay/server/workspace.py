# SPDX-License-Identifier: Apache-2.0
"""A workspace: the folder of one embedded Mainstay, made ready on first use.

Layout: ``mainstay.db``, ``blobs/``, ``predictions/`` (a gateway's open log), ``token`` (the owner's, 0600), and while a
server runs ``server.json`` (where it listens) and ``server.lock`` (that it is the only one).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mainstay
from mainstay.domain.clock import Clock, utc_now
from mainstay.domain.errors import Conflict
from mainstay.domain.events.governance import WorkspaceMade
from mainstay.lifecycle.governance import people, tokens
from mainstay.lifecycle.tracking import experiments
from mainstay.store import Store, ledger, open_store

TOKEN_FILE = "token"
SERVER_FILE = "server.json"
LOCK_FILE = "server.lock"
OWNER_TOKEN_DAYS = 3650


def open_workspace(folder: Path, *, clock: Clock = utc_now) -> Store:
    """Open the store; on first use make the owner, the owner's token and the experiment ``Default``."""
    store = open_store(folder, clock=clock)
    with store.view() as view:
        fresh = ledger.head(view)[0] == 0
    if fresh or not (folder / TOKEN_FILE).exists():
        _make_ready(store, folder)
    return store


def owner_name() -> str:
    """The OS user, as a name that people can have here."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid-{os.getuid()}"
    return re.sub(r"[^\w.\-]", "-", name).strip("_.-") or "owner"


def issue_service_token(store: Store, *, name: str, role: str) -> str:
    """A token for a process of ours, good for 30 days and held in its environment only; a new one at each start."""
    with store.change(actor="system", reason=f"{name} starts") as change:
        people.add(change, name=name, kind="service", roles=[role])
        return tokens.issue(change, name=name, days=30).secret


@contextmanager
def only_server(folder: Path) -> Iterator[None]:
    """Hold the workspace as its one server.

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
        yield


def read_server_file(folder: Path) -> dict[str, Any] | None:
    """Where this workspace's server said it listens, or None."""
    try:
        found = json.loads((folder / SERVER_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_server_file(folder: Path, content: dict[str, Any]) -> None:
    """Say where the server listens; whole or not at all."""
    _write_private(folder / SERVER_FILE, json.dumps(content))


def remove_server_file(folder: Path) -> None:
    """The server has stopped."""
    with contextlib.suppress(FileNotFoundError):
        (folder / SERVER_FILE).unlink()


class _MadeMeanwhile(Exception):
    """Another process was here a moment earlier."""


def _make_ready(store: Store, folder: Path) -> None:
    name = owner_name()
    why = "the workspace is used for the first time"
    with contextlib.suppress(_MadeMeanwhile), store.change(actor="system", reason=why) as change:
        if ledger.head(change)[0] == 0:
            change.record(WorkspaceMade(program=f"mainstay {mainstay.__version__}"))
            experiments.ensure_default(change)
        elif (folder / TOKEN_FILE).exists():
            raise _MadeMeanwhile  # a change that did nothing may not commit, so it is left
        people.add(change, name=name, roles=["admin"])
        secret = tokens.issue(change, name=name, days=OWNER_TOKEN_DAYS).secret
        # Within the transaction: if the file cannot be written, the token it should hold does not exist either.
        _write_private(folder / TOKEN_FILE, secret + "\n")


def _write_private(file: Path, text: str) -> None:
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
