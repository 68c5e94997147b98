# SPDX-License-Identifier: Apache-2.0
"""Schedules and backfills as typed: declared, fired, worked on, and skipped where nothing is new."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.cli import backfill as backfill_command
from mainstay.domain.clock import from_wire, to_wire
from mainstay.engine import worker
from mainstay.engine.worker import Worker, work_once

FLOW = """
import mainstay as ms

@ms.step(cache=False)
def look() -> int:
    return 1

@ms.step
def double(n: int) -> int:
    return 2 * n

@ms.pipeline
def pure(day: str, n: int = 1):
    double(n * int(day[-2:]))

@ms.pipeline
def outside(day: str):
    double(look())
"""


@pytest.fixture
def mainstay(type_at, fresh_house):
    (fresh_house.folder / "days.py").write_text(FLOW)
    return type_at(fresh_house)


def test_a_schedule_is_made_listed_and_done_away_with(mainstay) -> None:
    made = mainstay("schedules", "add", "nightly", "days.py:pure", "--cron", "0 3 * * *", "--param", "day={date}")
    assert made.status == 0 and "0 3 * * * UTC" in made.out
    assert "nightly" in mainstay("schedules", "list").out
    assert len(mainstay("schedules", "next", "nightly", "--limit", "3").out.splitlines()) == 3
    assert "not while paused" in mainstay("schedules", "pause", "nightly", "-m", "holidays").out
    assert mainstay("schedules", "pause", "nightly").status == 1
    assert "active" in mainstay("schedules", "resume", "nightly").out
    assert "is removed" in mainstay("schedules", "remove", "nightly").out
    assert mainstay("schedules", "list").out.startswith("No schedule yet.")
    assert mainstay("schedules", "add", "x", "days.py:pure", "--cron", "61 * * * *").status == 1


def test_the_schedules_of_mainstay_toml_are_made_so(mainstay, fresh_house) -> None:
    file = fresh_house.folder / "mainstay.toml"
    file.write_text('[schedule.six]\npipeline = "days:pure"\nevery = "6h"\nparams = { day = "{date}", n = 3 }\n')

    made = json.loads(mainstay("schedules", "apply", "--json").out)

    assert [(each["name"], each["every"], each["params"]["n"]) for each in made["items"]] == [("six", "6h", 3)]
    file.write_text("schedule = 3\n")
    assert mainstay("schedules", "apply").status == 1
    file.unlink()


def test_a_time_that_comes_becomes_a_run_that_shows_it(mainstay, fresh_house, monkeypatch) -> None:
    mainstay("schedules", "add", "hourly", "days.py:pure", "--every", "1h", "--param", "day={date}", "--param", "n=77")
    monkeypatch.setattr(fresh_house.app.store, "clock", lambda: datetime.now(UTC) + timedelta(hours=1))
    fresh_house.look()
    assert work_once(in_this_process(fresh_house, monkeypatch))

    shown = json.loads(mainstay("schedules", "show", "hourly", "--json").out)
    (firing,) = shown["firings"]
    run = fresh_house.get(f"/runs/{firing['run_id']}")

    assert (firing["state"], run["because"]) == ("done", firing["event"])
    assert run["tags"] == {"schedule": "hourly", "logical_time": to_wire(from_wire(firing["logical_time"]))}
    assert run["reason"] == f"schedule 'hourly' was due at {run['tags']['logical_time']}"
    mainstay("schedules", "remove", "hourly")


def in_this_process(house, monkeypatch) -> Worker:
    """A worker whose pipelines need no child: what a child costs is measured elsewhere."""
    mine = Worker(platform=house.connect(), folder=house.folder)
    run = worker.run_pipeline.run
    monkeypatch.setattr(
        worker.run_pipeline, "carry_out", lambda body, *, folder, **_: run(house.connect(), body, folder)
    )
    return mine


BACKFILL = ("--from", "2013-01-01", "--to", "2013-01-04", "--param", "day", "--concurrency", "1")


def test_a_backfill_is_foreseen_done_and_not_done_twice(mainstay, fresh_house, monkeypatch) -> None:
    in_this_process(fresh_house, monkeypatch)
    monkeypatch.setattr(backfill_command, "LOOKS_EVERY_S", 0.01)
    session, ask = type(fresh_house.connect()), type(fresh_house.connect()).get
    monkeypatch.setattr(session, "get", lambda self, *a, **p: (fresh_house.look(), ask(self, *a, **p))[1])

    for entry, skips in (("days.py:pure", "every step is a hit"), ("days.py:outside", "did it with the same code")):
        foreseen = mainstay("backfill", entry, *BACKFILL, "--dry-run")
        assert foreseen.out.count("▲ runs") == 3, foreseen
        done = mainstay("backfill", entry, *BACKFILL)
        assert done.status == 0, done
        assert done.out.count("/3  2013-01-0") == 3 and "3 succeeded" in done.out
        again = json.loads(mainstay("backfill", entry, *BACKFILL, "--json").out)
        assert again["counts"] == {"skipped": 3}
        foreseen = mainstay("backfill", entry, *BACKFILL, "--dry-run")
        assert foreseen.out.count(skips) == foreseen.out.count("✓ skipped") == 3, foreseen

    (fresh_house.folder / "days.py").write_text(FLOW.replace("2 * n", "3 * n"))
    changed = json.loads(mainstay("backfill", "days.py:outside", *BACKFILL, "--json").out)
    assert changed["counts"] == {"succeeded": 3}
    assert "3 skipped" in mainstay("backfills", "list").out
    assert mainstay("backfills", "show", changed["backfill"]["id"]).status == 0
    assert mainstay("backfills", "cancel", changed["backfill"]["id"]).status == 1


def test_nothing_is_left_to_a_server_that_is_not_there(mainstay) -> None:
    refused = mainstay("backfill", "days.py:pure", *BACKFILL, "--no-wait")

    assert (refused.status, "no server is here" in refused.err) == (1, True)
