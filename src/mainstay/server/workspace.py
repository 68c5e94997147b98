# SPDX-License-Identifier: Apache-2.0
"""A workspace: the folder of one embedded Mainstay, made ready on first use.

Layout: ``mainstay.db`` (or ``postgresql``: the rows are there), ``blobs/``, ``predictions/`` (a gateway's open log), ``token``
(the owner's, 0600), and while a server runs ``server.json`` (where it listens) and ``server.lock`` (that it is the only one).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
from pathlib import Path

import mainstay
from mainstay.domain.clock import Clock, utc_now
from mainstay.domain.events.governance import WorkspaceMade
from mainstay.lifecycle.governance import people, tokens
from mainstay.lifecycle.tracking import experiments
from mainstay.server import presence
from mainstay.store import Store, ledger, open_store

TOKEN_FILE = "token"
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
        presence.write_private(folder / TOKEN_FILE, secret + "\n")
