# SPDX-License-Identifier: Apache-2.0
"""Models, versions and aliases, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.registry import Alias, File, Model, Used, Version
from mainstay.lifecycle.registry import aliases, lineage, models, versions
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("registry")

_DAY_S = 86_400


class ModelIn(Body):
    name: str
    owner: str
    tier: str = "medium"
    description: str = ""


class UsedIn(Body):
    id: str
    role: str


class VersionIn(Body):
    run_id: str
    format: str
    files: dict[str, str]
    environment: dict[str, Any] = msgspec.field(default_factory=dict)
    signature: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    evaluation_blob: str | None = None
    snapshots: list[UsedIn] = msgspec.field(default_factory=list)
    description: str | None = None


class AliasIn(Body):
    version: int
    expected: int | None = None


class VersionBrief(msgspec.Struct, kw_only=True):
    model: str
    number: int
    id: str
    digest: str
    format: str
    state: str
    metrics: dict[str, float]
    run_id: str
    created_at: datetime
    actor: str
    age_days: float
    releases: list[str]


class VersionOut(VersionBrief, kw_only=True):
    files: dict[str, File]
    environment: dict[str, Any]
    signature: dict[str, Any]
    evaluation_blob: str | None
    snapshots: list[Used]
    description: str
    aliases: list[str]
    is_known: bool


class ModelOut(msgspec.Struct, kw_only=True):
    name: str
    owner: str
    tier: str
    description: str
    created_at: datetime
    created_by: str
    aliases: dict[str, int]
    versions: list[VersionBrief]


class Models(msgspec.Struct):
    items: list[ModelOut]
    next: str | None


class Versions(msgspec.Struct):
    items: list[VersionBrief]
    next: int | None


@routes.post("/models", permission="write", status=201)
def create(change: Change, body: ModelIn) -> ModelOut:
    """Name a model, who answers for it, and how much harm a wrong answer can do."""
    made = models.create(change, name=body.name, owner=body.owner, tier=body.tier, description=body.description)
    return _model(change, made)


@routes.get("/models", permission="read")
def list_models(view: View, after: str = "", limit: int = 100) -> Models:
    """Models by name, each with its newest versions."""
    found = models.listed(view, after=after, limit=limit)
    return Models(items=[_model(view, each) for each in found], next=found[-1].name if len(found) == limit else None)


@routes.get("/models/{name}", permission="read")
def show(view: View, name: str) -> ModelOut:
    """One model with its aliases and newest versions."""
    return _model(view, models.get(view, name))


@routes.post("/models/{name}/versions", permission="write", status=201)
def register(change: Change, name: str, body: VersionIn) -> VersionOut:
    """Give the result of a run the next number. Its files are uploaded before; they never change afterwards."""
    made = versions.register(
        change,
        model=name,
        run_id=body.run_id,
        format=body.format,
        files=body.files,
        environment=body.environment,
        signature=body.signature,
        metrics=body.metrics,
        evaluation_blob=body.evaluation_blob,
        snapshots=[(used.id, used.role) for used in body.snapshots],
        description=body.description or "",
    )
    return _version(change, made)


@routes.get("/models/{name}/versions", permission="read")
def list_versions(view: View, name: str, after: int | None = None, limit: int = 100) -> Versions:
    """Versions of a model, newest first; ``after`` is the number of the last one seen."""
    models.get(view, name)
    found = versions.listed(view, model=name, before=after, limit=limit)
    return Versions(items=_briefs(view, name, found), next=found[-1].number if len(found) == limit else None)


@routes.get("/models/{name}/versions/{number:int}", permission="read")
def show_version(view: View, name: str, number: int) -> VersionOut:
    """One version with its files, signature, lineage and releases."""
    return _version(view, versions.get(view, name, number))


@routes.post("/models/{name}/aliases/{alias}", permission="write")
def move_alias(change: Change, name: str, alias: str, body: AliasIn) -> Alias:
    """Point an alias at a version. ``expected``: the version it names now, 0 for none; 409 if it does not."""
    return aliases.move(change, model=name, alias=alias, to=body.version, expected=body.expected)


@routes.post("/models/{name}/aliases/{alias}/remove", permission="write")
def remove_alias(change: Change, name: str, alias: str) -> Alias:
    """Take an alias away; the version stays."""
    return aliases.take_away(change, model=name, alias=alias)


def _model(view: View, model: Model) -> ModelOut:
    newest = versions.listed(view, model=model.name, limit=1000)
    return ModelOut(
        name=model.name,
        owner=model.owner,
        tier=model.tier,
        description=model.description,
        created_at=model.created_at,
        created_by=model.created_by,
        aliases={alias.name: alias.version for alias in aliases.of(view, model.name)},
        versions=_briefs(view, model.name, newest),
    )


def _briefs(view: View, model: str, found: list[Version]) -> list[VersionBrief]:
    users = lineage.users(view, model=model, kind="release")
    releases = {each.number: [name for number, name in users if number == each.number] for each in found}
    return [VersionBrief(**_brief(view, each, releases[each.number])) for each in found]


def _version(view: View, version: Version) -> VersionOut:
    users = lineage.users(view, model=version.model, number=version.number, kind="release")
    return VersionOut(
        **_brief(view, version, [name for _, name in users]),
        files=version.files,
        environment=version.environment,
        signature=version.signature,
        evaluation_blob=version.evaluation_blob,
        snapshots=list(version.snapshots),
        description=version.description,
        aliases=[alias.name for alias in aliases.of(view, version.model) if alias.version == version.number],
        is_known=version.is_known,
    )


def _brief(view: View, version: Version, releases: list[str]) -> dict[str, Any]:
    return {
        "model": version.model,
        "number": version.number,
        "id": version.id,
        "digest": version.digest,
        "format": version.format,
        "state": version.state,
        "metrics": version.metrics,
        "run_id": version.run_id,
        "created_at": version.created_at,
        "actor": version.actor,
        "age_days": round((view.now() - version.created_at).total_seconds() / _DAY_S, 3),
        "releases": releases,
    }
