# SPDX-License-Identifier: Apache-2.0
"""Runs over HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest

from mainstay.domain import ids


def start(web: httpx.Client, **facts: Any) -> str:
    answer = web.post("/runs", json={"name": "train", **facts})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_how_the_machine_fared_comes_behind_what_was_measured(web: httpx.Client) -> None:
    run = start(web, experiment="machines")
    metrics = [{"key": key, "value": 1.0} for key in ("system/cpu", "zeta", "auc")]
    web.post(f"/runs/{run}/log", json={"metrics": metrics})

    assert list(web.get(f"/runs/{run}").json()["metrics"]) == ["auc", "zeta", "system/cpu"]
    listed = web.get("/runs", params={"experiment": "machines"}).json()["items"]
    assert list(listed[0]["metrics"]) == ["auc", "zeta", "system/cpu"]


def test_a_run_tells_all_that_was_said_of_it(web: httpx.Client) -> None:
    plot = hashlib.sha256(b"plot").hexdigest()
    web.put(f"/blobs/{plot}", content=b"plot")
    run = start(web, experiment="late", params={"depth": 6}, environment={"python": "3.11"}, reason="curious")
    metrics = [{"key": "val/auc", "value": 0.5 + n / 10, "step": n, "at": "2013-01-01T00:00:00Z"} for n in range(3)]

    logged = web.post(f"/runs/{run}/log", json={"params": {"rate": 0.1}, "metrics": metrics, "tags": {"team": "ops"}})
    artifact = {"path": "plots/roc.png", "digest": plot, "size": 4, "media_type": "image/png"}
    named = web.post(f"/runs/{run}/artifacts", json=artifact)
    linked = web.post(
        f"/runs/{run}/links", json={"outputs": [{"name": "plot", "kind": "png", "digest": plot, "size": 4}]}
    )
    ended = web.post(f"/runs/{run}/finish", json={"state": "succeeded"})

    assert [answer.status_code for answer in (logged, named, linked, ended)] == [200, 201, 200, 200]
    shown = web.get(f"/runs/{run}").json()
    assert shown | ended.json() == shown
    assert (shown["experiment"], shown["state"], shown["reason"]) == ("late", "succeeded", "curious")
    assert (shown["params"], shown["metrics"], shown["tags"]) == (
        {"depth": 6, "rate": 0.1},
        {"val/auc": 0.7},
        {"team": "ops"},
    )
    assert shown["artifacts"] == [artifact]
    assert shown["outputs"] == [{"kind": "artifact", "ref": plot, "name": "plot"}]
    assert shown["environment"]["python"] == "3.11"
    points = web.get(f"/runs/{run}/metrics/val/auc").json()["points"]
    assert [(point["step"], point["value"]) for point in points] == [(0, 0.5), (1, 0.6), (2, 0.7)]


def test_history_pages_by_its_own_token(web: httpx.Client) -> None:
    run = start(web)
    web.post(f"/runs/{run}/log", json={"metrics": [{"key": "loss", "value": n / 7, "step": n} for n in range(7)]})

    found, after = [], None
    while True:
        page = web.get(f"/runs/{run}/metrics/loss", params={"limit": 3} | ({"after": after} if after else {})).json()
        found += [point["step"] for point in page["points"]]
        after = page["next"]
        if after is None:
            break

    assert found == list(range(7))
    assert web.get(f"/runs/{run}/metrics/loss", params={"after": "x"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"metrics":[{"key":"auc","value":NaN}]}', 400),
        (b'{"metrics":[{"key":"auc","value":1e999}]}', 400),
        (b'{"metrics":[{"key":"auc","value":"0.5"}]}', 422),
        (b'{"metrics":[{"key":"auc","value":"inf"}]}', 422),
        (b'{"metrics":[{"key":"auc","value":1,"step":9223372036854775808}]}', 400),
        (b'{"metrics":[{"key":"auc","value":1,"at":"noon"}]}', 422),
        (b'{"metrics":[{"key":"","value":1}]}', 422),
        (b'{"params":{"a":1},"params":{"a":2}}', 400),
        (b'{"tags":{"a":1}}', 422),
        (b'{"metric":[]}', 422),
        (b"[]", 400),
    ],
)
def test_a_bad_log_is_one_clear_error_and_leaves_nothing(web: httpx.Client, body: bytes, status: int) -> None:
    run = start(web)

    answer = web.post(f"/runs/{run}/log", content=body)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    shown = web.get(f"/runs/{run}").json()
    assert (shown["params"], shown["metrics"], shown["tags"]) == ({}, {}, {})


def test_another_value_for_a_parameter_is_409(web: httpx.Client) -> None:
    run = start(web, params={"depth": 6})

    assert web.post(f"/runs/{run}/log", json={"params": {"depth": 6}}).status_code == 200
    assert web.post(f"/runs/{run}/log", json={"params": {"depth": 7}}).status_code == 409


def test_a_run_that_has_ended_is_closed(web: httpx.Client) -> None:
    run = start(web)
    web.post(f"/runs/{run}/finish", json={"state": "failed", "error": "no column"})

    assert web.post(f"/runs/{run}/log", json={"metrics": [{"key": "a", "value": 1}]}).status_code == 409
    assert web.post(f"/runs/{run}/finish", json={"state": "succeeded"}).status_code == 409
    assert web.get(f"/runs/{run}").json()["error"] == "no column"


def test_runs_are_listed_filtered_and_paged(web: httpx.Client) -> None:
    made = [start(web, experiment="paging", params={"n": n}) for n in range(3)]

    first = web.get("/runs", params={"experiment": "paging", "limit": 2}).json()
    rest = web.get("/runs", params={"experiment": "paging", "limit": 2, "after": first["next"]}).json()
    chosen = web.get("/runs", params={"filter": "params.n = 1", "experiment": "paging"}).json()

    assert [run["id"] for run in first["items"] + rest["items"]] == made[::-1]
    assert [(run["id"], run["params"], run["experiment"]) for run in chosen["items"]] == [(made[1], {"n": 1}, "paging")]
    assert web.get("/runs", params={"filter": "what?"}).status_code == 422
    assert web.get("/runs", params={"experiment": "none"}).status_code == 404
    assert web.get("/runs", params={"state": ""}).status_code == 200
    assert web.get(f"/runs/{'0' * 32}").status_code == 404


def test_experiments_are_listed_and_made_once(web: httpx.Client) -> None:
    made = web.post("/experiments", json={"name": "a question"})

    assert (made.status_code, web.post("/experiments", json={"name": "a question"}).status_code) == (201, 409)
    items = web.get("/experiments").json()["items"]
    assert (items[0]["id"], items[0]["name"]) == (0, "Default")
    assert made.json() in items


def test_a_run_that_is_begun_again_under_its_id_is_the_same_run(web: httpx.Client) -> None:
    identity = ids.uuid7()
    first = web.post("/runs", json={"name": "train", "id": identity, "params": {"depth": 6}})
    again = web.post("/runs", json={"name": "train", "id": identity, "params": {"depth": 6}})
    other = web.post("/runs", json={"name": "test", "id": identity})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == first.json()
    events = web.get("/events", params={"subject": f"run:{identity}"}).json()["items"]
    assert [event["kind"] for event in events] == ["run.started"]
    assert web.post("/runs", json={"name": "train", "id": "mine"}).status_code == 422


def test_many_points_come_column_by_column(web: httpx.Client) -> None:
    run = start(web)
    at_us = 1_356_998_400_000_000
    series = [
        {"key": "loss", "steps": [2, 0, 1], "at_us": [at_us, at_us + 1, at_us], "values": [0.1, 3, 0.5]},
        {"key": "auc", "steps": [0], "at_us": [at_us], "values": [0.7]},
        {"key": "loss", "steps": [1], "at_us": [at_us + 9], "values": [0.4]},
        {"key": "none", "steps": [], "at_us": [], "values": []},
    ]

    told = [web.post(f"/runs/{run}/points", json={"series": series}).json() for _ in range(2)]

    assert told == [{"points": 5}] * 2
    points = web.get(f"/runs/{run}/metrics/loss").json()["points"]
    assert [(point["step"], point["value"]) for point in points] == [(0, 3.0), (1, 0.5), (1, 0.4), (2, 0.1)]
    assert points[0]["at"] == "2013-01-01T00:00:00.000001Z"
    assert web.get(f"/runs/{run}").json()["metrics"] == {"auc": 0.7, "loss": 0.1}


COLUMNS: dict[str, Any] = {"key": "loss", "steps": [0], "at_us": [0], "values": [0.5]}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"key": "../up"}, 422),
        ({"steps": [0, 1]}, 422),
        ({"values": []}, 422),
        ({"values": [None]}, 422),
        ({"values": [True]}, 422),
        ({"values": ["0.5"]}, 422),
        ({"steps": [0.5]}, 422),
        ({"steps": [1 << 63]}, 400),
        ({"at_us": [-1]}, 422),
        ({"at_us": [253_402_300_800_000_000]}, 422),
        ({"steps": [0] * 50_001, "at_us": [0] * 50_001, "values": [0] * 50_001}, 413),
        ({"more": 1}, 422),
    ],
)
def test_bad_columns_are_one_clear_error_and_leave_nothing(
    web: httpx.Client, changed: dict[str, Any], status: int
) -> None:
    run = start(web)

    answer = web.post(f"/runs/{run}/points", json={"series": [{**COLUMNS, "key": "good"}, COLUMNS | changed]})

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert web.get(f"/runs/{run}").json()["metrics"] == {}


def test_points_of_a_run_that_has_ended_are_409_until_it_is_reopened(web: httpx.Client) -> None:
    run = start(web)
    web.post(f"/runs/{run}/finish", json={"state": "succeeded"})

    refused = web.post(f"/runs/{run}/points", json={"series": [COLUMNS]})
    reopened = web.post(f"/runs/{run}/reopen", json={"reason": "more epochs"})
    taken = web.post(f"/runs/{run}/points", json={"series": [COLUMNS]})

    assert [answer.status_code for answer in (refused, reopened, taken)] == [409, 200, 200]
    assert reopened.json()["state"] == "running"
    assert web.post(f"/runs/{run}/finish", json={"state": "succeeded", "ended_at": "noon"}).status_code == 422
