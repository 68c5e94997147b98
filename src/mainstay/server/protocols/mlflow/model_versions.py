# SPDX-License-Identifier: Apache-2.0
"""Model versions: registered from a source, found, described, tagged, moved between stages, deleted.

MLflow's client registers with any source. Where its bytes are here they are pinned at that moment; where they are not, the
version is a reference. A request that is repeated is a new version, as with MLflow: nothing tells it from a second one.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import msgspec

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.lifecycle.registry import aliases, folders, models, search, versions
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.server.protocols.mlflow import registered, sources, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.registered import Tag
from mainstay.store import Change, View

calls = Calls()

MOST_VERSIONS = 200_000
_AT_ONCE = 10_000
_PLAIN = re.compile(r"[A-Za-z0-9_][\w.\-]*", re.ASCII)
_VERSIONS_TAG = "mlflow.modelVersions"
#: Where a version's pinned files are read by MLflow's artifact client; see ``artifacts``.
PINNED = "registered-models"


class NewVersion(wire.Request):
    name: str
    source: str
    run_id: str = ""
    tags: list[Tag] = msgspec.field(default_factory=list)
    run_link: str = ""
    description: str = ""
    model_id: str = ""


class Named(wire.Request):
    name: str
    version: str


class Update(wire.Request):
    name: str
    version: str
    description: str = ""


class Transition(wire.Request):
    name: str
    version: str
    stage: str
    archive_existing_versions: bool = False


class Search(wire.Request):
    filter: str = ""
    max_results: int = 10_000
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str = ""


class SetTag(wire.Request):
    name: str
    version: str
    key: str
    value: str | None = None


class DeleteTag(wire.Request):
    name: str
    version: str
    key: str


@calls.post("POST", "model-versions/create")
def create(change: Change, body: NewVersion) -> dict[str, Any]:
    """Give what a source leads to the next number of a model."""
    model = registered.model_named(change, body.name)
    tags = registered.tags_of(body.tags)
    if model.kind == "prompt":
        prompt = tags.get(registered.PROMPT_TEXT, "")
        if len(prompt) > registered.LONGEST_PROMPT:
            raise Invalid(
                f"Prompt text exceeds max length of {registered.LONGEST_PROMPT} characters; it has {len(prompt)}."
            )
        made = versions.refer(
            change,
            model=body.name,
            source=body.source,
            tags=tags,
            description=body.description,
            text=prompt,
        )
        return {"model_version": registered.written_version(change, made)}
    found = sources.find(change, body.source, run_id=body.run_id, model_id=body.model_id, run_link=body.run_link)
    made = _registered(change, body, found, tags)
    _note_on_logged_model(change, made)
    return {"model_version": registered.written_version(change, made)}


@calls.get("model-versions/get")
def get(view: View, body: Named) -> dict[str, Any]:
    """One version."""
    return {"model_version": registered.written_version(view, registered.version_named(view, body.name, body.version))}


@calls.get("model-versions/search")
def search_versions(view: View, body: Search) -> dict[str, Any]:
    """Versions by a filter; those of prompts only if it asks for them."""
    found = search.versions(
        view,
        comparisons=registered.comparisons(body.filter, registered.VERSIONS),
        orders=registered.VERSIONS.orders(body.order_by),
        after=registered.place(body.page_token),
        limit=min(registered.check_most(body.max_results, MOST_VERSIONS), _AT_ONCE),
    )
    items = registered.written_versions(view, found.items)
    next_page = registered.token(found.next)
    return {"model_versions": items} | ({"next_page_token": next_page} if next_page else {})


@calls.get("model-versions/get-download-uri")
def get_download_uri(view: View, body: Named) -> dict[str, Any]:
    """Where the bytes of a version are read: as they were pinned, or where the source says that they are."""
    version = registered.version_named(view, body.name, body.version)
    return {"artifact_uri": _artifact_uri(view, version)}


@calls.post("PATCH", "model-versions/update")
def update(change: Change, body: Update) -> dict[str, Any]:
    """Describe a version."""
    version = registered.version_named(change, body.name, body.version)
    changed = versions.describe(change, model=version.model, number=version.number, description=body.description)
    return {"model_version": registered.written_version(change, changed)}


@calls.post("POST", "model-versions/transition-stage")
def transition_stage(change: Change, body: Transition) -> dict[str, Any]:
    """Put a version into a stage. That decides nothing here: releases do."""
    stage = registered.canonical_stage(body.stage)
    version = registered.version_named(change, body.name, body.version)
    if body.archive_existing_versions:
        if stage not in ("Staging", "Production"):
            raise Invalid(
                f"Model version transition cannot archive existing model versions because '{body.stage}' is not an "
                "Active stage. Valid stages are ['Staging', 'Production']"
            )
        for other in versions.listed(change, model=body.name, limit=_AT_ONCE):
            if registered.stage_of(other) == stage and other.number != version.number:
                _put_stage(change, other, "Archived")
    _put_stage(change, version, stage)
    models.touched(change, version.model)
    moved = versions.get(change, version.model, version.number)
    return {"model_version": registered.written_version(change, moved)}


@calls.post("DELETE", "model-versions/delete")
def delete(change: Change, body: Named) -> dict[str, Any]:
    """Take a version away; as with MLflow, its aliases go with it. What was released stays."""
    version = registered.version_named(change, body.name, body.version)
    for alias in aliases.of(change, version.model):
        if alias.version == version.number:
            aliases.take_away(change, model=version.model, alias=alias.name)
    versions.delete(change, model=version.model, number=version.number)
    return {}


@calls.post("POST", "model-versions/set-tag")
def set_tag(change: Change, body: SetTag) -> dict[str, Any]:
    """Tag a version."""
    if body.value is None:
        raise wire.missing("value")
    version = registered.version_named(change, body.name, body.version)
    _check_tag(version, body.key)
    versions.describe(change, model=version.model, number=version.number, tags={body.key: body.value})
    return {}


@calls.post("DELETE", "model-versions/delete-tag")
def delete_tag(change: Change, body: DeleteTag) -> dict[str, Any]:
    """Take a version's tag away; one that is not there is gone already."""
    version = registered.version_named(change, body.name, body.version)
    _check_tag(version, body.key)
    versions.describe(change, model=version.model, number=version.number, tags={body.key: None})
    return {}


def pinned(view: View, path: str) -> dict[str, str] | None:
    """Digests by name of the version whose files are read at ``registered-models/NAME/NUMBER``; None for another path."""
    parts = path.strip("/").split("/")
    if len(parts) < 3 or parts[0] != PINNED:
        return None
    version = registered.version_named(view, _name_in(parts[1]), parts[2])
    return {name: file.digest for name, file in version.files.items()}


def _in_address(name: str) -> str:
    """A name as one part of an address that needs no encoding: clients encode once, twice or not at all."""
    return name if _PLAIN.fullmatch(name) else "~" + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _name_in(part: str) -> str:
    if not part.startswith("~"):
        return part
    try:
        return base64.urlsafe_b64decode(part[1:] + "=" * (-len(part[1:]) % 4)).decode()
    except ValueError as error:
        raise NotFound(f"nothing is kept at {PINNED}/{part[:80]}; ask get-download-uri for the address.") from error


def _registered(change: Change, body: NewVersion, found: sources.Source, tags: dict[str, str]) -> Version:
    told: dict[str, Any] = {"model": body.name, "tags": tags, "description": body.description, "claims": found.claims}
    if found.files is None:
        return versions.refer(change, source=found.text, run_id=found.run_id, **told)
    return folders.register(
        change, files=found.files, run_id=found.run_id, source=found.text, metrics=found.metrics, **told
    )


def _note_on_logged_model(change: Change, version: Version) -> None:
    """The tag by which clients find the versions of a logged model."""
    identity = version.claims.get("model_id", "")
    try:
        [known] = logged_models.known(change, [logged_models.get(change, identity)])
        before = json.loads(known.tags.get(_VERSIONS_TAG, "[]"))
    except (NotFound, ValueError):
        return
    if isinstance(before, list):
        after = [*before, {"name": version.model, "version": version.number}]
        logged_models.put_tags(change, identity, {_VERSIONS_TAG: json.dumps(after)})


def _artifact_uri(view: View, version: Version) -> str:
    if version.files:
        return f"mlflow-artifacts:/{PINNED}/{_in_address(version.model)}/{version.number}"
    if version.source.startswith("models:/"):
        try:
            name, number = version.source.removeprefix("models:/").rsplit("/", 1)
            return _artifact_uri(view, versions.get(view, name, int(number)))
        except (ValueError, NotFound):
            return version.source
    return version.source


def _put_stage(change: Change, version: Version, stage: str) -> None:
    versions.describe(
        change,
        model=version.model,
        number=version.number,
        description=version.description,
        tags={registered.STAGE: None if stage == "None" else stage},
    )


def _check_tag(version: Version, key: str) -> None:
    if key == registered.STAGE:
        raise Invalid(f"tag {key!r} is kept for the stage of a version; move it with transition-stage.")
    if key == registered.PROMPT_TEXT and version.format == "prompt":
        raise Invalid(f"the text of prompt {version.id} is fixed by its number; register another version.")
