# SPDX-License-Identifier: Apache-2.0
"""Jobs: a job is one worker's at a time, and no death of a worker loses or repeats it for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.events.governance import WorkspaceMade
from mainstay.store import Store, jobs

from .conftest import HeldClock


def ask(store: Store, kind: str = "run_pipeline", **body: object) -> str:
    with store.ingest() as ingest:
        return jobs.enqueue(ingest, kind=kind, body=body, by="ana").id


def lease(store: Store, worker: str = "w1", *kinds: str, seconds: float = 30) -> jobs.Job | None:
    with store.ingest() as ingest:
        return jobs.lease(ingest, worker=worker, kinds=kinds or ("run_pipeline",), seconds=seconds)


def state(store: Store, identity: str) -> tuple[str, int]:
    with store.view() as view:
        job = jobs.get(view, identity)
    return job.state, job.attempt


def test_the_oldest_waiting_job_of_the_wanted_kinds_is_leased_first(store: Store) -> None:
    other, first, second = ask(store, "judge_release"), ask(store, rows=3), ask(store)

    assert [lease(store), lease(store), lease(store), lease(store, "w1", "nothing")] == [
        got(store, first),
        got(store, second),
        None,
        None,
    ]
    assert (state(store, other), state(store, first)) == (("queued", 0), ("leased", 1))


def got(store: Store, identity: str) -> jobs.Job:
    with store.view() as view:
        return jobs.get(view, identity)


def test_no_job_is_leased_to_two_workers(store: Store) -> None:
    wanted = {ask(store) for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        leased = [job.id for job in pool.map(lambda n: lease(store, f"w{n}"), range(30)) if job]

    assert (len(leased), set(leased)) == (20, wanted)


def test_a_job_exists_if_and_only_if_its_change_does(store: Store) -> None:
    with pytest.raises(KeyError), store.change(actor="ana") as change:
        jobs.enqueue(change, kind="run_pipeline", body={}, by="ana")
        change.record(WorkspaceMade(program="mainstay"))
        raise KeyError

    assert lease(store) is None


def test_a_finished_job_keeps_its_result(store: Store) -> None:
    done, failed = ask(store), ask(store)
    for identity, result, error in ((done, {"run": "r1"}, None), (failed, None, "no rows")):
        assert lease(store) is not None
        with store.ingest() as ingest:
            jobs.finish(ingest, identity, worker="w1", result=result, error=error)

    assert (got(store, done).state, got(store, done).result) == ("done", {"run": "r1"})
    assert (got(store, failed).state, got(store, failed).error) == ("failed", "no rows")
    assert lease(store) is None


def test_a_list_leaves_out_what_is_long_and_its_job_tells_it(store: Store) -> None:
    results = [{"plan": "x" * jobs.LONGEST_IN_A_LIST}, {"plan": "short"}]
    for result in results:
        identity = ask(store)
        lease(store)
        with store.ingest() as ingest:
            jobs.finish(ingest, identity, worker="w1", result=result)

    with store.view() as view:
        listed = jobs.listed(view)
        whole = [jobs.get(view, job.id).result for job in listed]

    assert [job.result for job in listed] == [results[1], None]
    assert whole == [results[1], results[0]]


def test_a_job_that_went_back_is_not_as_far_as_the_worker_before_said(store: Store, clock: HeldClock) -> None:
    identity = ask(store)
    lease(store, "w1", seconds=30)
    with store.ingest() as ingest:
        jobs.renew(ingest, identity, worker="w1", seconds=30, progress={"done": 2})
    assert (got(store, identity).progress, got(store, identity).leased_at) == ({"done": 2}, clock())

    clock.pass_(seconds=31)
    lease(store, "w2")

    assert (got(store, identity).progress, got(store, identity).leased_at) == (None, clock())


@pytest.mark.parametrize(
    "act", [lambda i, j: jobs.renew(i, j, worker="w2", seconds=9), lambda i, j: jobs.finish(i, j, worker="w2")]
)
def test_only_the_worker_that_holds_a_job_may_touch_it(store: Store, act: Callable[..., object]) -> None:
    identity = ask(store)

    for expected in ("queued", "leased"):
        with pytest.raises(Conflict, match=f"is {expected} and not leased to 'w2'"), store.ingest() as ingest:
            act(ingest, identity)
        lease(store, "w1")


def test_an_unknown_job_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound), store.view() as view:
        jobs.get(view, "0" * 32)


# Time


def test_a_lease_holds_until_its_time_and_not_longer(store: Store, clock: HeldClock) -> None:
    identity = ask(store)
    lease(store, "w1", seconds=30)

    clock.pass_(seconds=30)
    assert lease(store, "w2") is None
    clock.pass_(microseconds=1)
    taken = lease(store, "w2")

    assert taken is not None
    assert (taken.id, taken.worker, taken.attempt) == (identity, "w2", 2)


def test_a_renewed_lease_holds_longer(store: Store, clock: HeldClock) -> None:
    identity = ask(store)
    lease(store, "w1", seconds=30)
    clock.pass_(seconds=29)

    with store.ingest() as ingest:
        jobs.renew(ingest, identity, worker="w1", seconds=30)

    clock.pass_(seconds=29)
    assert lease(store, "w2") is None


def test_a_worker_that_comes_back_late_finds_its_job_gone(store: Store, clock: HeldClock) -> None:
    identity = ask(store)
    lease(store, "w1", seconds=30)
    clock.pass_(minutes=1)
    lease(store, "w2", seconds=30)

    with pytest.raises(Conflict, match="Drop the work"), store.ingest() as ingest:
        jobs.finish(ingest, identity, worker="w1", result={})

    assert state(store, identity) == ("leased", 2)


def test_a_job_that_kills_its_workers_is_given_up(store: Store, clock: HeldClock) -> None:
    identity = ask(store)
    for attempt in range(1, jobs.MOST_ATTEMPTS + 1):
        assert lease(store) is not None
        assert state(store, identity) == ("leased", attempt)
        clock.pass_(minutes=1)

    assert lease(store) is None
    job = got(store, identity)
    assert (job.state, job.leased_until, job.finished_at) == ("failed", None, clock())
    assert "given up: 3 workers" in (job.error or "")


def test_an_overdue_lease_is_seen_without_anybody_asking_for_work(store: Store, clock: HeldClock) -> None:
    ask(store)
    lease(store, seconds=30)

    for passed, expected in ((30, False), (1, True)):
        clock.pass_(seconds=passed)
        with store.view() as view:
            assert jobs.any_overdue(view) is expected


WORKER = """
import sys, time
from pathlib import Path
from mainstay.store import jobs, open_store

store = open_store(Path(sys.argv[1]))
with store.ingest() as ingest:
    job = jobs.lease(ingest, worker="killed", kinds=["run_pipeline"], seconds=30)
print(job.id, flush=True)
time.sleep(600)
"""


def test_the_job_of_a_killed_worker_is_done_by_the_next(store: Store, clock: HeldClock, tmp_path: Path) -> None:
    identity = ask(store)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "workspace")], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline().strip() == identity
    worker.kill()
    worker.wait()

    clock.moment = datetime.now(UTC)
    assert lease(store, "next") is None
    clock.pass_(seconds=31)
    again = lease(store, "next")

    assert again is not None
    assert (again.id, again.attempt) == (identity, 2)
    with store.ingest() as ingest:
        assert jobs.finish(ingest, identity, worker="next", result={"ok": True}).state == "done"
