# SPDX-License-Identifier: Apache-2.0
"""Monitors, alerts, triggers and decisions, named by what people know: the monitor, the trigger, the key. One story."""

from __future__ import annotations

import io
import json

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def mainstay(type_at, live_house, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return type_at(live_house)


def test_a_monitor_is_put_and_judges_what_is_over(mainstay, live_house) -> None:
    identities = pq.read_table(live_house.folder / "scored.parquet")["_id"].to_pylist()
    lines = "\n".join(json.dumps({"id": each, "label": number % 2}) for number, each in enumerate(identities))
    live_house.connect().post_bytes("/feedback", lines.encode(), content_type="application/x-ndjson")

    put = mainstay("monitors", "put", "trips", "--window", "7d", "--review", "7d", "--slice", "y")
    judged = mainstay("monitors", "judge", "trips", "--until", "2026-03-09", "--json")
    again = mainstay("monitors", "judge", "trips")
    shown, windows = mainstay("monitors", "show", "trips"), mainstay("monitors", "windows", "trips")

    owner = live_house.get("/deployments/trips")["owner"]
    assert put.status == 0 and owner in put.out and "7d" in put.out
    assert len(json.loads(judged.out)["items"]) == 2
    assert again.out.startswith("Nothing of trips came out otherwise than before.")
    assert "the week from 2026-03-02" in shown.out and "✗ alert" in shown.out
    assert windows.out in shown.out
    assert "✗ alert" in mainstay("monitors", "list").out


def test_a_review_is_recorded(mainstay, live_house) -> None:
    told = mainstay("monitors", "review", "trips", "--decision", "keep", "-m", "the holiday timetable")

    assert told.out == f"{live_house.get('/me')['actor']} looked at trips: keep\n"
    assert "the holiday timetable" in mainstay("monitors", "show", "trips").out


def test_an_alert_is_named_by_monitor_and_key(mainstay, live_house) -> None:
    several = mainstay("alerts", "ack", "trips")
    listed, none = mainstay("alerts", "list", "--state", "open"), mainstay("alerts", "show", "trips:nope")
    acknowledged = mainstay("alerts", "ack", "trips:performance", "-m", "looking")
    shown = mainstay("alerts", "show", "trips:performance")
    reasonless, past = mainstay("alerts", "resolve", "trips:performance"), "2001-01-01"
    muted = mainstay("alerts", "mute", "trips:performance", "--until", "2100-01-01", "-m", "known")
    backwards = mainstay("alerts", "mute", "trips:drift", "--until", past, "-m", "known")
    resolved = mainstay("alerts", "resolve", "trips:performance", "--cause", "labels", "-m", "a test")

    assert several.status == 1 and "name one of trips:" in several.err
    assert "trips:performance  ✗ alert   ✗ open" in listed.out
    assert none.status == 1 and "'trips:nope' has no alert that is not resolved" in none.err
    assert acknowledged.out.startswith("trips:performance is acknowledged: Performance")
    assert "alert.acknowledged" in shown.out and "looking" in shown.out
    assert (reasonless.status, backwards.status) == (2, 1)
    assert "which is past" in backwards.err
    assert muted.out.startswith("trips:performance is muted") and resolved.out.startswith(
        "trips:performance is resolved"
    )


def test_a_trigger_knows_the_pipeline_that_made_the_model(mainstay, live_house) -> None:
    put = mainstay(
        "triggers", "put", "again", "--deployment", "trips", "--when", "drifted_columns > 0", "--param", "n=50"
    )
    bad = mainstay("triggers", "put", "bad", "--deployment", "trips", "--when", "nonsense > 0")

    assert put.status == 0 and "trips.py:flow" in put.out and "suggest" in put.out
    assert live_house.get("/triggers/again")["params"] == {"n": "50"}
    assert bad.status == 1 and "which is no fact" in bad.err
    assert "drifted_columns > 0" in mainstay("triggers", "list").out


def test_a_suggestion_is_accepted_by_the_name_of_its_trigger(mainstay, live_house) -> None:
    nothing = mainstay("decisions", "accept", "again")
    asked = mainstay("triggers", "ask", "again", "-m", "to see")
    shown = mainstay("decisions", "show", "again")
    accepted, twice = mainstay("decisions", "accept", "again"), mainstay("decisions", "accept", "again")

    assert nothing.status == 1 and "has no suggestion that waits" in nothing.err
    assert "▲ suggest" in asked.out and "fact drifted_columns" in asked.out
    assert shown.out.replace("just now", "").split() == asked.out.replace("just now", "").split()
    assert accepted.status == 0 and "job " in accepted.out and twice.status == 1
    assert "run_pipeline" in mainstay("jobs", "list").out
    assert "trips.py:flow" in mainstay("jobs", "show", live_house.get("/jobs")["items"][0]["id"]).out


def test_a_suggestion_is_declined_with_a_reason(mainstay, live_house) -> None:
    put = ("--when", "drifted_columns > 0", "--pipeline", "trips.py:flow", "--cooldown", "1d")
    live_house.connect().post("/jobs/lease", {"worker": "w", "kinds": ["run_pipeline"]})
    job = live_house.get("/jobs")["items"][0]
    live_house.connect().post(f"/jobs/{job['id']}/finish", {"worker": "w", "ok": False, "error": "given up"})
    live_house.look()
    mainstay("triggers", "put", "other", "--deployment", "trips", *put)
    mainstay("triggers", "ask", "other")

    reasonless = mainstay("decisions", "decline", "other")
    told = mainstay("decisions", "decline", "other", "-m", "not in the holidays")

    assert (reasonless.status, told.status) == (2, 0)
    assert "declined" in told.out
    assert live_house.get("/decisions", trigger="other")["items"][0]["result"] == "declined"


def test_a_job_says_where_it_stands_and_is_called_off(mainstay, live_house) -> None:
    body = {"kind": "run_pipeline", "body": {"entry": "trips.py:flow"}}
    waiting, taken = (live_house.connect().post("/jobs", body)["id"] for _ in range(2))

    listed = mainstay("jobs", "list", "--about", "pipeline:flow", "--state", "queued", "--json")
    before = mainstay("jobs", "show", taken)
    off = mainstay("jobs", "cancel", taken, "-m", "asked twice")
    again = mainstay("jobs", "cancel", taken)

    assert {waiting, taken} <= {job["id"] for job in json.loads(listed.out)["items"]}
    assert "waits for a worker; " in before.out and "before it" in before.out
    assert off.status == 0 and "called off by" in off.out
    assert again.status == 1 and "cannot be called off" in again.err
    mainstay("jobs", "cancel", waiting)
