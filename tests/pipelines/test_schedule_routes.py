# SPDX-License-Identifier: Apache-2.0
"""Schedules and backfills over HTTP."""

from __future__ import annotations

import httpx

NIGHTLY = {"name": "nightly", "pipeline": "flights.py:late", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
JANUARY = {
    "pipeline": "flights.py:late",
    "since": "2013-01-01",
    "until": "2013-01-04",
    "params": {"day": "{partition}"},
}


def test_a_schedule_is_declared_shown_paused_resumed_and_removed(web: httpx.Client) -> None:
    made = web.post("/schedules", json=NIGHTLY | {"params": {"until": "{date}"}, "reason": "every night"})

    assert made.status_code == 201
    shown = web.get("/schedules/nightly").json()
    assert shown["schedule"] == made.json() == web.get("/schedules").json()["items"][0]
    assert (made.json()["state"], made.json()["catch_up"], shown["firings"]) == ("active", "latest", [])
    assert shown["next"][0] == made.json()["next_at"]
    assert len(web.get("/schedules/nightly/next", params={"limit": 3}).json()["items"]) == 3
    assert web.post("/schedules/nightly/pause").json()["next_at"] is None
    assert web.post("/schedules/nightly/pause").status_code == 409
    assert web.post("/schedules/nightly/resume").json()["state"] == "active"
    assert web.post("/schedules/nightly/remove").status_code == 200
    assert web.get("/schedules/nightly").status_code == web.get("/schedules/nightly/next").status_code == 404
    assert web.get("/schedules").json() == {"items": []}


def test_a_schedule_that_cannot_be_says_why(web: httpx.Client) -> None:
    for more in ({"cron": "often"}, {"timezone": "Moon"}, {"every": "6h"}, {"catch_up": "x"}, {"unheard": 1}):
        refused = web.post("/schedules", json=NIGHTLY | more)
        assert refused.status_code == 422, more
    assert web.post("/schedules", json=NIGHTLY | {"owner": "nobody"}).status_code == 404


def test_a_backfill_is_foreseen_started_paged_and_cancelled(web: httpx.Client) -> None:
    foreseen = web.post("/backfills/preview", json=JANUARY).json()["items"]
    assert [each["params"] for each in foreseen] == [{"day": f"2013-01-0{n}"} for n in (1, 2, 3)]
    assert web.get("/backfills").json()["items"] == []

    made = web.post("/backfills", json=JANUARY)

    assert (made.status_code, made.json()["counts"]) == (201, {"waiting": 3})
    path = f"/backfills/{made.json()['backfill']['id']}"
    first = web.get(f"{path}/partitions", params={"limit": 2}).json()
    rest = web.get(f"{path}/partitions", params={"limit": 2, "after": first["next"]}).json()
    assert [each["partition"] for each in first["items"] + rest["items"]] == ["2013-01-01", "2013-01-02", "2013-01-03"]
    assert rest["next"] is None
    assert web.post(f"{path}/cancel").json()["counts"] == {"cancelled": 3}
    assert web.get(path).json()["backfill"]["state"] == "cancelled"
    assert web.get("/backfills/unheard/partitions").status_code == 404
