# SPDX-License-Identifier: Apache-2.0
"""Backfills: every partition once, a few at a time, through kills, and not what is done already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.scheduling import Backfill
from mainstay.lifecycle.pipelines.scheduling import backfills, tables
from mainstay.store import Store, jobs, ledger


@pytest.fixture
def start(store: Store) -> Callable[..., Backfill]:
    def ask(**facts: Any) -> Backfill:
        ordinary = {
            "pipeline": "flights:late",
            "since": "2013-01-01",
            "until": "2013-01-05",
            "params": {"day": "{partition}"},
        }
        with store.change(actor="ana") as change:
            return backfills.start(change, **(ordinary | facts))

    return ask


def look(store: Store) -> None:
    while backfills.carry_on(store):
        pass


def work(store: Store, **answer: Any) -> str:
    """Be the worker of one job; the partition that it was about."""
    with store.ingest() as ingest:
        job = jobs.lease(ingest, worker="w", kinds=["run_pipeline"], seconds=30)
        assert job is not None
        done = answer or {"result": {"run_id": job.id, "summary": "1 step: 1 ran"}}
        jobs.finish(ingest, job.id, worker="w", **done)
    return str(job.body["tags"]["partition"])


def states(store: Store, backfill: Backfill) -> dict[str, str]:
    with store.view() as view:
        return {each.partition: each.state for each in backfills.portions(view, backfill.id)}


def test_partitions_are_asked_for_a_few_at_a_time_until_all_are_done(store: Store, start) -> None:
    made = start()
    look(store)
    assert list(states(store, made).values()) == ["asked", "asked", "waiting", "waiting"]

    order = []
    for _ in range(4):
        order.append(work(store))
        look(store)

    assert order == ["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"]
    with store.view() as view:
        ended, counts = backfills.get(view, made.id), backfills.counts(view, made.id)
        (event,) = ledger.search(view, kind="backfill.ended")
        job = jobs.listed(view)[-1]
    assert (ended.state, counts, event.body["counts"]) == ("completed", {"succeeded": 4}, {"succeeded": 4})
    assert event.because == job.because == job.body["because"] == made.event
    assert job.body["params"] == {"day": "2013-01-01"}
    assert job.body["tags"] == {
        "backfill": made.id,
        "partition": "2013-01-01",
        "logical_time": "2013-01-01T00:00:00.000000Z",
    }
    assert job.body["unless"] == {"run": None}


def test_a_partition_that_fails_does_not_keep_the_others_and_the_whole_has_failed(store: Store, start) -> None:
    made = start(until="2013-01-03", concurrency=1)
    look(store)
    work(store, error="no luck")
    look(store)
    work(store)
    look(store)

    assert states(store, made) == {"2013-01-01": "failed", "2013-01-02": "succeeded"}
    with store.view() as view:
        assert backfills.get(view, made.id).state == "failed"
        assert backfills.portions(view, made.id)[0].sentence == "no luck"


def test_asked_again_a_partition_is_told_of_the_run_that_did_it(store: Store, start) -> None:
    start(until="2013-01-02")
    look(store)
    work(store)
    look(store)

    again, otherwise, anew = start(until="2013-01-02"), start(until="2013-01-02", params={"day": 1}), start(again=True)
    look(store)
    with store.view() as view:
        by_backfill = {job.body["tags"]["backfill"]: job for job in reversed(jobs.listed(view))}
        first = jobs.listed(view)[-1]
        order = {
            "pipeline": "flights:late",
            "since": "2013-01-01",
            "until": "2013-01-03",
            "params": {"day": "{partition}"},
        }
        foreseen = [before for _, _, before in backfills.preview(view, **order)]
    assert by_backfill[again.id].body["unless"] == {"run": first.id}
    assert by_backfill[otherwise.id].body["unless"] == {"run": None}
    assert by_backfill[anew.id].body["unless"] is None
    assert foreseen == [first.id, None]

    work(store, result={"skipped": "every step is a hit", "run_id": first.id})
    look(store)
    assert states(store, again) == {"2013-01-01": "skipped"}


def test_a_cancelled_backfill_begins_nothing_more_and_takes_its_jobs_back(store: Store, start) -> None:
    made = start()
    look(store)
    with store.ingest() as ingest:
        under_way = jobs.lease(ingest, worker="w", kinds=["run_pipeline"], seconds=30)

    with store.change(actor="ana", reason="wrong year") as change:
        backfills.cancel(change, made.id)
    look(store)

    assert set(states(store, made).values()) == {"cancelled"}
    with store.view() as view:
        assert {job.state for job in jobs.listed(view)} == {"failed"}
    with pytest.raises(Conflict), store.ingest() as ingest:
        jobs.renew(ingest, under_way.id, worker="w", seconds=30)
    for identity, error in ((made.id, Conflict), ("0" * 32, NotFound)):
        with pytest.raises(error), store.change(actor="ana") as change:
            backfills.cancel(change, identity)


def test_a_kill_between_a_job_and_its_partition_leaves_neither(store: Store, start, monkeypatch) -> None:
    made = start(concurrency=1)

    def die(*_arguments: Any, **_values: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tables, "set_portion", die)
        backfills.carry_on(store)

    with store.view() as view:
        assert jobs.listed(view) == []
    look(store)
    with store.view() as view:
        assert len(jobs.listed(view)) == 1
    assert list(states(store, made).values()) == ["asked", "waiting", "waiting", "waiting"]


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"pipeline": "flights"}, "'file.py:function' is expected"),
        ({"concurrency": 0}, "from 1 to 100"),
        ({"since": "yesterday"}, "a date such as"),
        ({"params": {"a": "{date}"}}, "stands for nothing"),
        ({"timezone": "Moon"}, "not known here"),
        ({"by": "month"}, "cannot end at 2013-01-05"),
    ],
)
def test_what_cannot_be_is_refused(start, facts: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        start(**facts)


def test_days_are_those_of_the_zone(store: Store, start) -> None:
    made = start(timezone="Europe/Berlin", params={"since": "{since}", "until": "{until}"}, until="2013-01-02")
    look(store)

    with store.view() as view:
        (portion,), (job,) = backfills.portions(view, made.id), jobs.listed(view)
    assert portion.since.isoformat() == "2012-12-31T23:00:00+00:00"
    assert job.body["params"] == {"since": "2013-01-01", "until": "2013-01-02"}
