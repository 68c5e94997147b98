# SPDX-License-Identifier: Apache-2.0
"""From a version to traffic and back: policy, deployment, release, approval, rollout, rollback. One story, in order."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from mainstay.engine import project


@pytest.fixture(scope="module")
def token_of_bo(house) -> str:
    """Three versions, and bo, who may approve."""
    session = house.connect()
    pipeline = project.load("trips.py:flow", folder=house.folder)
    for c in (0.1, 0.01):
        pipeline.run(session, c=c)
    session.post("/people", {"name": "bo", "roles": ["approver"]})
    return str(session.post("/people/bo/tokens", {"days": 1})["token"])


@pytest.fixture
def mainstay(type_at, house, monkeypatch) -> Callable[..., object]:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to be asked for a reason
    return type_at(house)


def test_first_a_policy_and_a_deployment(mainstay, house, token_of_bo) -> None:
    policy = mainstay("policy", "put", "prod", "--gate", "latency_p95_ms <= 5000.0", "-m", "speed matters")
    place = mainstay("deployments", "put", "trips", "--model", "late", "--step", "10", "--step", "100")

    assert "prod, version 1" in policy.out and "1 by others than its authors" in policy.out
    assert "canary in steps of 10 %, 100 %" in place.out
    assert "mainstay release late@candidate --to trips" in place.out
    assert house.get("/deployments/trips")["owner"] == house.get("/me")["actor"]
    assert house.get("/events", kind="policy.*")["items"][0]["reason"] == "speed matters"


def test_a_policy_with_a_gate_that_cannot_be_read_is_refused(mainstay) -> None:
    told = mainstay("policy", "put", "bad", "--gate", "latency <=")

    assert told.status == 1
    assert "gate of policy 'bad'" in told.err


def test_the_candidate_is_the_newest_version_that_was_not_released(mainstay, house) -> None:
    asked = mainstay("release", "late@candidate", "--to", "trips", "-m", "the newest")

    assert asked.status == 0
    assert "release trips#1 of late/3 is being judged" in asked.out
    assert "`mainstay up` runs one" in asked.out  # nobody judges in an embedded workspace
    assert house.get("/releases/trips/1")["digest"] in asked.out


def test_a_second_release_must_wait_for_the_first(mainstay) -> None:
    told = mainstay("release", "late@1", "--to", "trips")

    assert told.status == 1
    assert "release trips#1 (late/3) is judging; end it before another goes to 'trips'" in told.err


def test_nothing_can_be_approved_before_it_is_judged(mainstay) -> None:
    told = mainstay("approve", "trips", "-m", "fine")

    assert told.status == 1
    assert "no release of 'trips' waits for approval; the newest, trips#1, is judging." in told.err


def test_an_approval_takes_a_reason_another_person_and_the_digest_that_was_seen(mainstay, house, token_of_bo) -> None:
    house.judge()

    without = mainstay("approve", "trips", "--token", token_of_bo)
    own = mainstay("approve", "trips", "-m", "fine")
    other = mainstay("approve", "trips", "-m", "fine", "--digest", "feed", "--token", token_of_bo)

    assert (without.status, own.status, other.status) == (2, 1, 1)
    assert "this takes a reason: give one with -m." in without.err
    assert "may not approve release:trips#1" in own.err
    assert "and you named feed…" in other.err
    assert house.get("/releases/trips/1")["state"] == "waiting"


def test_what_waits_is_approved_by_the_name_of_its_deployment(mainstay, house, token_of_bo) -> None:
    waiting = mainstay("releases", "show", "trips")
    digest = house.get("/releases/trips/1")["digest"]

    told = mainstay("approve", "trips", "-m", "looked at the gates", "--digest", digest[:8], "--token", token_of_bo)

    assert "It waits for somebody other than" in waiting.out and "mainstay approve 'trips#1'" in waiting.out
    assert "✓ pass" in told.out and "late/3" in told.out  # what is approved is shown
    assert told.out.splitlines()[-1] == f"approved trips#1 with digest {digest}; it takes 100 % of the traffic"
    assert house.get("/releases/trips/1")["approvals"][0]["reason"] == "looked at the gates"


def test_what_is_live_is_one_line_a_variant(mainstay, house) -> None:
    told = mainstay("live")

    heading, line = told.out.splitlines()
    assert line.startswith("prod/trips  trips#1  late/3")
    assert house.get("/models/late/versions/3")["digest"] in line
    assert "? unknown: no gateway speaks" in line
    assert heading.split("  ")[0] == "where"


def test_a_rejected_release_is_gone(mainstay, house, token_of_bo) -> None:
    mainstay("release", "late@1", "--to", "trips")
    house.judge()

    told = mainstay("reject", "trips#2", "-m", "not this one", "--token", token_of_bo)

    assert told.status == 0
    assert told.out.splitlines()[-1].startswith("rejected trips#2 with digest ")
    assert house.get("/releases/trips/2")["state"] == "rejected"


def test_a_canary_is_held_resumed_and_taken_back_by_the_name_of_its_deployment(mainstay, house, token_of_bo) -> None:
    mainstay("release", "late@2", "--to", "trips")
    house.judge()
    mainstay("approve", "trips", "-m", "fine", "--token", token_of_bo)

    live, paused, again = mainstay("live"), mainstay("rollout", "pause", "trips"), mainstay("rollout", "pause", "trips")
    resumed, reasonless = mainstay("rollout", "resume", "trips#3"), mainstay("rollout", "abort", "trips")
    aborted = mainstay("rollout", "abort", "trips", "-m", "too slow")
    shown = mainstay("rollout", "show", "trips")

    assert [line.split("  ")[0:2] for line in live.out.splitlines()[1:]] == [
        ["prod/trips", "trips#1"],
        ["prod/trips", "trips#3"],
    ]
    assert paused.out == "rollout of trips#3 is paused at 10 % of the traffic\n"
    assert (again.status, reasonless.status) == (1, 2)
    assert resumed.out == "rollout of trips#3 is running at 10 % of the traffic\n"
    assert aborted.out == "rollout of trips#3 is aborted at 0 % of the traffic\n"
    assert "✗ aborted" in shown.out and "trips#3, in place of trips#1" in shown.out


def test_there_is_nothing_to_go_back_to_before_a_second_release_was_live(mainstay) -> None:
    told = mainstay("rollback", "trips", "--preview")

    assert told.status == 1
    assert "there is none to go back to" in told.err


def test_a_rollback_shows_what_changes_and_then_does_it(mainstay, house, token_of_bo) -> None:
    mainstay("deployments", "put", "trips", "--model", "late", "--strategy", "direct")
    mainstay("release", "late@2", "--to", "trips", "-m", "again")
    house.judge()
    mainstay("approve", "trips", "-m", "fine", "--token", token_of_bo)
    assert house.get("/deployments/trips")["release"] == "trips#4"

    preview = mainstay("rollback", "trips", "--to", "1", "--preview")
    document = mainstay("rollback", "trips", "--preview", "--json")
    still, reasonless = house.get("/deployments/trips")["release"], mainstay("rollback", "trips")
    done = mainstay("rollback", "trips", "-m", "the new one was too slow")

    assert ["model", "late/2", "late/3"] in [
        line.split() for line in preview.out.splitlines()
    ] and "affects deployment:trips" in preview.out
    assert json.loads(document.out)["model"] == {"from": "late/2", "to": "late/3"}
    assert (still, reasonless.status) == ("trips#4", 2)
    assert done.out.splitlines()[-1] == "trips#1 answers again, from now on"
    assert house.get("/deployments/trips")["release"] == "trips#1"
    assert house.get("/events", kind="rollout.completed")["items"][0]["because"] is None


def test_a_release_that_no_gate_lets_through_ends_with_status_1(mainstay, house) -> None:
    mainstay("policy", "put", "strict", "--gate", "latency_p95_ms <= 0.0", "--approvals", "0")
    mainstay("deployments", "put", "strict", "--model", "late", "--policy", "strict")
    mainstay("release", "late@1", "--to", "strict")
    house.judge()

    told = mainstay("release", "late@champion", "--to", "strict", "--wait")

    assert told.status == 1
    assert "strict#2 was asked for, and no worker is here to judge it" in told.err
    assert "✗ refused" in mainstay("releases", "show", "strict#1").out
    assert "✗ fail" in mainstay("releases", "show", "strict#1").out
