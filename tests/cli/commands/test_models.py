# SPDX-License-Identifier: Apache-2.0
"""Models by command: referred to, described, renamed, retired, deleted, allowed. One story, in order."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest


@pytest.fixture
def mainstay(type_at, house, monkeypatch) -> Callable[..., object]:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to be asked for a reason
    return type_at(house)


def test_a_version_of_bytes_elsewhere_says_so(mainstay, house) -> None:
    assert "theirs" in mainstay("models", "create", "theirs", "--description", "of a partner").out

    told = mainstay("models", "refer", "theirs", "s3://bucket/model", "-m", "trained by a partner")

    assert told.status == 0
    assert "theirs/1" in told.out and "elsewhere: it can be looked up, not released" in told.out
    refused = mainstay("models", "refer", "theirs", "./model")
    assert refused.status == 1 and "is a place on a disk" in refused.err


def test_a_model_and_a_version_are_described_and_tagged(mainstay, house) -> None:
    mainstay(
        "models",
        "describe",
        "theirs",
        "--description",
        "of a partner",
        "--tier",
        "high",
        "--tag",
        "team=ops",
        "--tag",
        "x=1",
    )
    model = mainstay("models", "describe", "theirs", "--tag", "x")
    version = mainstay("models", "describe", "theirs@1", "--description", "first", "--tag", "k=v")

    assert "of a partner" in model.out and "team = ops" in model.out and "x = 1" not in model.out
    assert "first" in version.out and "k = v" in version.out
    assert house.get("/models/theirs")["tier"] == "high"


def test_a_permission_takes_a_reason_and_is_shown(mainstay, house) -> None:
    assert mainstay("models", "allow", "theirs").status == 2

    mainstay("models", "allow", "theirs", "-m", "our partner's code was read")

    assert "every version, by" in mainstay("models", "show", "theirs").out
    mainstay("models", "allow", "theirs", "--withdraw", "-m", "no longer needed")
    assert house.get("/models/theirs")["permissions"] == []


def test_a_model_is_renamed_and_what_is_held_is_not(mainstay, house) -> None:
    told = mainstay("models", "rename", "theirs", "partner model", "-m", "clearer")

    assert told.out.strip() == "theirs is now partner model"
    assert mainstay("models", "show", "theirs").status == 1
    found = json.loads(mainstay("models", "search", "name ilike 'PARTNER%'", "--json").out)
    assert [model["name"] for model in found["items"]] == ["partner model"]


def test_a_version_is_retired_and_deleted_and_its_model_too(mainstay, house) -> None:
    assert mainstay("models", "retire", "partner model@1").out.strip() == "partner model/1 is retired"
    assert mainstay("models", "delete", "partner model@1").status == 2  # a reason is needed

    told = mainstay("models", "delete", "partner model@1", "-m", "it was a trial")

    assert told.out.strip() == "partner model/1 is deleted; its number stays taken"
    assert mainstay("models", "delete", "partner model", "-m", "a trial").status == 0
    assert mainstay("models", "search", "name = 'partner model'").out.startswith("Nothing meets")


def test_a_version_without_that_folder_is_refused_by_name(mainstay, house) -> None:
    session = house.connect()
    mainstay("models", "create", "ours")
    run = session.post("/runs", {"name": "train"})["id"]

    told = mainstay("models", "register", "ours", "--run", run)

    assert told.status == 1 and "has no artifacts below 'model'" in told.err
