# SPDX-License-Identifier: Apache-2.0
"""A contract edited in TOML keeps a bad batch away from a model that answers, and from the requests it is asked with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import House, until

PIPELINE = """
import numpy as np
import pyarrow as pa
import mainstay as ms
from sklearn.linear_model import LogisticRegression

@ms.step
def train(trips: pa.Table, stops: pa.Table) -> LogisticRegression:
    rows = np.column_stack([trips["wind"].to_numpy(), trips["miles"].to_numpy()])
    return LogisticRegression().fit(rows, trips["late"].to_numpy())

@ms.pipeline
def flow(file: str, table: str, loose: str):
    trips = ms.snapshots("trips", last=1)[0]
    stops = ms.snapshot("stops", ms.delta(table, version=0))
    towns = ms.snapshot("towns", ms.source(loose))
    model = train(trips, stops)
    ms.register("late", model, holdout=trips, target="late", features=["wind", "miles"])
    ms.register("loose", train(trips, towns), holdout=trips, target="late", features=["wind", "miles"])
"""
ROW = {"wind": 12.5, "miles": 300.0}


def month(seed: int, wind: str = "wind") -> pa.Table:
    dice = np.random.default_rng(seed)
    n = 600
    speed, miles = dice.gamma(4, 3, n), dice.uniform(80, 900, n)
    late = (speed + dice.normal(0, 3, n) > 12).astype(int)
    return pa.table({"trip": np.arange(n) + 1_000 * seed, wind: speed, "miles": miles, "late": late})


@pytest.fixture(scope="module")
def live(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two months of trips; the model that learned from the first is live on deployment ``trips``."""
    folder = tmp_path_factory.mktemp("project")
    for seed in (1, 2):
        pq.write_table(month(seed), folder / f"{seed}.parquet")
    pq.write_table(month(3, "wind_kt"), folder / "renamed.parquet")
    deltalake.write_deltalake(folder / "stops", pa.table({"stop": ["Ulm", "Hof"]}))
    (folder / "towns.csv").write_text("town\nUlm\n")
    (folder / "trips.py").write_text(PIPELINE)
    house.say("datasets", "add", "trips", str(folder / "1.parquet"))
    words = ("--file", "x", "--table", str(folder / "stops"), "--loose", str(folder / "towns.csv"))
    house.say("run", f"{folder / 'trips.py'}:flow", *words)
    house.say("policy", "put", "free", "--approvals", "0")
    house.say("deployments", "put", "trips", "--model", "late", "--policy", "free")
    house.say("release", "late@1", "--to", "trips", "--wait", "-m", "the first")
    assert house.predict("trips", [ROW])
    return folder


def edit(house: House, folder: Path, *changes: tuple[str, str]) -> str:
    """Show the contract, change it in a file, set it again."""
    text = house.say("contracts", "show", "trips")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "trips.toml").write_text(text)
    return house.say("contracts", "set", "trips", str(folder / "trips.toml"), "-m", "what we agreed")


def current(house: House) -> int:
    return int(json.loads(house.say("datasets", "show", "trips", "--json"))["refs"]["current"])


def test_a_bad_batch_publishes_nothing_and_its_owner_is_told(house: House, live: Path) -> None:
    whole, column = "[contract.trips]\n", "[contract.trips.columns.wind]\n"
    keyed, strict = whole + 'keys = [["trip"]]\n', column + 'on_violation = "refuse"\n'
    told = edit(house, live, (whole, keyed), (column, strict))
    bad = pa.concat_tables([month(2), month(2).slice(0, 1)])
    storm = bad["wind"].to_numpy().copy()
    storm[7] = 4_000.0
    pq.write_table(bad.set_column(1, "wind", pa.array(storm)), live / "bad.parquet")

    refused = house.say("datasets", "add", "trips", str(live / "bad.parquet"), fails=True)

    assert "version 2" in told
    assert ("column 'wind' reaches from" in refused and "the key" in refused) or "'trip' must be unique" in refused
    assert current(house) == 1 and house.ask("trips", [ROW]).status_code == 200
    [waits] = [each for each in house.session.get("/home")["waiting"] if each["what"] == "batch"]
    assert waits["subject"] == "dataset:trips" and "was refused, nothing was published" in waits["title"]
    refusal = json.loads(house.say("datasets", "show", "trips", "--json"))["refusals"][0]
    rows = json.loads(house.session.get_blob(refusal["rows_blob"]))["rows"]
    assert [row["row"] for row in rows] == [8] and rows[0]["values"]["wind"] == "4000.0"


def test_a_request_is_held_against_the_same_contract(house: House, live: Path) -> None:
    until(lambda: house.ask("trips", [ROW | {"wind": 4_000.0}]).status_code == 422)

    error = house.ask("trips", [ROW, ROW | {"wind": 4_000.0}]).json()["error"]

    assert error["facts"]["problems"][0]["path"] == "rows[1].wind" and "by the data's contract" in error["message"]
    pq.write_table(pa.table({"wind": [1.0, 4_000.0], "miles": [100.0, 100.0]}), live / "ask.parquet")
    words = ("--input", str(live / "ask.parquet"), "--output", str(live / "scored.parquet"))
    assert "wind in row 1 is 4000.0" in house.say("predict", "trips", *words, fails=True)


def test_one_command_lets_a_renamed_column_in_for_batches_and_requests(house: House, live: Path) -> None:
    renamed: dict[str, Any] = {"wind_kt": ROW["wind"], "miles": ROW["miles"]}
    assert house.ask("trips", [renamed]).status_code == 422
    refused = house.say("datasets", "add", "trips", str(live / "renamed.parquet"), fails=True)
    assert "the same distribution" in refused and "`mainstay datasets alias trips wind wind_kt -m WHY`" in refused

    house.say("datasets", "alias", "trips", "wind", "wind_kt", "-m", "renamed upstream")

    assert house.predict("trips", [renamed]) == house.predict("trips", [ROW])
    house.say("datasets", "add", "trips", str(live / "renamed.parquet"))
    assert current(house) == 2 and not [w for w in house.session.get("/home")["waiting"] if w["what"] == "batch"]


def test_what_changed_is_told_row_by_row_and_the_way_back_is_one_command(house: House, live: Path) -> None:
    house.say("datasets", "add", "trips", str(live / "2.parquet"))

    diff = house.say("datasets", "diff", "trips@1", "trips@current")
    back = house.say("datasets", "rollback", "trips", "--to", "1", "-m", "the second month was wrong")
    users = house.say("datasets", "users", "trips@1")

    assert "rows by trip" in diff and "600 added, 600 removed, 0 changed, 0 same" in diff
    assert "passed over: trips@3, trips@2" in back and current(house) == 1
    assert "release:trips#1" in users and "live on trips" in users


def test_a_table_elsewhere_is_pinned_and_a_loose_file_is_a_warning_wherever_it_was_used(
    house: House, live: Path
) -> None:
    stops = json.loads(house.say("datasets", "show", "stops@1", "--json"))
    towns = json.loads(house.say("datasets", "show", "towns@1", "--json"))
    versions = [json.loads(house.say("models", "show", f"{name}/1", "--json")) for name in ("late", "loose")]

    assert (stops["kind"], stops["rows"], stops["reference"]["version"], stops["warnings"]) == ("reference", 2, "0", [])
    assert not towns["reference"]["is_pinned"] and "may change or go" in towns["warnings"][0]["sentence"]
    assert [version["warnings"] for version in versions] == [[], ["towns@1 is read from a place that may change"]]
    assert "may change or go" in house.say("why", "loose@1") and "may change or go" not in house.say("why", "late@1")
    run = json.loads(house.say("runs", "show", "flow", "--json"))
    assert run["warnings"] == ["towns@1 is read from a place that may change"]
    house.say("deployments", "put", "loose", "--model", "loose", "--policy", "free")
    house.say("release", "loose@1", "--to", "loose", "--wait", "-m", "in a hurry")
    lines = {line["deployment"]: line["warnings"] for line in house.session.get("/live")["items"]}
    assert lines == {"trips": [], "loose": ["towns@1 is read from a place that may change"]}
