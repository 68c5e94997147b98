# SPDX-License-Identifier: Apache-2.0
"""A real store with a snapshot, and a pipeline's run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.client.inprocess import URL, InProcess
from mainstay.domain.digests import digest_of
from mainstay.domain.pipelines import Output, Step
from mainstay.lifecycle.data import datasets, snapshots
from mainstay.lifecycle.pipelines import executions
from mainstay.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace")
    blob, _ = opened.blobs.put(b"a,b\n1,x\n2,y\n")
    with opened.change(actor="ana", reason="set the table") as change:
        datasets.create(change, name="flights", owner="ana")
        snapshots.take(change, dataset="flights", blob=blob, format="csv")
    yield opened
    opened.close()


@pytest.fixture
def begin(store: Store) -> Callable[..., str]:
    """Begin a run of the pipeline ``late``; its id."""

    def ask(**facts: Any) -> str:
        code = {"entry": "flights.py:late"}
        with store.change(actor="ana", reason="try it") as change:
            return executions.start(change, **({"name": "late", "kind": "pipeline", "code": code} | facts)).id

    return ask


@pytest.fixture
def run(begin: Callable[..., str]) -> str:
    return begin()


@pytest.fixture
def output(store: Store) -> Callable[..., Output]:
    def make(content: bytes = b"table", name: str = "table") -> Output:
        digest, size = store.blobs.put(content)
        return Output(name=name, kind="arrow", digest=digest, size=size, rows=2)

    return make


@pytest.fixture
def commit(store: Store, run: str, output: Callable[..., Output]) -> Callable[..., Step]:
    """Commit the step ``features`` of ``run``, cacheable, with one output; keywords replace what it is made of."""

    def ask(**facts: Any) -> Step:
        ordinary: dict[str, Any] = {
            "pipeline_run": run,
            "name": "features",
            "key": digest_of("features"),
            "key_parts": {"step": "features", "params": {"window": "7"}},
            "why": "new",
            "state": "succeeded",
            "seconds": 1.5,
            "cacheable": True,
        }
        if "outputs" not in facts:
            ordinary["outputs"] = [output()]
        with store.change(actor="ana") as change:
            return executions.commit_step(change, **(ordinary | facts))

    return ask


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The whole app in this process, asked over HTTP by its owner."""
    transport = InProcess(tmp_path_factory.mktemp("web") / "workspace", loops=False)
    headers = {"Authorization": f"Bearer {transport.token}"}
    with httpx.Client(base_url=f"{URL}/api", transport=transport, headers=headers) as client:
        yield client
