# SPDX-License-Identifier: Apache-2.0
"""Folding the events of the registry gives its tables, whatever was done in whatever order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from mainstay.domain.errors import MainstayError
from mainstay.domain.registry import Version
from mainstay.lifecycle.registry import aliases, models, permissions, versions
from mainstay.store import Change, Store, View, ledger


def acts(dice: random.Random, there: list[str]) -> Callable[[Change], object]:
    """Something that somebody does to one of the models there are, or to one that there is not; possible or not."""
    name, number = dice.choice([*there, "nobody"]), dice.randint(1, 4)
    new = f"model {dice.randint(1, 12)}"
    tags = {dice.choice("ab"): dice.choice(["1", "2", None])}
    given = {key: value for key, value in tags.items() if value is not None}
    return dice.choice(
        [
            lambda change: models.create(change, name=new, owner="ana", tags=given),
            lambda change: models.describe(change, name=name, description=dice.choice("xy"), tags=tags),
            lambda change: models.rename(change, name=name, to=new),
            lambda change: models.delete(change, name=name),
            lambda change: versions.refer(change, model=name, source=f"s3://b/{dice.random()}", tags=given),
            lambda change: versions.refer(change, model=name, source=f"s3://b/{dice.random()}", description="d"),
            lambda change: versions.describe(
                change, model=name, number=number, description=dice.choice("xy"), tags=tags
            ),
            lambda change: versions.delete(change, model=name, number=number),
            lambda change: versions.mark(change, model=name, number=number, state=dice.choice(["released", "retired"])),
            lambda change: aliases.move(change, model=name, alias=dice.choice(["champion", "best"]), to=number),
            lambda change: aliases.take_away(change, model=name, alias="best"),
            lambda change: permissions.give(change, model=name, number=dice.choice([None, number])),
            lambda change: permissions.take(change, model=name, number=dice.choice([None, number])),
        ]
    )


def standing(view: View) -> dict[str, Any]:
    """What the tables say."""
    return {
        model.name: {
            "description": model.description,
            "tags": model.tags,
            "versions": {each.number: _said(each) for each in versions.listed(view, model=model.name, limit=1000)},
            "aliases": {each.name: each.version for each in aliases.of(view, model.name)},
            "permissions": {each.number for each in permissions.of(view, model.name)},
        }
        for model in models.listed(view)
    }


def _said(version: Version) -> dict[str, Any]:
    return {"state": version.state, "description": version.description, "tags": version.tags, "source": version.source}


def folded(view: View) -> dict[str, Any]:
    """What the events say."""
    found: dict[str, Any] = {}
    for event in ledger.search(view, newest_first=False, limit=100_000):
        body = event.body
        model = found.get(body.get("model", ""), {})
        match event.kind:
            case "model.created":
                said = {"description": body["description"], "tags": dict(body["tags"])}
                found[body["model"]] = {**said, "versions": {}, "aliases": {}, "permissions": set()}
            case "model.changed":
                _change(model, body["changes"])
            case "model.renamed":
                found[body["model"]] = found.pop(body["before"])
            case "model.deleted":
                del found[body["model"]]
            case "version.registered":
                said = {"description": body["description"], "tags": dict(body["tags"]), "source": body["source"]}
                model["versions"][body["number"]] = {"state": "candidate", **said}
            case "version.changed":
                _change(model["versions"][body["number"]], body["changes"])
            case "version.marked" if body["after"] == "deleted":
                del model["versions"][body["number"]]
            case "version.marked":
                model["versions"][body["number"]]["state"] = body["after"]
            case "alias.moved" if body["after"] is None:
                del model["aliases"][body["alias"]]
            case "alias.moved":
                model["aliases"][body["alias"]] = body["after"]
            case "permission.given":
                model["permissions"].add(body["number"])
            case "permission.taken":
                model["permissions"].remove(body["number"])
    return found


def _change(thing: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if key == "tags":
            thing["tags"] = {name: said for name, said in (thing["tags"] | value).items() if said is not None}
        else:
            thing[key] = value


@pytest.mark.parametrize("seed", range(6))
def test_folding_the_events_gives_the_tables(store: Store, seed: int) -> None:
    dice, done = random.Random(seed), 0

    for _ in range(250):
        with store.view() as view:
            there = [model.name for model in models.listed(view)]
        act = acts(dice, there)
        try:
            with store.change(actor="bo", reason="chance") as change:
                act(change)
            done += 1
        except MainstayError:
            pass  # what could not be done must have left nothing

    with store.view() as view:
        assert standing(view) == folded(view)
        assert ledger.verify(view).ok
    assert done > 80
