# SPDX-License-Identifier: Apache-2.0
"""Runs beside each other, and one of them made the candidate."""

from __future__ import annotations

import json
from typing import Any

MLMODEL = b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n"


def recorded(house: Any, name: str, *, packages: dict[str, str], metrics: dict[str, float], **params: Any) -> str:
    body = {"name": name, "params": params, "environment": {"python": "3.11", "packages": packages}}
    run: str = house.connect().post("/runs", body)["id"]
    house.connect().post(f"/runs/{run}/log", {"metrics": [{"key": k, "value": v} for k, v in metrics.items()]})
    return run


def finished(house: Any, run: str) -> str:
    house.connect().post(f"/runs/{run}/finish", {"state": "succeeded"})
    return run


def with_model(house: Any, name: str, *folders: str) -> str:
    run = recorded(house, name, packages={}, metrics={"auc": 0.7})
    for folder in folders:
        for file, content in (("MLmodel", MLMODEL), ("model.pkl", b"\x80\x05N.")):
            digest = house.connect().put_blob(content)
            artifact = {"path": f"{folder}/{file}", "digest": digest, "size": len(content)}
            house.connect().post(f"/runs/{run}/artifacts", artifact)
    return finished(house, run)


def test_only_what_differs_is_shown(fresh_house: Any, type_at: Any) -> None:
    mainstay = type_at(fresh_house)
    recorded(fresh_house, "one", packages={"numpy": "2.1", "polars": "1.0"}, metrics={"auc": 0.71}, depth=6, seed=1)
    recorded(fresh_house, "two", packages={"numpy": "2.2", "polars": "1.0"}, metrics={"auc": 0.74}, depth=8, seed=1)

    said = mainstay("runs", "compare", "one", "two").out

    assert "depth" in said and "0.74" in said and "numpy" in said and "2.2" in said
    assert "seed" not in said and "polars" not in said
    assert "seed" in mainstay("runs", "compare", "one", "two", "--all").out
    told = json.loads(mainstay("runs", "compare", "one", "two", "--json").out)
    assert told["differing"] == {"metrics": ["auc"], "params": ["depth"], "tags": []}
    assert [each["name"] for each in told["items"]] == ["one", "two"]


def test_a_model_that_a_run_kept_becomes_the_candidate_in_one_act(fresh_house: Any, type_at: Any) -> None:
    mainstay = type_at(fresh_house)
    fresh_house.connect().post("/models", {"name": "kept"})
    with_model(fresh_house, "keeper", "model")

    assert "kept@candidate is now kept/1" in mainstay("runs", "candidate", "keeper", "--model", "kept").out

    # From now on the run has a version: the same act moves the alias there and registers nothing.
    fresh_house.connect().post("/models/kept/aliases/candidate/remove")
    assert "kept@candidate is now kept/1" in mainstay("runs", "candidate", "keeper").out
    assert len(fresh_house.connect().get("/models/kept/versions")["items"]) == 1
    assert "kept/1" in mainstay("models", "show", "kept@candidate").out


def test_a_run_without_a_model_says_what_is_missing(fresh_house: Any, type_at: Any) -> None:
    mainstay = type_at(fresh_house)
    finished(fresh_house, recorded(fresh_house, "bare", packages={}, metrics={}))
    with_model(fresh_house, "several", "first", "second")
    with_model(fresh_house, "single", "model")

    assert "registered no version and kept no model" in mainstay("runs", "candidate", "bare").err
    assert "say with --model which model gets one" in mainstay("runs", "candidate", "single").err
    said = mainstay("runs", "candidate", "several", "--model", "kept").err
    assert "name one of first, second with --path" in said
