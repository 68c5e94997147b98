# SPDX-License-Identifier: Apache-2.0
"""A real store with a model, a run to register from, and a snapshot behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.client.inprocess import URL, InProcess
from mainstay.domain.registry import Version
from mainstay.lifecycle.data import datasets, snapshots
from mainstay.lifecycle.registry import models, versions
from mainstay.lifecycle.tracking import runs
from mainstay.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace")
    blob, _ = opened.blobs.put(b"a,b\n1,x\n2,y\n")
    with opened.change(actor="ana", reason="set the table") as change:
        models.create(change, name="late", owner="ana")
        datasets.create(change, name="flights", owner="ana")
        snapshots.take(change, dataset="flights", blob=blob, format="csv")
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> str:
    with store.change(actor="ana", reason="train") as change:
        return runs.start(change, name="train").id


@pytest.fixture
def register(store: Store, run: str) -> Callable[..., Version]:
    """Register a version of ``late`` with one file; keywords replace what it is made of."""

    def ask(content: bytes = b"trees", **more: Any) -> Version:
        digest, _ = store.blobs.put(content)
        facts: dict[str, Any] = {
            "model": "late",
            "run_id": run,
            "format": "sklearn",
            "files": {"model.skops": digest},
            "environment": {"scikit-learn": "1.9.0"},
            "signature": {"inputs": [{"name": "a", "type": "integer"}]},
        }
        with store.change(actor="ana", reason="worth keeping") as change:
            return versions.register(change, **(facts | more))

    return ask


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The whole app in this process, asked over HTTP by its owner."""
    transport = InProcess(tmp_path_factory.mktemp("web") / "workspace", loops=False)
    headers = {"Authorization": f"Bearer {transport.token}"}
    with httpx.Client(base_url=f"{URL}/api", transport=transport, headers=headers) as client:
        yield client
