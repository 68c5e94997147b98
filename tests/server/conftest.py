# SPDX-License-Identifier: Apache-2.0
"""One control plane, in this process, asked as any client asks it; and a token for a person of each role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.client.inprocess import InProcess
from mainstay.domain.governance import PERMISSIONS_BY_ROLE
from mainstay.lifecycle.governance import people, tokens
from mainstay.store import Store, ledger


@dataclass
class House:
    """The whole control plane, and how to ask it."""

    folder: Path
    transport: InProcess
    http: httpx.Client
    token_by_role: dict[str, str]

    @property
    def store(self) -> Store:
        return self.transport.store

    def ask(self, method: str, path: str, *, role: str | None = None, **more: Any) -> httpx.Response:
        """One request as the owner, or as somebody with that one role."""
        headers = dict(more.pop("headers", {}))
        headers.setdefault("Authorization", f"Bearer {self.token_by_role[role] if role else self.transport.token}")
        return self.http.request(method, path, headers=headers, **more)

    def events(self, **wanted: Any) -> list[ledger.Entry]:
        with self.store.view() as view:
            return list(ledger.search(view, **wanted, newest_first=False, limit=1000))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house") / "workspace"
    transport = InProcess(folder, loops=False)
    with transport.store.change(actor="system") as change:
        token_by_role = {}
        for role in PERMISSIONS_BY_ROLE:
            people.add(change, name=f"one-{role}", roles=[role])
            token_by_role[role] = tokens.issue(change, name=f"one-{role}").secret
    with httpx.Client(transport=transport, base_url="http://127.0.0.1") as http:
        yield House(folder, transport, http, token_by_role)
