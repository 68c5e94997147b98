# SPDX-License-Identifier: Apache-2.0
"""The loops: they do what is due, survive what they look at, and stop when told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay.lifecycle.governance import tokens
from mainstay.server import loops
from mainstay.server.workspace import open_workspace
from mainstay.store import Store, jobs, requests

from ..clocks import HeldClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_workspace(tmp_path / "workspace", clock=HeldClock())
    yield opened
    opened.close()


def test_the_house_is_kept_only_when_something_is_due(store: Store) -> None:
    clock = store.clock
    assert isinstance(clock, HeldClock)
    seen = requests.identify(actor="ana", route="POST /x", key="k", body=b"")
    with store.ingest() as ingest:
        jobs.enqueue(ingest, kind="run_pipeline", body={}, by="ana")
        leased = jobs.lease(ingest, worker="w1", kinds=["run_pipeline"], seconds=30)
        requests.remember(ingest, seen, requests.Answer(200, b"{}"))
        tokens.make_link(ingest, name="ana")
    assert leased is not None
    assert loops.keep_house(store) is False

    clock.pass_(seconds=31)
    assert (loops.keep_house(store), loops.keep_house(store)) == (True, False)
    with store.view() as view:
        assert jobs.get(view, leased.id).state == "queued"
        assert tokens.any_stale(view) is False

    clock.pass_(minutes=5)
    assert (loops.keep_house(store), loops.keep_house(store)) == (True, False)
    with store.view() as view:
        assert requests.recall(view, seen) is not None

    clock.pass_(hours=48)
    assert (loops.keep_house(store), loops.keep_house(store)) == (True, False)
    with store.view() as view:
        assert requests.recall(view, seen) is None


def test_a_loop_that_fails_is_logged_and_the_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Event()

    def breaks(_: Store) -> bool:
        raise ZeroDivisionError

    def works(_: Store) -> bool:
        looked.set()
        return False

    monkeypatch.setattr(loops, "every_loop", lambda: [breaks, works])
    monkeypatch.setattr(loops, "LOOK_AT_LEAST_EVERY_S", 0.01)
    running = loops.Loops(store)
    with caplog.at_level(logging.ERROR):
        running.start()
        assert looked.wait(30)
        running.stop()

    assert "loop breaks failed" in caplog.text


def test_a_commit_wakes_the_loops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = threading.Semaphore(0)

    def looks_once(_: Store) -> bool:
        looks.release()
        return False

    monkeypatch.setattr(loops, "every_loop", lambda: [looks_once])
    monkeypatch.setattr(loops, "LOOK_AT_LEAST_EVERY_S", 3600)
    running = loops.Loops(store)
    running.start()
    try:
        for _ in range(3):
            assert looks.acquire(timeout=30)
            with store.ingest():
                pass
        assert looks.acquire(timeout=30)
    finally:
        monkeypatch.setattr(loops, "LOOK_AT_LEAST_EVERY_S", 0.01)
        running._stopping.set()
        with store.ingest():
            pass
        running.stop()


def test_the_loops_run_upstream_first() -> None:
    assert loops.every_loop()[0] is loops.keep_house
