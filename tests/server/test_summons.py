# SPDX-License-Identifier: Apache-2.0
"""Summons: whoever is needed is called, and called again for as long as the need lasts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.domain.release import RolloutConfig
from mainstay.lifecycle.governance import people, policies
from mainstay.lifecycle.registry import models
from mainstay.lifecycle.serving import deployments
from mainstay.server.summons import AGAIN_AFTER_S, Summons
from mainstay.store import Store, jobs, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace")
    yield opened
    opened.close()


class Caller:
    """A summons whose pipe is read at once, and whose time passes by hand."""

    def __init__(self, store: Store) -> None:
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        self._store = store
        self.now = 0.0
        self._summons = Summons(self._writes, clock=lambda: self.now)

    def called_after(self, seconds: float) -> list[str]:
        self.now += seconds
        self._summons.look(self._store)
        try:
            return os.read(self._reads, 4096).decode().split()
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)


@pytest.fixture
def caller(store: Store) -> Iterator[Caller]:
    made = Caller(store)
    yield made
    made.close()


def test_nobody_is_called_for_nothing(caller: Caller) -> None:
    assert caller.called_after(100) == []


def test_a_worker_is_called_while_a_job_is_open_and_not_when_it_is_done(store: Store, caller: Caller) -> None:
    with store.ingest() as ingest:
        jobs.enqueue(ingest, kind="judge", body={}, by="ana")
    assert caller.called_after(1) == ["worker"]
    assert caller.called_after(1) == []
    assert caller.called_after(AGAIN_AFTER_S) == ["worker"]

    with store.ingest() as ingest:
        job = jobs.lease(ingest, worker="w", kinds=["judge"], seconds=60)
        assert job is not None
    assert caller.called_after(AGAIN_AFTER_S) == ["worker"]  # who leased it may be gone
    with store.ingest() as ingest:
        jobs.finish(ingest, job.id, worker="w", result={})
    assert caller.called_after(AGAIN_AFTER_S) == []

    with store.ingest() as ingest:
        jobs.enqueue(ingest, kind="judge", body={}, by="ana")
    assert caller.called_after(1) == ["worker"]


def test_a_gateway_is_called_as_soon_as_there_is_a_deployment(store: Store, caller: Caller) -> None:
    with store.change(actor="ana") as change:
        people.add(change, name="ana", roles=["admin"])
        policies.put(change, name="open", gates=[], approvals=0)
        models.create(change, name="late", owner="ana")
        deployments.declare(
            change,
            name="flights",
            environment="production",
            model="late",
            owner="ana",
            policy="open",
            rollout=RolloutConfig(strategy="direct", steps=(100,)),
        )

    assert caller.called_after(1) == ["gateway"]


def test_a_pipe_that_nobody_reads_stops_nothing(store: Store) -> None:
    reads, writes = os.pipe()
    now = [0.0]
    summons = Summons(writes, clock=lambda: now[0])
    while True:
        try:
            os.write(writes, b"x" * 4096)
        except BlockingIOError:
            break
    with store.ingest() as ingest:
        jobs.enqueue(ingest, kind="judge", body={}, by="ana")

    assert summons.look(store) is False
    os.close(reads)
    os.close(writes)
