# SPDX-License-Identifier: Apache-2.0
"""Monitoring and triggers as a client meets them: the same verbs behind a token, and errors with their kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from live_house import LiveHouse, month
from seasons import follow

from mainstay.client.inprocess import URL, InProcess


@pytest.fixture
def client(house: LiveHouse) -> Iterator[httpx.Client]:
    transport = InProcess(house.folder, loops=False)
    headers = {"Authorization": f"Bearer {transport.token}"}
    with httpx.Client(transport=transport, base_url=URL, headers=headers) as client:
        yield client


def get(client: httpx.Client, path: str) -> Any:
    answer = client.get(f"/api{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(client: httpx.Client, path: str, body: dict[str, Any], status: int = 200) -> Any:
    answer = client.post(f"/api{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def missing(columns: dict[str, Any]) -> None:
    columns["z"][::4] = np.nan


def test_a_month_from_declaration_to_decision_over_http(house: LiveHouse, client: httpx.Client) -> None:
    monitor = {"name": "flights", "deployment": "flights", "owner": "ana", "window": "1mo", "review": "7d"}
    assert post(client, "/monitors", monitor, 201)["state"] == "unknown"
    trigger = {
        "name": "flights-retrain",
        "deployment": "flights",
        "when": "performance_drop",
        "pipeline": "flights.py:flights_late",
        "owner": "ana",
        "mode": "auto",
    }
    assert post(client, "/triggers", trigger, 201)["when"] == "performance_drop"
    house.tell(house.predict(month(4), 27, 1_500, spoil=missing))

    [judged] = post(client, "/monitors/flights/judge", {"until": "2013-05-01", "reason": "April is complete"})["items"]
    follow(house)

    [window] = get(client, "/monitors/flights/windows")["items"]
    assert (window["id"], window["since"], window["n"], window["coverage"]) == (
        "2013-04-01",
        "2013-04-01T00:00:00Z",
        1_500,
        1.0,
    )
    assert (
        window["performance"]["auc"]["lo"] < window["performance"]["auc"]["value"] < window["performance"]["auc"]["hi"]
    )
    assert window["performance"]["reference"]["auc"] > 0.7
    assert window["drift"]["columns"][0]["name"] == "z"
    assert window["latency"]["p50"] == 2.0 and window["errors"]["rate"] == 0.0
    assert (window["release"], window["version"]) == ("flights#1", "late/1")
    assert window["decision"]["outcome"] == "hold"
    assert judged["digest"] == window["digest"]
    [alert] = [alert for alert in get(client, "/alerts?state=open")["items"] if alert["key"] == "fault:null"]
    assert (alert["owner"], alert["count"], alert["window_id"]) == ("ana", 1, "2013-04-01")
    column = get(client, "/monitors/flights/windows/2013-04-01/columns/z")
    assert column["window"]["null_share"] == 0.25
    [decision] = get(client, "/decisions")["items"]
    assert get(client, f"/decisions/{decision['id']}")["facts"]["performance_drop"] is False
    shown = get(client, "/monitors/flights")
    assert shown["baseline"]["rows"] == 12_000 and shown["alerts"] >= 1


def test_people_act_on_alerts_and_reviews_over_http(house: LiveHouse, client: httpx.Client) -> None:
    house.predict(month(4), 27, 500, spoil=missing)
    post(client, "/monitors/flights/judge", {"until": "2013-05-01"})
    alert = get(client, "/alerts")["items"][0]["id"]

    assert post(client, f"/alerts/{alert}/acknowledge", {})["state"] == "acknowledged"
    assert post(client, f"/alerts/{alert}/resolve", {"reason": "mended", "cause": "pipe"})["state"] == "resolved"
    assert [line["kind"] for line in get(client, f"/alerts/{alert}")["history"]] == [
        "alert.opened",
        "alert.acknowledged",
        "alert.resolved",
    ]
    review = post(client, "/monitors/flights/reviews", {"decision": "keep", "note": "fine"}, 201)
    assert get(client, "/monitors/flights")["reviews"][0]["id"] == review["id"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/monitors/none/judge", {}, 404),
        ("/monitors/flights/judge", {"until": "tomorrow"}, 422),
        ("/monitors/flights/judge", {"untill": "2013-05-01"}, 422),
        ("/monitors", {"name": "m", "deployment": "flights", "owner": "ana", "window": "2h"}, 422),
        ("/monitors", {"name": "m", "deployment": "none", "owner": "ana"}, 404),
        ("/alerts/none/acknowledge", {}, 404),
        ("/triggers/none/ask", {}, 404),
        ("/decisions/none/accept", {}, 404),
        ("/triggers", {"name": "t", "deployment": "flights", "when": "x y", "pipeline": "a.py:b", "owner": "ana"}, 422),
    ],
)
def test_a_wrong_request_gets_one_sentence(client: httpx.Client, path: str, body: dict[str, Any], status: int) -> None:
    error = post(client, path, body, status)["error"]

    assert error["message"].rstrip().endswith((".", "…", "}"))


@pytest.mark.parametrize("data", [b"[1]", b"{", b'"x"', b'{"until": 7}'])
def test_a_judge_request_that_is_no_object_is_refused(client: httpx.Client, data: bytes) -> None:
    answer = client.post("/api/monitors/flights/judge", content=data, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422), answer.text
