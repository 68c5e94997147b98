# SPDX-License-Identifier: Apache-2.0
"""One definition of a feature: in training, behind a live model, compared, changed, and taken back with its release."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import House, until

SHOP = """
    import datetime as dt
    import numpy as np
    import pyarrow as pa
    import mainstay as ms
    from sklearn.linear_model import LogisticRegression

    FACTOR = 1.0
    NAMES = ("basket", "total", "unusual")

    def day(n):
        return dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(days=float(n))

    @ms.step
    def payments() -> pa.Table:
        random = np.random.default_rng(1)
        n = 600
        whose = random.integers(0, 40, n)
        return pa.table({"customer": whose, "at": [day(x) for x in np.sort(random.uniform(0, 90, n))],
                         "amount": random.gamma(2, 10, n), "shop": [f"s{x % 3}" for x in whose]})

    @ms.feature_view(entity="customer", time="at", available_after="1h", ttl="3650d", source="payments",
                     schema={"total": float, "n": int, "shop": str})
    def spend(tx: pa.Table) -> pa.Table:
        rows, sums, counts = tx.to_pylist(), {}, {}
        made = []
        for row in rows:
            who = row["customer"]
            sums[who] = sums.get(who, 0.0) + row["amount"] * FACTOR
            counts[who] = counts.get(who, 0) + 1
            made.append({"customer": who, "at": row["at"], "total": sums[who], "n": counts[who], "shop": row["shop"]})
        return pa.Table.from_pylist(made)

    @ms.on_request
    def per_payment(total: float, n: int) -> float:
        return total / n * FACTOR

    @ms.on_request(time="now")
    def unusual(basket: float, per_payment: float, now: dt.datetime, day_of_month: int) -> float:
        return basket - per_payment + (1.0 if now.year > 2000 else 0.0) * day_of_month

    @ms.step
    def labels(first: int, n: int) -> pa.Table:
        random = np.random.default_rng(first)
        basket = random.gamma(2, 5, n)
        return pa.table({"customer": random.integers(0, 45, n), "asked": [day(60 + x) for x in random.uniform(0, 30, n)],
                         "basket": basket, "day_of_month": random.integers(1, 29, n),
                         "late": (basket + random.normal(0, 3, n) > 10).astype(int)})

    @ms.step
    def train(table: pa.Table) -> LogisticRegression:
        x = np.nan_to_num(np.column_stack([table[name].to_numpy().astype(float) for name in NAMES]))
        return LogisticRegression().fit(x, table["late"].to_numpy())

    @ms.step
    def cleaned(table: pa.Table) -> pa.Table:
        return table.filter(pa.compute.is_valid(table["total"]))

    @ms.pipeline
    def flow():
        tx = ms.snapshot("payments", payments())
        learnt = cleaned(ms.get_training(labels(1, 400), [spend.of(tx), per_payment, unusual], time="asked"))
        judged = cleaned(ms.get_training(labels(2, 200), [spend.of(tx), per_payment, unusual], time="asked"))
        ms.register("late-payer", train(learnt), holdout=judged, target="late", features=list(NAMES),
                    nullable=[])
"""


@pytest.fixture(scope="module")
def project(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(textwrap.dedent(SHOP))
    house.say("run", f"{folder}/shop.py:flow")
    return folder


def release(house: House, version: int) -> None:
    house.say("release", f"late-payer@{version}", "--to", "payers", "-m", "better", "--wait")
    until(lambda: house.session.get("/deployments/payers")["agrees"])


def served(house: House) -> list[dict[str, Any]]:
    """The whole log, the newest first."""
    return list(house.session.get("/predictions", deployment="payers", limit=100)["items"])


def test_the_version_pins_its_view_and_waits_for_what_it_is_answered_from(house: House, project: Path) -> None:
    rules = {"strategy": "direct", "steps": [100]}
    house.session.post("/policies/open", {"gates": ["latency_p95_ms <= 5000.0"], "approvals": {"count": 0}})
    me = house.session.get("/me")["actor"]
    place = {"name": "payers", "environment": "prod", "model": "late-payer", "owner": me, "policy": "open"}
    house.session.post("/deployments", place | {"rollout": rules})

    signature = house.session.get("/models/late-payer/versions/1")["signature"]
    (pin,) = signature["views"]
    assert [each["name"] for each in signature["transforms"]] == ["per_payment", "unusual"]
    assert (pin["view"], pin["version"], pin["columns"]) == ("spend", 1, ["total", "n"])
    assert pin["entity"] == [{"name": "customer", "type": "int"}]

    refused = house.say("release", "late-payer@1", "--to", "payers", "-m", "first", fails=True)
    assert "trained on view spend/1, and nothing of it is materialised" in refused

    told = house.say("features", "materialise", f"{project}/shop.py:spend")
    assert "spend/1" in told
    release(house, 1)
    assert house.session.get("/releases/payers/1")["manifest"]["features"] == [
        {"view": "spend/1", "digest": pin["digest"]}
    ]


def test_a_request_brings_the_entity_and_is_answered_by_what_is_known_of_it(house: House, project: Path) -> None:
    known = house.session.post("/features/spend/lookup", {"entity": {"customer": 7}})["items"]

    first, second, strange = (
        house.predict("payers", [{"customer": who, "basket": 9.5, "day_of_month": 3}])[0] for who in (7, 8, 7)
    )
    asked_for_too_much = house.ask("payers", [{"customer": 7, "basket": 9.5, "day_of_month": 3, "total": 1.0}])
    without = house.ask("payers", [{"basket": 9.5, "day_of_month": 3}])
    unknown = house.ask("payers", [{"customer": 4711, "basket": 9.5, "day_of_month": 3}])

    typed = house.say(
        "predict", "payers", *(f"--row={each}" for each in ("customer=7", "basket=9.5", "day_of_month=3")), "--json"
    )
    assert json.loads(typed)["predictions"][0]["value"] == first == strange != second
    assert asked_for_too_much.status_code == without.status_code == 422
    assert "has no row for customer 4711, and input 'total' may not be null" in unknown.json()["error"]["message"]
    logged = until(lambda: [each for each in served(house) if each["row"]["customer"] == 7])[0]
    whole = {"total": known[0]["total"], "n": known[0]["n"], "basket": 9.5, "day_of_month": 3}
    whole["per_payment"] = whole["total"] / whole["n"]
    whole["unusual"] = 9.5 - whole["per_payment"] + 3.0
    assert {name: logged["row"][name] for name in whole} == whole


def test_serving_agrees_with_training_cell_by_cell_and_a_fault_would_be_seen(house: House, project: Path) -> None:
    for who in range(30):
        house.predict(
            "payers",
            [
                {"customer": who, "basket": float(who), "day_of_month": 1},
                {"customer": who + 1, "basket": 3.0, "day_of_month": 28},
            ],
        )
    until(lambda: len(served(house)) >= 60)

    report = json.loads(house.say("features", "replay", f"{project}/shop.py:spend", "--deployment", "payers", "--json"))

    assert (report["different"], report["behind"]) == (0, 0)
    assert report["rows"] >= 60 and report["cells"] == 4 * report["rows"]
    assert {each["name"] for each in report["columns"]} == {"total", "n", "per_payment", "unusual"}
    (run,) = house.session.get("/runs", filter="name = 'replay_spend'")["items"]
    assert json.loads(house.say("features", "report", run["id"], "--json")) == report


def test_a_file_is_answered_by_the_same_features(house: House, project: Path, tmp_path: Path) -> None:
    at = datetime.now(UTC)
    rows = pa.table(
        {
            "customer": [7, 8],
            "basket": [9.5, 9.5],
            "day_of_month": [3, 3],
            "when": pa.array([at, at], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")

    scored = tmp_path / "scored.parquet"
    house.say("predict", "payers", "--input", str(tmp_path / "rows.parquet"), "--output", str(scored), "--at", "when")

    online = [house.predict("payers", [{"customer": who, "basket": 9.5, "day_of_month": 3}])[0] for who in (7, 8)]
    assert pq.read_table(scored)["_value"].to_pylist() == pytest.approx(online, rel=1e-9)
    old = rows.set_column(3, "when", pa.array([at - timedelta(days=9999)] * 2, pa.timestamp("us", "UTC")))
    pq.write_table(old, tmp_path / "old.parquet")
    refused = house.say(
        "predict",
        "payers",
        "--input",
        str(tmp_path / "old.parquet"),
        "--output",
        str(scored),
        "--at",
        "when",
        fails=True,
    )
    assert "null" in refused


def test_other_code_is_another_version_and_a_rollback_brings_the_old_one_back(house: House, project: Path) -> None:
    before = house.predict("payers", [{"customer": 7, "basket": 9.5, "day_of_month": 3}])[0]
    file = project / "shop.py"
    file.write_text(file.read_text().replace("FACTOR = 1.0", "FACTOR = 2.0"))
    house.say("run", f"{file}:flow")
    assert house.session.get("/models/late-payer/versions/2")["signature"]["views"][0]["version"] == 2

    refused = house.say("release", "late-payer@2", "--to", "payers", "-m", "second", fails=True)
    assert "trained on view spend/2, and what is materialised is spend/1" in refused
    told = house.say("features", "replay", f"{file}:spend", "--deployment", "payers", fails=True)
    assert "came from another version of view 'spend' than spend/2" in told

    house.say("features", "materialise", f"{file}:spend")
    release(house, 2)
    doubled = until(lambda: house.predict("payers", [{"customer": 7, "basket": 9.5, "day_of_month": 3}])[0])
    row = until(lambda: [each for each in served(house) if each["version"] == "late-payer/2"])[0]["row"]
    first = next(each for each in served(house) if each["version"] == "late-payer/1" and each["row"]["customer"] == 7)
    assert row["total"] == pytest.approx(2 * first["row"]["total"], rel=1e-12)
    assert doubled != before or row["n"] == first["row"]["n"]

    assert "spend/2" in house.say("releases", "show", "payers") and "spend/2" in house.say("why", "payers#2")
    assert json.loads(house.say("rollback", "payers", "--to", "1", "--preview", "--json"))["features"] == {
        "from": ["spend/2"], "to": ["spend/1"],
    }  # fmt: skip
    house.say("rollback", "payers", "--to", "1", "-m", "the factor was wrong")
    until(lambda: house.session.get("/deployments/payers")["agrees"])
    again = until(lambda: house.predict("payers", [{"customer": 7, "basket": 9.5, "day_of_month": 3}])[0])
    assert again == before
    assert house.session.get("/features/spend")["versions"][0]["id"] == "spend/2"
