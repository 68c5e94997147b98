# SPDX-License-Identifier: Apache-2.0
"""Feature views as typed: listed, run on their own here or by a worker, and kept fresh by a schedule."""

from __future__ import annotations

import json

import pytest

from mainstay.engine import worker
from mainstay.engine.worker import Worker, work_once

SHOP = """
import datetime as dt
import pyarrow as pa
import mainstay as ms

@ms.step
def payments() -> pa.Table:
    days = [dt.datetime(2024, 1, day, tzinfo=dt.timezone.utc) for day in (1, 2, 3)]
    return pa.table({"who": [1, 2, 1], "at": days, "total": [1.0, 2.0, 3.0]})

@ms.feature_view(entity="who", time="at", available_after="1h", source="payments")
def spend(tx: pa.Table) -> pa.Table:
    return tx

@ms.feature_view(entity="who", time="at")
def nowhere(tx: pa.Table) -> pa.Table:
    return tx

@ms.pipeline
def flow():
    ms.snapshot("payments", payments())
"""


@pytest.fixture
def mainstay(type_at, fresh_house):
    (fresh_house.folder / "shop.py").write_text(SHOP)
    return type_at(fresh_house)


def test_a_view_is_run_on_its_own_and_shown_with_what_is_known(mainstay) -> None:
    assert mainstay("features", "list").out.startswith("No feature view yet.")
    assert mainstay("features", "materialise", "shop.py:spend").status == 1  # there is no such dataset yet
    assert mainstay("run", "shop.py:flow").status == 0

    made = mainstay("features", "materialise", "shop.py:spend", "--as-of", "2024-01-02T12:00:00Z", "-m", "fresh")

    assert made.status == 0, made
    online = json.loads(mainstay("features", "show", "spend", "--json").out)["versions"][0]["online"]
    assert (online["rows"], online["watermark"]) == (2, "2024-01-02T12:00:00Z")
    assert "2024-01-02 12:00 UTC" in mainstay("features", "list").out
    shown = mainstay("features", "show", "spend").out
    assert "who (int)" in shown and "total" in shown and "for ever" in shown
    row = json.loads(mainstay("features", "lookup", "spend", "who=1", "--json").out)
    assert (row["items"], row["state"]) == ([{"who": 1, "at": "2024-01-01T00:00:00Z", "total": 1.0}], "fresh")
    told = mainstay("features", "lookup", "spend", "who=1").out
    assert "it counts" in told and "age" in told and "for ever" in told
    assert "there is no row of it: null" in mainstay("features", "lookup", "spend", "who=9").out
    assert "write the entity as COLUMN=VALUE" in mainstay("features", "lookup", "spend", "9").err
    again = mainstay("features", "materialise", "shop.py:spend", "--as-of", "2024-01-02")
    assert (again.status, "would take back what happened since" in again.err) == (1, True)


def test_a_worker_runs_a_view_by_its_name_and_a_schedule_keeps_it_fresh(mainstay, fresh_house, monkeypatch) -> None:
    run = worker.run_pipeline.run
    house = fresh_house
    monkeypatch.setattr(
        worker.run_pipeline, "carry_out", lambda body, *, folder, **_: run(house.connect(), body, folder)
    )
    refused = mainstay("features", "materialise", "spend")
    assert (refused.status, "`mainstay features materialise shop.py:spend` runs it here" in refused.err) == (1, True)

    job = house.connect().post("/features/spend/materialise", {"reason": "by hand"})
    assert work_once(Worker(platform=house.connect(), folder=house.folder))

    done = house.get(f"/jobs/{job['id']}")
    assert done["state"] == "done", done
    tables = house.get("/features/spend/online")["items"]
    assert [each["sequence"] for each in tables] == [2, 1]
    assert tables[0]["run_id"] == done["result"]["run_id"]
    assert house.connect().post("/features/spend/lookup", {"entity": {"who": 1}})["items"][0]["total"] == 3.0
    assert (
        mainstay("schedules", "add", "spend", "shop.py:spend", "--every", "1h", "--param", "as_of={until}").status == 0
    )
    assert mainstay("schedules", "remove", "spend").status == 0


def test_a_view_without_a_source_cannot_be_run_and_a_pipeline_is_no_view(mainstay) -> None:
    without = mainstay("features", "materialise", "shop.py:nowhere")
    pipeline = mainstay("features", "replay", "shop.py:flow", "--deployment", "trips")
    unserved = mainstay("features", "replay", "shop.py:spend", "--deployment", "trips")

    assert (without.status, "names no source" in without.err) == (1, True)
    assert (pipeline.status, "is a pipeline; name a feature view" in pipeline.err) == (1, True)
    assert (unserved.status, "no deployment 'trips'" in unserved.err) == (1, True)
