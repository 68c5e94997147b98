# SPDX-License-Identifier: Apache-2.0
"""Models over HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest


def prepare(web: httpx.Client, name: str) -> dict[str, Any]:
    """A model, and the body of a registration that fits it."""
    trees = hashlib.sha256(name.encode()).hexdigest()
    web.put(f"/blobs/{trees}", content=name.encode())
    assert web.post("/models", json={"name": name, "owner": "ana", "tier": "high"}).status_code == 201
    run = web.post("/runs", json={"name": "train"}).json()["id"]
    return {
        "run_id": run,
        "format": "sklearn",
        "files": {"model.skops": trees},
        "environment": {"scikit-learn": "1.9.0"},
        "signature": {"inputs": [{"name": "a", "type": "number"}]},
        "metrics": {"auc": 0.7},
    }


def test_a_version_is_shown_with_all_that_is_known_of_it(web: httpx.Client) -> None:
    body = prepare(web, "shown")

    made = web.post("/models/shown/versions", json=body | {"reason": "the best so far"})

    assert made.status_code == 201
    shown = web.get("/models/shown/versions/1").json()
    assert {**shown, "age_days": 0} == {**made.json(), "age_days": 0}
    assert (shown["id"], shown["state"], shown["releases"], shown["aliases"]) == ("shown/1", "candidate", [], [])
    assert shown["files"]["model.skops"] == {"digest": body["files"]["model.skops"], "size": 5}
    model = web.get("/models/shown").json()
    assert (model["tier"], model["aliases"], [version["id"] for version in model["versions"]]) == (
        "high",
        {},
        ["shown/1"],
    )
    assert "shown" in [each["name"] for each in web.get("/models", params={"limit": 1000}).json()["items"]]
    assert web.post("/models/shown/versions", json=body).json()["is_known"] is True
    assert web.get("/models/shown/versions").json()["items"][0]["number"] == 1


def test_an_alias_is_compared_and_set(web: httpx.Client) -> None:
    body = prepare(web, "aliased")
    web.post("/models/aliased/versions", json=body)
    web.post("/models/aliased/versions", json=body | {"format": "onnx"})

    moves = [
        {"version": 1, "expected": 0},
        {"version": 2, "expected": 1},
        {"version": 1, "expected": 1},
        {"version": 1},
    ]
    answers = [web.post("/models/aliased/aliases/champion", json=move).status_code for move in moves]

    assert answers == [200, 200, 409, 200]
    assert web.get("/models/aliased").json()["aliases"] == {"champion": 1}
    assert web.get("/models/aliased/versions/1").json()["aliases"] == ["champion"]
    assert web.post("/models/aliased/aliases/champion/remove", json={}).status_code == 200
    assert web.post("/models/aliased/aliases/champion/remove", json={}).status_code == 404


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"run_id": "0" * 32}, 404),
        ({"files": {"model.skops": "0" * 64}}, 404),
        ({"files": {"../model": "0" * 64}}, 422),
        ({"files": {"model": "../../x"}}, 422),
        ({"snapshots": [{"id": "flights@1", "role": "train"}]}, 404),
        ({"snapshots": [{"id": "flights", "role": "train"}]}, 422),
        ({"number": 7}, 422),
        ({"state": "released"}, 422),
    ],
)
def test_a_registration_that_cannot_be_changes_nothing(web: httpx.Client, more: dict[str, Any], status: int) -> None:
    name = hashlib.sha256(repr(more).encode()).hexdigest()[:12]
    body = prepare(web, f"bad-{name}")

    assert web.post(f"/models/bad-{name}/versions", json=body | more).status_code == status
    assert web.get(f"/models/bad-{name}").json()["versions"] == []


def test_what_is_not_there_is_404(web: httpx.Client) -> None:
    prepare(web, "void")

    for path in ("/models/nobody", "/models/nobody/versions", "/models/void/versions/1", "/models/nobody/versions/1"):
        assert web.get(path).status_code == 404
    assert web.post("/models/void/aliases/champion", json={"version": 1}).status_code == 404
