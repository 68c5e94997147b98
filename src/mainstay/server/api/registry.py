# SPDX-License-Identifier: Apache-2.0
"""Models, versions and aliases, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Alias, File, Model, Permission, Used, Version
from mainstay.lifecycle.data import references
from mainstay.lifecycle.registry import aliases, cards, folders, inputs, lineage, models, permissions, search, versions
from mainstay.lifecycle.tracking import logs
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("registry")

_DAY_S = 86_400


class ModelIn(Body):
    name: str
    owner: str | None = None  # whoever asks, if nobody is named
    tier: str = "medium"
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class ModelChangeIn(Body):
    description: str | None = None
    owner: str | None = None
    tier: str | None = None
    tags: dict[str, str | None] = msgspec.field(default_factory=dict)


class NameIn(Body):
    name: str


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
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class FolderIn(Body):
    run_id: str
    path: str
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class ReferenceIn(Body):
    source: str
    run_id: str | None = None
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class VersionChangeIn(Body):
    description: str | None = None
    tags: dict[str, str | None] = msgspec.field(default_factory=dict)


class StateIn(Body):
    state: str


class PermissionIn(Body):
    permission: str = permissions.ALLOW_PICKLE
    version: int | None = None


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
    run_id: str | None
    created_at: datetime
    updated_at: datetime
    actor: str
    age_days: float
    releases: list[str]
    tags: dict[str, str]
    is_reference: bool
    needs_pickle: bool
    views: list[str]  # the versions of feature views that it is bound to
    transforms: list[str]  # what is computed for it at the moment of asking


class VersionOut(VersionBrief, kw_only=True):
    files: dict[str, File]
    environment: dict[str, Any]
    signature: dict[str, Any]
    evaluation_blob: str | None
    snapshots: list[Used]
    description: str
    source: str
    claims: dict[str, str]
    permission: Permission | None  # under which it may be unpickled
    aliases: list[str]
    is_known: bool
    warnings: list[str]  # of the data it came from: read from a place that may change


class ModelOut(msgspec.Struct, kw_only=True):
    name: str
    owner: str
    tier: str
    description: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    tags: dict[str, str]
    aliases: dict[str, int]
    versions: list[VersionBrief]
    permissions: list[Permission]
    held_by: list[str]  # who counts on its name: it can be neither renamed nor deleted


class Models(msgspec.Struct):
    items: list[ModelOut]
    next: str | None


class Versions(msgspec.Struct):
    items: list[VersionBrief]
    next: int | None


class FoundModels(msgspec.Struct):
    items: list[ModelOut]
    next: int | None


class Card(msgspec.Struct):
    version: str
    markdown: str


class Rules(msgspec.Struct):
    items: list[dict[str, Any]]


@routes.post("/models", permission="write", status=201)
def create(change: Change, body: ModelIn) -> ModelOut:
    """Name a model, who answers for it, and how much harm a wrong answer can do."""
    made = models.create(
        change,
        name=body.name,
        owner=body.owner or change.actor,
        tier=body.tier,
        description=body.description,
        tags=body.tags,
    )
    return _model(change, made)


@routes.get("/models", permission="read")
def list_models(view: View, after: str = "", limit: int = 100) -> Models:
    """Models by name, each with its newest versions."""
    found = models.listed(view, after=after, limit=limit)
    return Models(items=[_model(view, each) for each in found], next=found[-1].name if len(found) == limit else None)


@routes.get("/search/models", permission="read")
def search_models(view: View, filter: str = "", order: str = "", after: int = 0, limit: int = 100) -> FoundModels:
    """Models by comparisons such as ``name ilike '%late%' and tags.team = 'ops'``; ``order``: ``updated_at desc``."""
    found = search.models(view, filter=filter, order=_orders(order), after=_place(after), limit=limit)
    return FoundModels(items=[_model(view, each) for each in found.items], next=found.next)


@routes.get("/search/versions", permission="read")
def search_versions(view: View, filter: str = "", order: str = "", after: int = 0, limit: int = 100) -> Versions:
    """Versions of any model, those that changed last first; fields name, number, run_id, source, state, format, tags.*."""
    found = search.versions(view, filter=filter, order=_orders(order), after=_place(after), limit=limit)
    return Versions(items=[_brief_out(view, each) for each in found.items], next=found.next)


@routes.get("/models/{name}", permission="read")
def show(view: View, name: str) -> ModelOut:
    """One model with its aliases and newest versions."""
    return _model(view, models.get(view, name))


@routes.post("/models/{name}/change", permission="write")
def describe(change: Change, name: str, body: ModelChangeIn) -> ModelOut:
    """Say something else of a model: description, owner, tier, tags. A tag that is null is taken away."""
    models.describe(change, name=name, description=body.description, owner=body.owner, tier=body.tier, tags=body.tags)
    return _model(change, models.get(change, name))


@routes.post("/models/{name}/rename", permission="write")
def rename(change: Change, name: str, body: NameIn) -> ModelOut:
    """Give a model another name, as long as no release or deployment counts on this one."""
    return _model(change, models.rename(change, name=name, to=body.name))


@routes.post("/models/{name}/delete", permission="write")
def delete(change: Change, name: str) -> dict[str, str]:
    """Delete a model with its versions, as long as no release or deployment counts on it."""
    models.delete(change, name=name)
    return {"deleted": name}


@routes.post("/models/{name}/permissions", permission="admin", status=201)
def give_permission(change: Change, name: str, body: PermissionIn) -> Permission:
    """Allow what is normally refused, such as to load a version by unpickling it. A reason is needed."""
    return permissions.give(change, model=name, number=body.version, what=body.permission)


@routes.post("/models/{name}/permissions/remove", permission="admin")
def take_permission(change: Change, name: str, body: PermissionIn) -> ModelOut:
    """Withdraw a permission; what was released under it stays released."""
    permissions.take(change, model=name, number=body.version, what=body.permission)
    return _model(change, models.get(change, name))


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
        tags=body.tags,
    )
    return _version(change, made)


@routes.post("/models/{name}/folders", permission="write", status=201)
def register_folder(change: Change, name: str, body: FolderIn) -> VersionOut:
    """Give a model folder among a run's artifacts the next number; its bytes are pinned as they are now."""
    made = folders.register(
        change,
        model=name,
        files=folders.of_run(change, body.run_id, body.path),
        run_id=body.run_id,
        source=f"runs:/{body.run_id}/{body.path}",
        metrics=logs.of(change, body.run_id).metrics,
        tags=body.tags,
        description=body.description,
        once=True,
    )
    return _version(change, made)


@routes.post("/models/{name}/references", permission="write", status=201)
def refer(change: Change, name: str, body: ReferenceIn) -> VersionOut:
    """Give a number to bytes that are elsewhere. Such a version can be looked up, and never be released."""
    made = versions.refer(
        change, model=name, source=body.source, run_id=body.run_id, tags=body.tags, description=body.description
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


@routes.get("/models/{name}/versions/{number:int}/rules", permission="read")
def show_rules(view: View, name: str, number: int) -> Rules:
    """What the contracts of a version's data ask of its inputs: what refuses a value, and other names of them."""
    return Rules(items=[rule.content() for rule in inputs.rules_of(view, versions.get(view, name, number))])


@routes.get("/models/{name}/versions/{number:int}/card", permission="read")
def card(view: View, name: str, number: int) -> Card:
    """A draft of the version's model card: what the record knows, and headings for what only people know."""
    return Card(version=f"{name}/{number}", markdown=cards.draft(view, model=name, number=number))


@routes.post("/models/{name}/versions/{number:int}/change", permission="write")
def describe_version(change: Change, name: str, number: int, body: VersionChangeIn) -> VersionOut:
    """Say something else of a version: description, tags. A tag that is null is taken away."""
    versions.describe(change, model=name, number=number, description=body.description, tags=body.tags)
    return _version(change, versions.get(change, name, number))


@routes.post("/models/{name}/versions/{number:int}/delete", permission="write")
def delete_version(change: Change, name: str, number: int) -> dict[str, str]:
    """Take a version away that no release, deployment or alias names. Its number stays taken."""
    return {"deleted": versions.delete(change, model=name, number=number).id}


@routes.post("/models/{name}/versions/{number:int}/state", permission="write")
def mark_version(change: Change, name: str, number: int, body: StateIn) -> VersionOut:
    """Retire a version. A release alone makes one released, and deleting is a route of its own."""
    if body.state != "retired":
        raise Invalid(f"a version is only retired here, not {body.state!r}; a release makes it released.")
    return _version(change, versions.mark(change, model=name, number=number, state=body.state))


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
        updated_at=model.updated_at,
        tags=model.tags,
        aliases={alias.name: alias.version for alias in aliases.of(view, model.name)},
        versions=_briefs(view, model.name, newest),
        permissions=permissions.of(view, model.name),
        held_by=models.holders(view, model.name),
    )


def _briefs(view: View, model: str, found: list[Version]) -> list[VersionBrief]:
    users = lineage.users(view, model=model, kind="release")
    releases = {each.number: [name for number, name in users if number == each.number] for each in found}
    return [VersionBrief(**_brief(view, each, releases[each.number])) for each in found]


def _brief_out(view: View, version: Version) -> VersionBrief:
    users = lineage.users(view, model=version.model, number=version.number, kind="release")
    return VersionBrief(**_brief(view, version, [name for _, name in users]))


def _orders(text: str) -> list[str]:
    return [part for part in text.split(",") if part.strip()]


def _place(after: int) -> int:
    if after < 0:
        raise Invalid(f"'after' is {after}; the 'next' of an earlier answer is expected.")
    return after


def _version(view: View, version: Version) -> VersionOut:
    users = lineage.users(view, model=version.model, number=version.number, kind="release")
    return VersionOut(
        **_brief(view, version, [name for _, name in users]) | {"metrics": versions.told(view, version)},
        files=version.files,
        environment=version.environment,
        signature=version.signature,
        evaluation_blob=version.evaluation_blob,
        snapshots=list(version.snapshots),
        description=version.description,
        source=version.source,
        claims=version.claims,
        permission=permissions.covering(view, version) if permissions.needs_pickle(version) else None,
        aliases=[alias.name for alias in aliases.of(view, version.model) if alias.version == version.number],
        is_known=version.is_known,
        warnings=references.warning_of(view, [used.id for used in version.snapshots]),
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
        "updated_at": version.updated_at,
        "actor": version.actor,
        "age_days": round((view.now() - version.created_at).total_seconds() / _DAY_S, 3),
        "releases": releases,
        "tags": version.tags,
        "is_reference": version.is_reference,
        "needs_pickle": permissions.needs_pickle(version),
        "views": [f"{pin['view']}/{pin['version']}" for pin in version.signature.get("views") or ()],
        "transforms": [each["name"] for each in version.signature.get("transforms") or ()],
    }
