# SPDX-License-Identifier: Apache-2.0
"""Schedules: each time once, whoever dies; what is made up for; what is said of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.scheduling import Firing, Schedule
from mainstay.lifecycle.governance import people
from mainstay.lifecycle.pipelines.scheduling import schedules, tables
from mainstay.store import Store, jobs, ledger, open_store

from ..clocks import HeldClock

START = datetime(2024, 3, 30, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(START)


@pytest.fixture
def store(tmp_path: Path, clock: HeldClock) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace", clock=clock)
    with opened.change(actor="system") as change:
        people.add(change, name="ana", roles=["admin"])
    yield opened
    opened.close()


@pytest.fixture
def declare(store: Store) -> Callable[..., Schedule]:
    def ask(**facts: Any) -> Schedule:
        ordinary = {"name": "nightly", "pipeline": "flights:late", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
        with store.change(actor="ana") as change:
            return schedules.declare(change, **({"owner": "ana"} | ordinary | facts))

    return ask


def fired(store: Store, name: str = "nightly") -> list[str]:
    """The logical times that were fired, the earliest first."""
    with store.view() as view:
        return [f"{firing.logical_time:%d %H:%M}" for firing, _ in reversed(schedules.firings(view, name, limit=1000))]


def test_a_time_that_comes_asks_for_the_pipeline_once(store: Store, clock: HeldClock, declare) -> None:
    made = declare(params={"until": "{date}", "depth": 6, "at": ["{logical_time}", "{since}|{until}"]})
    assert made.next_at == datetime(2024, 3, 31, 1, tzinfo=UTC)  # 03:00 is the moment after the gap
    assert not schedules.fire_due(store)

    clock.moment = made.next_at + timedelta(seconds=1)

    assert schedules.fire_due(store)
    assert not schedules.fire_due(store)
    with store.view() as view:
        ((firing, job),) = schedules.firings(view, "nightly")
        (event,) = ledger.search(view, kind="schedule.fired")
        following = schedules.get(view, "nightly").next_at
    assert following == datetime(2024, 4, 1, 1, tzinfo=UTC)
    assert (job.kind, job.because, job.created_by) == ("run_pipeline", event.seq, "schedule:nightly")
    assert job.body == {
        "entry": "flights:late",
        "params": {
            "until": "2024-03-31",
            "depth": 6,
            "at": ["2024-03-31T01:00:00.000000Z", "2024-03-30T02:00:00.000000Z|2024-03-31T01:00:00.000000Z"],
        },
        "because": event.seq,
        "reason": "schedule 'nightly' was due at 2024-03-31T01:00:00.000000Z",
        "tags": {"schedule": "nightly", "logical_time": "2024-03-31T01:00:00.000000Z"},
    }
    assert (event.reason, event.actor, firing.event) == (job.body["reason"], "schedule:nightly", event.seq)


@pytest.mark.parametrize(
    ("catch_up", "expected", "skipped"),
    [
        ("latest", ["02 01:00"], [("31 01:00", "01 01:00")]),
        ("all", ["31 01:00", "01 01:00", "02 01:00"], []),
        ("none", [], [("31 01:00", "02 01:00")]),
    ],
)
def test_times_that_went_by_are_made_up_for_as_the_policy_says(
    store: Store, clock: HeldClock, declare, catch_up: str, expected: list[str], skipped: list[tuple[str, str]]
) -> None:
    declare(catch_up=catch_up)
    clock.moment = datetime(2024, 4, 2, 20, tzinfo=UTC)

    while schedules.fire_due(store):
        pass

    assert fired(store) == expected
    with store.view() as view:
        told = [entry.body for entry in ledger.search(view, kind="schedule.skipped")]
        assert schedules.get(view, "nightly").next_at == datetime(2024, 4, 3, 1, tzinfo=UTC)
    assert [(f"{from_wire(t['since']):%d %H:%M}", f"{from_wire(t['until']):%d %H:%M}") for t in told] == skipped


def test_none_still_fires_what_is_fresh(store: Store, clock: HeldClock, declare) -> None:
    made = declare(catch_up="none")
    clock.moment = made.next_at + timedelta(seconds=59)

    assert schedules.fire_due(store)
    assert fired(store) == ["31 01:00"]


def test_many_missed_times_are_made_up_for_a_few_at_a_time(store: Store, clock: HeldClock, declare) -> None:
    declare(cron=None, every="1m", catch_up="all")
    clock.moment = START + timedelta(minutes=120, seconds=5)

    looks = 0
    while schedules.fire_due(store):
        looks += 1

    assert looks == 3
    assert len(fired(store)) == len(set(fired(store))) == 120


def test_a_schedule_that_cannot_be_read_any_more_keeps_no_other_from_firing(
    store: Store, clock: HeldClock, declare, caplog: pytest.LogCaptureFixture
) -> None:
    declare(name="a")
    declare()
    with store.change(actor="ana") as change:
        schedules.pause(change, "a")
        tables.set_schedule(change, "a", timezone="Gone/Zone", next_at=START)
    clock.moment = datetime(2024, 4, 2, 20, tzinfo=UTC)

    assert schedules.fire_due(store)

    assert (fired(store), fired(store, "a")) == (["02 01:00"], [])
    assert "schedule a could not fire" in caplog.text


def test_a_paused_schedule_fires_nothing_and_does_not_make_up_for_it(store: Store, clock: HeldClock, declare) -> None:
    declare(catch_up="all")
    with store.change(actor="ana", reason="holidays") as change:
        assert schedules.pause(change, "nightly").next_at is None
    clock.moment = datetime(2024, 4, 2, 20, tzinfo=UTC)
    assert not schedules.fire_due(store)

    with store.change(actor="ana") as change:
        resumed = schedules.resume(change, "nightly")

    assert resumed.next_at == datetime(2024, 4, 3, 1, tzinfo=UTC)
    assert not schedules.fire_due(store)
    for verb in (schedules.resume, lambda change, name: schedules.pause(change, "unheard")):
        with pytest.raises((Conflict, NotFound)), store.change(actor="ana") as change:
            verb(change, "nightly")


def test_declaring_again_keeps_a_time_that_came_already_unless_the_timing_is_another(
    store: Store, clock: HeldClock, declare
) -> None:
    before = declare()
    clock.moment = datetime(2024, 4, 2, 20, tzinfo=UTC)

    assert declare(params={"depth": 7}).next_at == before.next_at
    assert declare(cron="0 4 * * *").next_at == datetime(2024, 4, 3, 2, tzinfo=UTC)
    with store.change(actor="ana") as change:
        schedules.pause(change, "nightly")
    assert (declare().state, declare().next_at) == ("paused", None)


def test_a_removed_schedule_is_gone_and_its_times_do_not_fire_twice(store: Store, clock: HeldClock, declare) -> None:
    made = declare()
    clock.moment = made.next_at + timedelta(seconds=1)
    schedules.fire_due(store)
    with store.change(actor="ana") as change:
        schedules.remove(change, "nightly")
    assert not schedules.fire_due(store)

    clock.moment = START  # a clock that was put back
    declare()
    clock.moment = made.next_at + timedelta(seconds=1)
    schedules.fire_due(store)

    assert fired(store) == ["31 01:00"]
    with store.view() as view:
        assert len(jobs.listed(view)) == 1


def test_the_database_itself_refuses_a_time_that_fired(store: Store) -> None:
    firing = Firing(schedule="nightly", logical_time=START, fired_at=START, event=1, job="0" * 32)
    with store.ingest() as ingest:
        tables.put_firing(ingest, firing)

    with pytest.raises(IntegrityError), store.ingest() as ingest:
        tables.put_firing(ingest, firing)


DIES = """
    import os, signal, sys
    from datetime import datetime, UTC
    from pathlib import Path
    from mainstay.lifecycle.pipelines.scheduling import schedules, tables
    from mainstay.store import change, jobs, open_store

    def die(*_arguments, **_named):
        os.kill(os.getpid(), signal.SIGKILL)

    def after(function):
        def call(*arguments, **named):
            function(*arguments, **named)
            die()
        return call

    point = sys.argv[2]
    store = open_store(Path(sys.argv[1]), clock=lambda: datetime(2024, 3, 31, 1, 0, 5, tzinfo=UTC))
    if point == "before the event":
        change.Change.record = die
    elif point == "after the event":
        change.Change.record = after(change.Change.record)
    elif point == "between job and firing":
        tables.put_firing = die
    elif point == "before the commit":
        tables.set_schedule = after(tables.set_schedule)
    schedules.fire_due(store)
    die()  # after the commit
"""


@pytest.mark.parametrize(
    "point", ["before the event", "after the event", "between job and firing", "before the commit", "after the commit"]
)
def test_a_server_that_is_killed_while_it_fires_neither_loses_the_time_nor_fires_it_twice(
    store: Store, clock: HeldClock, declare, tmp_path: Path, point: str
) -> None:
    declare()
    store.close()

    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DIES), str(tmp_path / "workspace"), point], check=False
    )
    assert died.returncode == -9
    clock.moment = datetime(2024, 3, 31, 1, 0, 9, tzinfo=UTC)
    again = open_store(tmp_path / "workspace", clock=clock)

    with again.view() as view:
        assert len(jobs.listed(view)) == len(tables.firings(view, "nightly", 9)) == (point == "after the commit")
    schedules.fire_due(again)
    schedules.fire_due(again)
    assert fired(again) == ["31 01:00"]
    with again.view() as view:
        assert len(jobs.listed(view)) == len(ledger.search(view, kind="schedule.fired")) == 1
        assert ledger.verify(view).ok
    again.close()


@pytest.mark.parametrize(
    ("facts", "error", "told"),
    [
        ({"name": "a b"}, Invalid, "schedule name"),
        ({"owner": "nobody"}, NotFound, "nobody"),
        ({"pipeline": "flights"}, Invalid, "'file.py:function' is expected"),
        ({"catch_up": "some"}, Invalid, "latest, all, none"),
        ({"params": {"a": "{partition}"}}, Invalid, "stands for nothing"),
        ({"params": {"a": float("nan")}}, Invalid, "no JSON"),
        ({"cron": "0 0 31 2 *"}, Invalid, "bad day-of-month"),
    ],
)
def test_what_cannot_be_is_refused(declare, facts: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        declare(**facts)


def test_a_template_reaches_into_nothing_but_its_words(store: Store, clock: HeldClock, declare) -> None:
    for text in ("{0.__class__}", "{date!r}", "{date.__class__}", "{{}}", "%s"):
        made = declare(name=f"n{len(text)}", params={"text": text})
        assert made.params == {"text": text}
    clock.moment = datetime(2024, 4, 2, 20, tzinfo=UTC)
    schedules.fire_due(store)

    with store.view() as view:
        assert {job.body["params"]["text"] for job in jobs.listed(view)} <= {
            "{0.__class__}", "{date!r}", "{date.__class__}", "{{}}", "%s",
        }  # fmt: skip
