# SPDX-License-Identifier: Apache-2.0
"""The head of a page, and where a word leads: what stands beside the loop has a place in it, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import NotFound
from mainstay.domain.events.pipelines import ScheduleFired
from mainstay.engine import references as systems

BACKFILL = {"pipeline": "flights.py:flow", "since": "2024-01-01", "until": "2024-01-08"}
VIEW = {
    "definition": {"name": "usage", "entity": ["meter"], "time": "at", "available_after": "1h", "ttl": "30d",
                   "columns": [["peak", "float"]]},
    "closure": "c" * 64,
    "entity": [{"name": "meter", "type": "str"}],
    "columns": [{"name": "peak", "type": "float"}],
    "entry": "flights.py:usage",
}  # fmt: skip


@pytest.fixture
def worked(workspace: Any) -> Any:
    """A pipeline that has run, and what is declared beside it."""
    workspace.run()
    workspace.session.post(
        "/schedules",
        {"name": "nightly", "pipeline": "flights.py:flow", "cron": "0 3 * * *", "reason": "it is fresh then"},
    )
    workspace.session.post("/backfills", BACKFILL)
    workspace.session.post("/features", VIEW)
    return workspace


def lit(about: dict[str, Any]) -> list[tuple[str, str]]:
    return [(station["station"], station["name"]) for station in about["ribbon"] if station["here"]]


def text(about: dict[str, Any]) -> str:
    return "".join(piece["text"] for piece in about["because"])


def test_a_schedule_stands_at_its_pipeline_and_says_why_it_is_there(worked: Any) -> None:
    about = worked.session.get("/about", subject="schedule:nightly")

    assert lit(about) == [("pipeline", "flow")]
    assert about["state"] == "active" and about["copy"]["cli"] == "mainstay schedules show nightly"
    assert text(about).startswith("Declared by ") and text(about).endswith("(it is fresh then).")


def test_a_run_stands_beside_the_snapshot_that_it_made_and_a_pipeline_is_as_its_newest_run(worked: Any) -> None:
    run = worked.session.get("/runs", kind="pipeline")["items"][0]["id"]

    of_run = worked.session.get("/about", subject=f"run:{run}")
    of_pipeline = worked.session.get("/about", subject="pipeline:flow")

    assert of_run["ribbon"][0]["subject"] == "snapshot:flights@1"
    assert [station["state"] for station in of_pipeline["ribbon"][:3]] == ["ok", "succeeded", "succeeded"]
    assert text(of_pipeline).startswith(f"Run {run[:12]} was finished by ")
    assert {event["subject"] for event in of_pipeline["timeline"]} == {f"run:{run}"}


def test_a_dataset_stands_beside_what_was_made_of_it_last_though_newer_rows_have_come(worked: Any) -> None:
    ask, digest = worked.session, worked.session.put_blob(b"model")
    ask.post("/models", {"name": "late"})
    signature = {"inputs": [], "output": {"type": "regression"}}
    ask.post("/models/late/versions", {"run_id": ask.get("/runs", kind="pipeline")["items"][0]["id"], "format": "sklearn",
                                       "files": {"model.skops": digest}, "environment": {}, "signature": signature,
                                       "metrics": {}, "snapshots": [{"id": "flights@1", "role": "train"}]})  # fmt: skip
    worked.run(n=120)

    ribbon = ask.get("/about", subject="dataset:flights")["ribbon"]

    assert [station["subject"] for station in (ribbon[0], ribbon[3])] == ["snapshot:flights@2", "version:late/1"]


def test_what_is_not_kept_as_it_was_is_seen_in_every_ribbon_behind_it(worked: Any, tmp_path: Path) -> None:
    (tmp_path / "towns.csv").write_text("town\nUlm\n")
    manifest = worked.session.put_blob(systems.pin("source", str(tmp_path / "towns.csv"), None).manifest())
    worked.session.post("/datasets", {"name": "towns", "owner": worked.session.get("/me")["actor"]})
    worked.session.post("/datasets/towns/snapshots", {"blob": manifest, "format": "reference", "source": "towns.csv"})

    about = worked.session.get("/about", subject="dataset:towns")

    assert (about["state"], about["ribbon"][0]["state"]) == ("watch", "watch")


def test_what_keeps_a_subject_busy_does_not_hide_why_it_is_there(worked: Any) -> None:
    with worked.app.store.change(actor="clock", reason="it is time") as change:
        for _ in range(60):
            change.record(
                ScheduleFired(name="nightly", logical_time="2024-01-01T03:00:00Z", pipeline="flow", params={})
            )

    assert text(worked.session.get("/about", subject="schedule:nightly")).startswith("Declared by ")


def test_a_backfill_and_a_view_stand_where_they_belong(worked: Any) -> None:
    identity = worked.session.get("/backfills")["items"][0]["backfill"]["id"]

    backfill = worked.session.get("/about", subject=f"backfill:{identity}")
    view = worked.session.get("/about", subject="view:usage")
    contract = worked.session.get("/about", subject="contract:flights")

    assert lit(backfill) == [("pipeline", "flow")] and backfill["state"] == "running"
    assert lit(view) == [("data", "usage")] and view["state"] == "unknown"
    assert view["ribbon"][0]["href"] == "/features/usage"
    assert lit(contract) == [("data", "flights@1")] and contract["state"] == "version 1"
    with pytest.raises(NotFound):
        worked.session.get("/about", subject="schedule:daily")


@pytest.mark.parametrize(
    ("word", "subject", "href"),
    [
        ("nightly", "schedule:nightly", "/schedules/nightly"),
        ("flow", "pipeline:flow", "/pipelines/flow"),
        ("usage", "view:usage", "/features/usage"),
        ("contract fl", "contract:flights", "/datasets/flights?tab=contract"),
    ],
)
def test_a_word_leads_to_what_stands_beside_the_loop(worked: Any, word: str, subject: str, href: str) -> None:
    first = worked.session.get("/search", q=word)["items"][0]

    assert (first["subject"], first["href"]) == (subject, href)


def test_a_backfill_is_found_by_its_pipeline_and_told_with_its_days(worked: Any) -> None:
    found = worked.session.get("/search", q="flights.py:flow")["items"]

    assert [each["title"] for each in found] == ["backfill flights.py:flow 2024-01-01 to 2024-01-08"]
