# SPDX-License-Identifier: Apache-2.0
"""``mainstay runs sync``: what was recorded offline arrives, once, and what does not is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mainstay as ms
from mainstay.client import spool
from mainstay.client.spool import Request


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_CAPTURE_CODE", "0")
    monkeypatch.setenv("MAINSTAY_SYSTEM_METRICS", "0")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder somewhere else, in which a run was recorded; the run's id."""
    monkeypatch.setenv("MAINSTAY_WORKSPACE", str(tmp_path / "elsewhere" / ".mainstay"))
    with ms.run("far", offline=True) as run:
        ms.log_metric("loss", 0.5)
    run._outbox.close()
    monkeypatch.delenv("MAINSTAY_WORKSPACE")
    return run.id


def test_what_was_recorded_offline_is_delivered_once(type_at, fresh_house, offline: str, tmp_path: Path) -> None:
    mainstay = type_at(fresh_house)

    told = mainstay("runs", "sync", str(tmp_path / "elsewhere"))
    again = mainstay("runs", "sync", str(tmp_path / "elsewhere" / ".mainstay"))
    here = mainstay("runs", "sync", "--json")

    assert (told.status, offline in told.out) == (0, True)
    assert again.out.startswith("Nothing waits here")
    assert json.loads(here.out) == {"items": []}
    assert fresh_house.get(f"/runs/{offline}")["metrics"] == {"loss": 0.5}
    assert not list((tmp_path / "elsewhere" / ".mainstay" / "outbox").iterdir())


def test_what_is_refused_or_meant_for_another_server_is_said(type_at, fresh_house, tmp_path: Path) -> None:
    for target, body in ((None, b'{"name": ""}'), ("https://other.example", b'{"name": "x"}')):
        kept = spool.make(tmp_path, target)
        kept.append(Request(key="k", run="0" * 32, path="/runs", body=body))
        kept.release()
    mainstay = type_at(fresh_house)

    told = json.loads(mainstay("runs", "sync", str(tmp_path), "--json").out)["items"]
    in_words = mainstay("runs", "sync", str(tmp_path)).out

    assert [(each["requests"], each["refused"], each["elsewhere"]) for each in told] == [
        (1, 1, None),
        (0, 0, "https://other.example"),
    ]
    assert "https://other.example" in in_words
    assert mainstay("runs", "sync", str(tmp_path / "none")).status == 2


def test_a_run_shows_the_runs_inside_it_and_hides_how_the_machine_fared(type_at, fresh_house) -> None:
    with ms.run("around", kind="sweep", session=fresh_house.connect()) as around:
        ms.log_metrics({"best": 0.25, "system/cpu_percent": 83.0})
        with ms.run("within", parent=around.id, session=around._outbox.session):
            ms.log_metric("loss", 0.25)
    around._outbox.close()
    mainstay = type_at(fresh_house)

    shown, listed = mainstay("runs", "show", "around"), mainstay("runs", "list", "--kind", "sweep")

    assert "runs inside" in shown.out
    assert "within" in shown.out
    assert "best 0.25" in listed.out
    assert "cpu_percent" not in listed.out
