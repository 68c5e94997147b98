# SPDX-License-Identifier: Apache-2.0
"""A long curve is thinned to real points, and loses neither its ends nor a spike."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.tracking import Point
from mainstay.lifecycle.tracking import logs
from mainstay.store import Store

AT = datetime(2013, 1, 1, tzinfo=UTC)


def keep(store: Store, run: str, values: list[float]) -> None:
    for start in range(0, len(values), 1000):
        some = enumerate(values[start : start + 1000], start)
        with store.ingest() as ingest:
            logs.log(ingest, run, metrics=[Point(key="loss", value=value, step=step, at=AT) for step, value in some])


def test_a_spike_survives_and_the_points_are_real(store: Store, run: str) -> None:
    values = [float(step % 7) for step in range(5000)]
    values[3333] = 99.0
    keep(store, run, values)

    with store.view() as view:
        found = logs.drawn(view, run, "loss", most=100)

    assert len(found) <= 100 and 99.0 in {point.value for point in found}
    assert all(values[point.step] == point.value for point in found)
    assert [point.step for point in found] == sorted(point.step for point in found)


def test_all_points_come_where_they_fit_and_a_part_of_the_steps_is_finer(store: Store, run: str) -> None:
    keep(store, run, [float(step) for step in range(5000)])

    with store.view() as view:
        few = logs.drawn(view, run, "loss", most=50)
        part = logs.drawn(view, run, "loss", most=50, since=1000, until=1039)

    assert len(few) <= 50
    assert [point.step for point in part] == list(range(1000, 1040))


def test_what_cannot_be_drawn_is_refused(store: Store, run: str, web: httpx.Client) -> None:
    with store.view() as view:
        assert logs.drawn(view, run, "nothing", most=10) == []
        with pytest.raises(NotFound):
            logs.drawn(view, "0" * 32, "loss", most=10)
        with pytest.raises(Invalid, match="from 2 to"):
            logs.drawn(view, run, "loss", most=1)

    made = web.post("/runs", json={"name": "drawn"}).json()["id"]
    web.post(f"/runs/{made}/log", json={"metrics": [{"key": "a/b", "value": n, "step": n} for n in range(100)]})
    answer = web.get(f"/runs/{made}/metrics/a/b", params={"points": 10, "since": 20}).json()
    assert len(answer["points"]) <= 10 and answer["points"][0]["step"] >= 20 and answer["next"] is None


def test_points_go_out_column_by_column_as_they_came_in(web: httpx.Client) -> None:
    made = web.post("/runs", json={"name": "columns"}).json()["id"]
    sent = {"key": "a/b", "steps": [2, 1, 3], "at_us": [20, 10, 30], "values": [0.5, "NaN", "-Infinity"]}
    web.post(f"/runs/{made}/points", json={"series": [sent, sent]})

    whole = web.get(f"/runs/{made}/points/a/b").json()
    part = web.get(f"/runs/{made}/points/a/b", params={"since": 2, "until": 2}).json()

    assert whole == {"key": "a/b", "steps": [1, 2, 3], "at_us": [10, 20, 30], "values": [None, 0.5, "-Infinity"]}
    assert (part["steps"], part["values"]) == ([2], [0.5])
    assert web.get(f"/runs/{'0' * 32}/points/a").status_code == 404
