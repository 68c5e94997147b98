# SPDX-License-Identifier: Apache-2.0
"""Who carries a run out: signs of life, a process that died, a run that goes on elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.pipelines import Output, StepDone
from mainstay.lifecycle.pipelines import executions, leases
from mainstay.lifecycle.tracking import runs
from mainstay.server import loops
from mainstay.store import Store, ledger

LEASE = {"worker": "here:1:a", "seconds": 30.0, "executor": "inline", "params": {"depth": "6"}}


@pytest.fixture
def leased(begin: Callable[..., str]) -> str:
    return begin(lease=LEASE)


def later(store: Store, seconds: float) -> None:
    now = store.clock()
    store.clock = lambda: now + timedelta(seconds=seconds)


def state(store: Store, run: str) -> str:
    with store.view() as view:
        return runs.get(view, run).state


def beat(store: Store, run: str, worker: str = "here:1:a") -> None:
    with store.ingest() as ingest:
        leases.renew(ingest, run, worker=worker, seconds=30, running=["fit"])


def resume(store: Store, run: str, **facts: Any) -> None:
    with store.change(actor="ana", reason="go on") as change:
        leases.resume(change, run, **({"worker": "there:2:b", "seconds": 30} | facts))


def test_a_run_whose_process_gives_no_sign_of_life_ends_as_killed_and_says_how_to_go_on(
    store: Store, leased: str
) -> None:
    later(store, 29)
    assert not loops.end_lost_runs(store)
    later(store, 2)

    assert loops.end_lost_runs(store)

    assert not loops.end_lost_runs(store)
    with store.view() as view:
        run = runs.get(view, leased)
        assert (run.state, ledger.search(view, limit=1)[0].kind) == ("killed", "run.finished")
    assert "here:1:a" in str(run.error) and f"`mainstay resume {leased}`" in str(run.error)


def test_a_sign_of_life_keeps_a_run_going_and_shows_what_is_under_way(store: Store, leased: str) -> None:
    later(store, 29)
    beat(store, leased)
    later(store, 29)

    assert not loops.end_lost_runs(store)
    with store.view() as view:
        assert leases.get(view, leased).running == ("fit",)


def test_the_lease_of_a_run_that_has_ended_is_let_go_and_the_run_stays_as_it_is(store: Store, leased: str) -> None:
    with store.change(actor="ana") as change:
        runs.finish(change, leased, state="succeeded")
    later(store, 31)

    assert loops.end_lost_runs(store)

    assert state(store, leased) == "succeeded"
    assert not loops.end_lost_runs(store)


def test_a_run_that_was_killed_goes_on_as_the_same_run(store: Store, leased: str) -> None:
    later(store, 31)
    loops.end_lost_runs(store)

    resume(store, leased)

    assert state(store, leased) == "running"
    with store.view() as view:
        event = ledger.search(view, kind="run.resumed")[0]
    assert (event.subject, event.body["before"], event.body["worker"]) == (f"run:{leased}", "killed", "there:2:b")


def test_a_run_is_not_taken_from_a_process_that_lives(store: Store, leased: str) -> None:
    with pytest.raises(Conflict, match="is being carried out by here:1:a"):
        resume(store, leased)

    resume(store, leased, instead_of="here:1:a")


def test_a_run_that_has_succeeded_is_not_resumed(store: Store, leased: str) -> None:
    with store.change(actor="ana") as change:
        runs.finish(change, leased, state="succeeded")

    with pytest.raises(Conflict, match="nothing to resume"):
        resume(store, leased)


def test_a_run_that_was_never_leased_is_not_resumed(store: Store, run: str) -> None:
    with pytest.raises(NotFound, match="was not begun by `mainstay run`"):
        resume(store, run)


def test_whoever_has_lost_a_run_adds_nothing_to_it(store: Store, leased: str, output: Callable[..., Output]) -> None:
    resume(store, leased, instead_of="here:1:a")
    step = StepDone(
        name="fit",
        key=digest_of("fit"),
        key_parts={},
        why="new",
        state="succeeded",
        seconds=1.0,
        outputs=(output(),),
        cacheable=True,
    )

    with pytest.raises(Conflict, match="carried out by there:2:b"):
        beat(store, leased)
    with pytest.raises(Conflict, match="carried out by there:2:b"), store.change(actor="ana") as change:
        executions.commit_steps(change, pipeline_run=leased, steps=[step], worker="here:1:a")
    with store.change(actor="ana") as change:
        executions.commit_steps(change, pipeline_run=leased, steps=[step], worker="there:2:b")
