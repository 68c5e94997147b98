# SPDX-License-Identifier: Apache-2.0
"""A real store, and a run that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mainstay.client.inprocess import URL, InProcess
from mainstay.lifecycle.tracking import runs
from mainstay.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    moments = (datetime(2013, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**9))
    opened = open_store(tmp_path / "workspace", clock=lambda: next(moments))
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> str:
    with store.change(actor="ana", reason="try it") as change:
        return runs.start(change, name="train").id


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The whole app in this process, asked over HTTP by its owner."""
    transport = InProcess(tmp_path_factory.mktemp("web") / "workspace", loops=False)
    headers = {"Authorization": f"Bearer {transport.token}"}
    with httpx.Client(base_url=f"{URL}/api", transport=transport, headers=headers) as client:
        yield client
