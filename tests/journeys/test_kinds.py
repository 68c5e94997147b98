# SPDX-License-Identifier: Apache-2.0
"""A model that answers numbers and one that answers one of three classes: trained, judged by the numbers, served.

Each goes live first with what little it knows, is followed by a better one, and keeps a worse one out.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import House

PROJECT = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression

import mainstay as ms

COLUMNS = ["far", "rain", "crowd"]
SPEEDS = np.array(["fast", "slow", "usual"])

@ms.step
def load(seed: int) -> pd.DataFrame:
    dice = np.random.default_rng(seed)
    table = pd.DataFrame(dice.normal(size=(700, 3)), columns=COLUMNS)
    minutes = 3 * table["far"] + 2 * table["rain"] + table["crowd"] + dice.normal(size=700)
    line = dice.choice(["red", "blue"], 700)
    return table.assign(line=line, minutes=minutes, speed=SPEEDS[np.digitize(minutes, [-1.5, 1.5])])

@ms.step
def train_minutes(table: pd.DataFrame, columns: int) -> LinearRegression:
    return LinearRegression().fit(table[COLUMNS[:columns]], table["minutes"])

@ms.step
def train_speed(table: pd.DataFrame, columns: int) -> LogisticRegression:
    return LogisticRegression().fit(table[COLUMNS[:columns]], table["speed"])

@ms.pipeline
def flow():
    fit_on, later = ms.snapshot("trips", load(1)), ms.snapshot("later", load(2))
    for columns in (1, 3, 2):
        ms.register("minutes", train_minutes(fit_on, columns), holdout=later, target="minutes")
        ms.register("speed", train_speed(fit_on, columns), holdout=later, target="speed")
"""

GATES = {
    "minutes": [
        "better('rmse', {'alpha': 0.01})",
        "better('r2')",
        "not_worse('mae', {'margin': 0.1})",
        "slices(['line'], {'metric': 'mae', 'drop': 0.2, 'min_n': 200})",
        "r2 > 0.2 && mae < 4.0 && rmse < 5.0",
    ],
    "speed": [
        "better('accuracy', {'alpha': 0.01})",
        "better('log_loss')",
        "not_worse('macro_f1')",
        "slices(['line'], {'drop': 0.05, 'min_n': 200})",
        "accuracy > 0.4 && macro_f1 > 0.3 && log_loss < 1.2",
    ],
}


@pytest.fixture(scope="module")
def trips(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("project") / "trips.py"
    file.write_text(PROJECT)
    house.say("run", f"{file}:flow")
    for name, gates in GATES.items():
        words = [word for gate in gates for word in ("--gate", gate)]
        house.say("policy", "put", name, *words, "--approvals", "0")
        house.say("deployments", "put", name, "--model", name, "--policy", name, "--strategy", "direct")
    return file


def released(house: House, name: str, number: int, *, fails: bool = False) -> dict[str, Any]:
    house.say("release", f"{name}@{number}", "--to", name, "--wait", "-m", "it is newer", fails=fails)
    found: dict[str, Any] = json.loads(house.say("releases", "show", f"{name}#{number}", "--json"))
    return found


def verdicts(release: dict[str, Any]) -> list[str]:
    return [gate["verdict"] for gate in release["gates"]]


@pytest.mark.parametrize("name", GATES)
def test_the_better_one_takes_over_and_the_worse_one_is_kept_out_by_the_numbers(
    house: House, trips: Path, name: str
) -> None:
    first, better = released(house, name, 1), released(house, name, 2)
    worse = released(house, name, 3, fails=True)

    assert (first["state"], verdicts(first)) == ("live", ["pass"] * 6), first["gates"]
    assert (better["state"], verdicts(better)) == ("live", ["pass"] * 6), better["gates"]
    assert worse["state"] == "refused" and "fail" in verdicts(worse)
    said = {gate["gate"]: gate for gate in worse["gates"]}
    metric = {"minutes": "rmse", "speed": "accuracy"}[name]
    assert said[GATES[name][0]]["verdict"] == "fail"
    assert f"{metric} " in said[GATES[name][0]]["sentence"] and "p = " in said[GATES[name][0]]["sentence"]
    assert all(gate["rows"] == 700 for gate in worse["gates"][1:])


def test_a_number_is_answered_as_the_model_gives_it(house: House, trips: Path) -> None:
    project = runpy.run_path(str(trips))
    rows = project["load"](3)[project["COLUMNS"]][:20]
    expected = project["train_minutes"](project["load"](1), 3).predict(rows)

    assert house.predict("minutes", rows.to_dict("records")) == pytest.approx(expected.tolist(), rel=1e-12)


def test_a_class_is_answered_with_its_scores_and_the_truth_is_told_by_its_name(house: House, trips: Path) -> None:
    project = runpy.run_path(str(trips))
    rows = project["load"](3)[project["COLUMNS"]][:20]
    model = project["train_speed"](project["load"](1), 3)
    house.predict("speed", rows.to_dict("records"))

    answers = house.ask("speed", rows.to_dict("records")).json()["predictions"]
    told = house.say("feedback", answers[0]["id"], "usual")
    refused = house.say("feedback", answers[1]["id"], "late", fails=True)

    assert [answer["label"] for answer in answers] == model.predict(rows).tolist()
    np.testing.assert_allclose([answer["scores"] for answer in answers], model.predict_proba(rows), rtol=1e-9)
    assert [answer["value"] for answer in answers] == model.predict_proba(rows).argmax(axis=1).tolist()
    assert "1 label taken in" in told
    assert "none of the model's classes: 'fast', 'slow', 'usual'" in refused
    kept = house.session.get(f"/predictions/{answers[0]['id']}")
    assert kept["feedback"][-1]["label"] == model.classes_.tolist().index("usual")
    assert (kept["kind"], kept["label"]) == ("multiclass", answers[0]["label"])


@pytest.mark.parametrize(("name", "figure"), [("minutes", "mae"), ("speed", "accuracy")])
def test_what_was_answered_is_held_against_the_truth_in_figures_of_its_kind(
    house: House, trips: Path, name: str, figure: str
) -> None:
    project = runpy.run_path(str(trips))
    table = project["load"](4)[:200]
    answers = house.ask(name, table[project["COLUMNS"]].to_dict("records")).json()["predictions"]
    told = [{"id": a["id"], "label": truth} for a, truth in zip(answers, table[name].tolist(), strict=True)]
    (file := trips.parent / f"{name}.ndjson").write_text("\n".join(map(json.dumps, told)))

    house.say("feedback", "--input", str(file))
    window = house.session.post(f"/monitors/{name}/judge", {"until": "2100-01-01T00:00:00Z"})["items"][-1]

    right = np.array([answer[{"minutes": "value", "speed": "label"}[name]] for answer in answers])
    measured = window["performance"]
    assert measured["kind"] == {"minutes": "number", "speed": "multiclass"}[name]
    assert measured[figure]["n"] >= 200 and measured["reference_figures"][figure]["n"] == 700
    if name == "minutes":
        assert measured["mae"]["value"] == pytest.approx(np.abs(table["minutes"] - right).mean(), rel=0.2)
    else:
        assert measured["accuracy"]["value"] == pytest.approx((table["speed"] == right).mean(), abs=0.05)


def test_a_gate_of_another_kind_never_passes_and_says_what_there_is(house: House, trips: Path) -> None:
    refused = house.say("policy", "put", "odd", "--gate", "better('aucc')", fails=True)
    house.say("policy", "put", "odd", "--gate", "better('auc')", "--gate", "auc > 0.5", "--approvals", "0")
    house.say("deployments", "put", "odd", "--model", "minutes", "--policy", "odd")
    house.say("release", "minutes@1", "--to", "odd", "--wait", "-m", "odd", fails=True)

    said = [gate["sentence"] for gate in json.loads(house.say("releases", "show", "odd#1", "--json"))["gates"]]
    assert "models are compared by auc, brier, log_loss, accuracy, macro_f1, mae, rmse, r2" in " ".join(refused.split())
    assert said[1] == (
        "'auc' is of models that answer the probability of one of two classes; this one answers a number: ask for mae, rmse, r2"
    )
    assert "this one answers a number, and has mae, rmse, r2, bias" in said[2]
