# SPDX-License-Identifier: Apache-2.0
"""Registered models: made, found, described, tagged, renamed, deleted, and the aliases on their versions."""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.lifecycle.registry import aliases, models, search
from mainstay.server.protocols.mlflow import registered, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.registered import Tag
from mainstay.store import Change, View

calls = Calls()

MOST_MODELS = 1000


class NewModel(wire.Request):
    name: str
    tags: list[Tag] = msgspec.field(default_factory=list)
    description: str = ""


class Name(wire.Request):
    name: str


class Rename(wire.Request):
    name: str
    new_name: str


class Update(wire.Request):
    name: str
    description: str = ""


class Search(wire.Request):
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str = ""


class Latest(wire.Request):
    name: str
    stages: list[str] = msgspec.field(default_factory=list)


class SetTag(wire.Request):
    name: str
    key: str
    value: str | None = None


class DeleteTag(wire.Request):
    name: str
    key: str


class SetAlias(wire.Request):
    name: str
    alias: str
    version: str


class NamedAlias(wire.Request):
    name: str
    alias: str


@calls.post("POST", "registered-models/create")
def create(change: Change, body: NewModel) -> dict[str, Any]:
    """Name a model; whoever asks is its owner. The mark of a prompt makes it one."""
    tags = registered.tags_of(body.tags)
    kind = "prompt" if tags.get(registered.IS_PROMPT, "").lower() == "true" else "model"
    try:
        made = models.create(
            change, name=body.name, owner=change.actor, description=body.description, kind=kind, tags=tags
        )
    except Conflict as error:
        raise wire.Refused("RESOURCE_ALREADY_EXISTS", _taken(change, body.name, kind)) from error
    return {"registered_model": registered.written(change, made)}


@calls.get("registered-models/get")
def get(view: View, body: Name) -> dict[str, Any]:
    """One model."""
    return {"registered_model": registered.written(view, registered.model_named(view, body.name))}


@calls.get("registered-models/search")
def search_models(view: View, body: Search) -> dict[str, Any]:
    """Models by a filter; prompts only if it asks for them."""
    found = search.models(
        view,
        comparisons=registered.comparisons(body.filter, registered.MODELS),
        orders=registered.MODELS.orders(body.order_by),
        after=registered.place(body.page_token),
        limit=registered.check_most(body.max_results, MOST_MODELS),
    )
    items = registered.written_models(view, found.items)
    next_page = registered.token(found.next)
    return {"registered_models": items} | ({"next_page_token": next_page} if next_page else {})


@calls.post("PATCH", "registered-models/update")
def update(change: Change, body: Update) -> dict[str, Any]:
    """Describe a model."""
    registered.model_named(change, body.name)
    changed = models.describe(change, name=body.name, description=body.description)
    return {"registered_model": registered.written(change, changed)}


@calls.post("POST", "registered-models/rename")
def rename(change: Change, body: Rename) -> dict[str, Any]:
    """Give a model another name, as long as no release or deployment counts on this one."""
    registered.model_named(change, body.name)
    try:
        renamed = models.rename(change, name=body.name, to=body.new_name)
    except Conflict as error:
        if "model" in error.facts:
            taken = f"Registered Model (name={body.new_name}) already exists. {error.message}"
            raise wire.Refused("RESOURCE_ALREADY_EXISTS", taken) from error
        raise
    return {"registered_model": registered.written(change, renamed)}


@calls.post("DELETE", "registered-models/delete")
def delete(change: Change, body: Name) -> dict[str, Any]:
    """Delete a model with its versions, as long as no release or deployment counts on it."""
    registered.model_named(change, body.name)
    models.delete(change, name=body.name)
    return {}


@calls.get("registered-models/get-latest-versions")
def get_latest(view: View, body: Latest) -> dict[str, Any]:
    """The newest version of each stage."""
    return _latest(view, body)


@calls.get("registered-models/get-latest-versions", method="POST")
def post_latest(view: View, body: Latest) -> dict[str, Any]:
    """The newest version of each stage, asked for by POST."""
    return _latest(view, body)


@calls.post("POST", "registered-models/set-tag")
def set_tag(change: Change, body: SetTag) -> dict[str, Any]:
    """Tag a model."""
    if body.value is None:
        raise wire.missing("value")
    if body.key == registered.IS_PROMPT:
        raise Invalid(f"tag {body.key!r} says what a model is, and stays as it was when {body.name!r} was made.")
    registered.model_named(change, body.name)
    models.describe(change, name=body.name, tags={body.key: body.value})
    return {}


@calls.post("DELETE", "registered-models/delete-tag")
def delete_tag(change: Change, body: DeleteTag) -> dict[str, Any]:
    """Take a model's tag away; one that is not there is gone already."""
    if body.key == registered.IS_PROMPT:
        raise Invalid(f"tag {body.key!r} says what a model is, and stays as it was when {body.name!r} was made.")
    registered.model_named(change, body.name)
    models.describe(change, name=body.name, tags={body.key: None})
    return {}


@calls.post("POST", "registered-models/alias")
def set_alias(change: Change, body: SetAlias) -> dict[str, Any]:
    """Point an alias at a version."""
    registered.model_named(change, body.name)
    version = registered.version_named(change, body.name, body.version)
    aliases.move(change, model=body.name, alias=body.alias, to=version.number)
    return {}


@calls.post("DELETE", "registered-models/alias")
def delete_alias(change: Change, body: NamedAlias) -> dict[str, Any]:
    """Take an alias away; one that is not there is gone already."""
    registered.model_named(change, body.name)
    if any(each.name == body.alias for each in aliases.of(change, body.name)):
        aliases.take_away(change, model=body.name, alias=body.alias)
    else:
        models.describe(change, name=body.name)
    return {}


@calls.get("registered-models/alias")
def get_by_alias(view: View, body: NamedAlias) -> dict[str, Any]:
    """The version that an alias names; ``latest`` is the newest."""
    registered.model_named(view, body.name)
    if body.alias.lower() == "latest":
        newest = registered.latest(view, body.name)
        if not newest:
            raise NotFound(f"Latest version not found for model {body.name}.")
        return {"model_version": registered.written_version(view, max(newest, key=lambda each: each.number))}
    try:
        found = aliases.get(view, body.name, body.alias)
    except NotFound as error:
        raise wire.Refused("INVALID_PARAMETER_VALUE", f"Registered model alias {body.alias} not found.") from error
    return {
        "model_version": registered.written_version(view, registered.version_named(view, body.name, str(found.version)))
    }


def _latest(view: View, body: Latest) -> dict[str, Any]:
    registered.model_named(view, body.name)
    found = registered.latest(view, body.name, body.stages)
    return {"model_versions": registered.written_versions(view, found)}


def _taken(view: View, name: str, kind: str) -> str:
    there = models.get(view, name).kind
    if there != kind:
        return f"Registered Model (name={name}) already exists, as a {there}; a {kind} needs another name."
    return f"Registered Model (name={name}) already exists. Register a version of it, or choose another name."
