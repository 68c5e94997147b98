# SPDX-License-Identifier: Apache-2.0
"""J1, a year in a minute, and J3, why did this prediction look different: asked of the records that the demo left."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mainstay.client.session import Session

PREDICTION = re.compile(r"mainstay why ([0-9a-f]{32})")


def said(year: Path) -> str:
    return (year.parent / "said.txt").read_text()


def ask(year: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mainstay", *words, "--workspace", str(year / ".mainstay")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_ends_with_a_table_of_ten_months_and_three_questions_to_ask(year: Path) -> None:
    end = said(year).partition("2013 as it went")[2]

    months = [m for m in ("Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec") if f"\n{m} " in end]
    assert len(months) == 10
    assert "mainstay live" in end and "(matches)" in end
    assert len(set(PREDICTION.findall(end))) == 3


def test_every_month_had_two_thousand_predictions_over_http_and_its_labels(records: Session) -> None:
    windows = records.get("/monitors/flights/windows")["items"]

    assert len(windows) == 10
    for window in windows:
        assert window["n_http"] >= 2000
        assert window["coverage"] > 0.9
        assert (
            window["performance"]["auc"]["lo"]
            < window["performance"]["auc"]["value"]
            < window["performance"]["auc"]["hi"]
        )
        assert window["estimate"]["auc"] is not None


def test_a_refusal_by_the_numbers_is_on_record_with_its_numbers(records: Session, year: Path) -> None:
    refused = [r["number"] for r in records.get("/releases", deployment="flights")["items"] if r["state"] == "refused"]

    if not refused:
        assert "No retrain was refused" in said(year)
    for number in refused:
        release = records.get(f"/releases/flights/{number}")
        failed = [gate for gate in release["gates"] if gate["verdict"] != "pass"]
        assert failed and all(gate["sentence"] and gate["rows"] > 1000 for gate in failed)
        assert release["rollout"] is None


def test_whatever_went_live_was_approved_by_somebody_who_did_not_make_it(records: Session) -> None:
    live = [
        records.get(f"/releases/flights/{r['number']}")
        for r in records.get("/releases", deployment="flights")["items"]
        if r["state"] in ("live", "superseded")
    ]

    assert len(live) >= 2
    for release in live:
        approvers = {a["actor"] for a in release["approvals"] if a["decision"] == "approve" and a["valid"]}
        assert approvers and not approvers & set(release["authors"])
        assert all(a["digest"] == release["digest"] for a in release["approvals"])


def test_each_retrain_after_the_first_went_live_by_canary_steps_with_evidence(records: Session) -> None:
    numbers = [
        r["number"] for r in records.get("/releases", deployment="flights")["items"] if r["state"] == "superseded"
    ]
    for number in [n for n in numbers if n > 1]:
        rollout = records.get(f"/releases/flights/{number}")["rollout"]
        assert rollout["kind"] == "canary" and rollout["state"] == "completed"
        assert {line["share"] for line in rollout["evidence"]} == {0.1, 0.5}
        assert all(line["canary"]["n"] >= rollout["min_predictions"] for line in rollout["evidence"])


def test_the_renamed_column_was_refused_and_then_known_by_its_alias(records: Session) -> None:
    dataset = records.get("/datasets/flights")

    assert len(dataset["snapshots"]) == 12
    assert len(dataset["refusals"]) == 1
    wind = next(c for c in dataset["contract"]["columns"] if c["name"] == "wind_speed")
    assert wind["aliases"] == ["wind_spd"]


def test_why_prints_the_whole_chain_with_times_and_actors(year: Path) -> None:
    for identity in PREDICTION.findall(said(year)):
        told = ask(year, "why", identity)

        assert told.returncode == 0, told.stderr
        for station in ("release flights#", "version flights-late/", "pipeline flights_late", "snapshot flights@",
                        "code flights.py:flights_late", "approved by", "better('auc'"):  # fmt: skip
            assert station in told.stdout
        assert "UNKNOWN" not in told.stdout


def test_why_with_verify_hashes_everything_on_the_way_and_finds_it_whole(records: Session, year: Path) -> None:
    identity = PREDICTION.findall(said(year))[0]

    chain = records.get(f"/why/prediction:{identity}", verify="true")

    assert chain["chain_ok"] is True
    checked = [step for step in chain["steps"] if step["kind"] in ("version", "snapshot", "gate", "approval")]
    assert checked and all(step["verified"] for step in checked)


def test_every_decision_says_why_or_why_not_and_what_caused_it(records: Session) -> None:
    decisions = records.get("/decisions")["items"]

    assert len(decisions) == 10
    for decision in decisions:
        assert decision["sentence"] and decision["facts"]
        assert decision["because"] is not None
    assert {"start", "hold"} <= {decision["outcome"] for decision in decisions}


def test_the_ledger_verifies(year: Path) -> None:
    told = ask(year, "audit", "verify", "--json")

    assert told.returncode == 0
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["ok"] and found["events"] == found["head"]["seq"] > 100


def test_the_same_demo_again_finds_everything_done(year: Path) -> None:
    command = [sys.executable, "-m", "mainstay", "demo", "--exit", "--folder", str(year)]
    before = ask(year, "audit", "verify", "--json").stdout

    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert again.returncode == 0, again.stderr
    assert "2013 as it went" in again.stdout
    grown = json.loads(ask(year, "audit", "verify", "--json").stdout)["events"] - json.loads(before)["events"]
    assert grown < 20  # people and tokens of the processes that started; nothing of the year happens twice
