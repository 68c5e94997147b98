# SPDX-License-Identifier: Apache-2.0
"""Models over HTTP."""

from __future__ import annotations

import hashlib
import threading
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


def test_a_model_tells_which_feature_views_its_versions_are_bound_to(web: httpx.Client) -> None:
    body = prepare(web, "bound")
    view = {"definition": {"name": "usage", "entity": ["meter"], "time": "at", "available_after": "1h", "ttl": "30d",
                           "columns": [["peak", "float"]]}, "closure": "c" * 64, "entry": "night.py:usage",
            "entity": [{"name": "meter", "type": "str"}], "columns": [{"name": "peak", "type": "float"}]}  # fmt: skip
    declared = web.post("/features", json=view).json()
    pin = {"view": "usage", "version": 1, "digest": declared["digest"], "columns": ["peak"], "entity": view["entity"]}

    made = web.post("/models/bound/versions", json=body | {"signature": body["signature"] | {"views": [pin]}})
    web.post("/models/bound/versions", json=body | {"format": "onnx"})

    assert made.status_code == 201, made.text
    assert {each["number"]: each["views"] for each in web.get("/models/bound").json()["versions"]} == {
        1: ["usage/1"],
        2: [],
    }


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


def test_of_64_racers_over_http_exactly_one_moves_the_alias_and_the_others_are_told_who(web: httpx.Client) -> None:
    body = prepare(web, "raced")
    for format in ("sklearn", "onnx", "xgboost"):
        web.post("/models/raced/versions", json=body | {"format": format})
    web.post("/models/raced/aliases/champion", json={"version": 1})
    gate, replies = threading.Barrier(64), []

    def race(to: int) -> None:
        gate.wait()
        replies.append(web.post("/models/raced/aliases/champion", json={"version": to, "expected": 1}))

    threads = [threading.Thread(target=race, args=(2 + place % 2,)) for place in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    won = [reply.json()["version"] for reply in replies if reply.status_code == 200]
    lost = [reply.json()["error"] for reply in replies if reply.status_code == 409]
    assert (len(won), len(lost)) == (1, 63)
    assert {error["facts"]["found"] for error in lost} == {won[0]}
    assert web.get("/models/raced").json()["aliases"] == {"champion": won[0]}


def test_a_model_is_described_renamed_and_deleted(web: httpx.Client) -> None:
    web.post("/models/moved/versions", json=prepare(web, "moved"))
    said = {"description": "d", "tags": {"team": "ops"}, "tier": "low"}
    assert web.post("/models/moved/change", json=said).json()["tags"] == {"team": "ops"}

    renamed = web.post("/models/moved/rename", json={"name": "moved twice", "reason": "clearer"}).json()

    assert (renamed["name"], renamed["description"], renamed["held_by"]) == ("moved twice", "d", [])
    assert "was renamed to 'moved twice'" in web.get("/models/moved").json()["error"]["message"]
    assert web.get("/models/moved twice/versions/1").json()["id"] == "moved twice/1"
    assert web.post("/models/moved twice/delete", json={}).json() == {"deleted": "moved twice"}
    assert web.get("/models/moved twice").status_code == 404


def test_a_version_is_described_retired_and_deleted(web: httpx.Client) -> None:
    body = prepare(web, "told")
    web.post("/models/told/versions", json=body | {"tags": {"a": "1"}})
    web.post("/models/told/versions", json=body | {"format": "onnx"})

    changed = web.post(
        "/models/told/versions/1/change", json={"description": "d", "tags": {"a": None, "b": "2"}}
    ).json()
    retired = web.post("/models/told/versions/1/state", json={"state": "retired"}).json()

    assert (changed["description"], changed["tags"], retired["state"]) == ("d", {"b": "2"}, "retired")
    assert web.post("/models/told/versions/1/state", json={"state": "released"}).status_code == 422
    assert web.post("/models/told/versions/2/delete", json={}).json() == {"deleted": "told/2"}
    assert web.get("/models/told/versions/2").status_code == 404
    card = web.get("/models/told/versions/1/card").json()
    assert card["version"] == "told/1" and card["markdown"].startswith("# told/1\n")


def test_a_reference_and_a_search_for_it(web: httpx.Client) -> None:
    prepare(web, "referred")

    made = web.post("/models/referred/references", json={"source": "s3://b/m", "tags": {"k": "v"}}).json()

    assert (made["is_reference"], made["needs_pickle"], made["run_id"], made["source"]) == (
        True,
        False,
        None,
        "s3://b/m",
    )
    assert web.post("/models/referred/references", json={"source": "file:///etc"}).status_code == 422
    found = web.get("/search/versions", params={"filter": "name = 'referred' and tags.k = 'v'"}).json()
    assert [version["id"] for version in found["items"]] == ["referred/1"]
    names = web.get("/search/models", params={"filter": "name ilike 'REFERRED'", "order": "updated_at desc"}).json()
    assert [model["name"] for model in names["items"]] == ["referred"]
    for bad in ({"filter": "nam = 'x'"}, {"order": "size"}, {"after": -1}):
        assert web.get("/search/models", params=bad).status_code == 422


def test_a_permission_takes_a_reason_and_is_shown(web: httpx.Client) -> None:
    web.post("/models/pickled/versions", json=prepare(web, "pickled") | {"format": "pickle"})
    assert web.get("/models/pickled/versions/1").json()["needs_pickle"] is True
    assert web.post("/models/pickled/permissions", json={"version": 1}).status_code == 422

    given = web.post("/models/pickled/permissions", json={"version": 1, "reason": "ours"})

    assert given.status_code == 201
    assert web.get("/models/pickled/versions/1").json()["permission"]["reason"] == "ours"
    assert web.post("/models/pickled/permissions/remove", json={"version": 1}).json()["permissions"] == []
    assert web.get("/models/pickled/versions/1").json()["permission"] is None
