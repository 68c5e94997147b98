# SPDX-License-Identifier: Apache-2.0
"""Refused attempts of known people are events: one an actor, route and minute, however many there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainstay.domain.errors import Forbidden, Unavailable
from mainstay.server.refusals import Refusals
from mainstay.store import ledger

from .conftest import House


def refused(house: House, role: str, method: str, path: str) -> None:
    assert house.ask(method, path, role=role, json={"name": "x"}).status_code == 403


def noted(house: House, actor: str) -> list[ledger.Entry]:
    return house.events(kind="access.refused", actor=actor)


def test_what_somebody_may_not_do_is_on_record_with_who_what_and_why(house: House) -> None:
    refused(house, "viewer", "POST", "/api/people")

    (event,) = noted(house, "one-viewer")
    assert event.subject == "person:one-viewer"
    assert event.body == {"name": "one-viewer", "permission": "admin", "route": "POST /people", "before": 0}
    assert event.reason is not None
    assert event.reason.startswith("one-viewer may not POST /people: that takes permission 'admin'")


def test_a_flood_of_attempts_is_one_event_a_minute_that_counts_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = house.store.clock()
    for seconds in (0, 1, 2, 59, 60, 61, 300):
        monkeypatch.setattr(house.store, "clock", lambda seconds=seconds: now + timedelta(seconds=seconds))
        refused(house, "worker", "POST", "/api/policies/prod")

    assert [event.body["before"] for event in noted(house, "one-worker")] == [0, 3, 1]


def test_each_actor_and_each_route_counts_for_itself(house: House) -> None:
    for role in ("gateway", "approver"):
        refused(house, role, "POST", "/api/people")
        refused(house, role, "POST", "/api/policies/prod")
        refused(house, role, "POST", "/api/policies/other")

    for role in ("gateway", "approver"):
        assert [event.body["route"] for event in noted(house, f"one-{role}")] == [
            "POST /people",
            "POST /policies/{name}",
        ]


def test_a_stranger_and_a_wrong_host_leave_no_event(house: House) -> None:
    before = len(house.events())

    house.http.post("/api/people", json={})
    house.ask("POST", "/api/people", headers={"Host": "evil.example"})

    assert len(house.events()) == before


def test_a_clock_that_is_set_back_does_not_silence_the_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = house.store.clock()
    for hours in (0, -2):
        monkeypatch.setattr(house.store, "clock", lambda hours=hours: now + timedelta(hours=hours))
        refused(house, "contributor", "POST", "/api/people")

    assert len(noted(house, "one-contributor")) == 2


def test_the_refusal_stands_even_if_it_cannot_be_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(house.store, "change", full)

    Refusals(house.store, route="GET /x", permission="read").note("ana", Forbidden("no."))
