# SPDX-License-Identifier: Apache-2.0
"""How a registered model and its versions are written in MLflow's words, and how its searches are read.

The stage of a version, which MLflow has given up and its clients still ask for, is a tag of ours that is not shown as one.
A prompt is a model of kind ``prompt``, told by the tag with which MLflow marks it; its text is fixed when it is registered.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Model, Version
from mainstay.domain.search import Comparison
from mainstay.lifecycle.registry import aliases, models, versions
from mainstay.server.protocols.mlflow import filters, wire
from mainstay.store import View

IS_PROMPT = "mlflow.prompt.is_prompt"
PROMPT_TEXT = "mlflow.prompt.text"
LONGEST_PROMPT = 100_000
STAGE = "mlflow.stage"
STAGES = ("None", "Staging", "Production", "Archived")

_WORDS = {
    "tag": "tags", "tags": "tags",
    "attribute": "attribute", "attributes": "attribute", "attr": "attribute",
}  # fmt: skip
# A time gives an order, and no condition.
MODELS = filters.Grammar(
    attributes={
        "name": filters.text("name"),
        "creation_timestamp": filters.Field("created_at", ()),
        "timestamp": filters.Field("updated_at", ()),
        "last_updated_timestamp": filters.Field("updated_at", ()),
    },
    keyed={"tags": filters.text(sortable=False)},
    words=_WORDS,
)
VERSIONS = filters.Grammar(
    attributes={
        "name": filters.text("name"),
        "version_number": filters.number("number", whole=True),
        "version": filters.number("number", whole=True),
        "run_id": filters.text("run_id", lists=True, sortable=False),
        "source_path": filters.text("source", sortable=False),
        "creation_timestamp": filters.Field("created_at", ()),
        "last_updated_timestamp": filters.Field("updated_at", ()),
    },
    keyed={"tags": filters.text(sortable=False)},
    words=_WORDS,
)


class Tag(msgspec.Struct):
    key: str = ""
    value: str = ""


def written(view: View, model: Model) -> dict[str, Any]:
    """One model."""
    return written_models(view, [model])[0]


def written_models(view: View, found: Sequence[Model]) -> list[dict[str, Any]]:
    """Models, each with the newest version of each stage; a handful of queries for all of them."""
    names = [model.name for model in found]
    newest: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for version in written_versions(view, versions.newest_by_tag(view, models=names, key=STAGE)):
        newest[version["name"]].append(version)
    named: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    for (name, number), every in aliases.by_version(view, names).items():
        named[name] += [(alias, number) for alias in every]
    return [_model(model, newest[model.name], sorted(named[model.name])) for model in found]


def _model(model: Model, newest: list[dict[str, Any]], named: list[tuple[str, int]]) -> dict[str, Any]:
    return {
        "name": model.name,
        "creation_timestamp": wire.millis(model.created_at),
        "last_updated_timestamp": wire.millis(model.updated_at),
        "user_id": model.created_by,
        "description": model.description,
        "latest_versions": newest,
        "tags": _tags(model.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in named],
    }


def written_version(view: View, version: Version) -> dict[str, Any]:
    """One version."""
    return written_versions(view, [version])[0]


def written_versions(view: View, found: Sequence[Version]) -> list[dict[str, Any]]:
    """Versions, with their aliases."""
    named = aliases.by_version(view, {version.model for version in found})
    return [_version(version, named.get((version.model, version.number), [])) for version in found]


def _version(version: Version, named: list[str]) -> dict[str, Any]:
    """A version; what has no value is left out."""
    claims = version.claims
    found = {
        "name": version.model,
        "version": str(version.number),
        "creation_timestamp": wire.millis(version.created_at),
        "last_updated_timestamp": wire.millis(version.updated_at),
        "user_id": version.actor,
        "current_stage": stage_of(version),
        "description": version.description,
        "source": version.source or f"runs:/{version.run_id}",
        "run_id": claims.get("run_id") or version.run_id or "",
        "run_link": claims.get("run_link", ""),
        "status": "READY",
        "tags": _tags({key: value for key, value in version.tags.items() if key != STAGE}),
        "aliases": named,
    }
    return found | ({"model_id": claims["model_id"]} if claims.get("model_id") else {})


def stage_of(version: Version) -> str:
    """The stage of a version; ``None`` is a stage, too."""
    return version.tags.get(STAGE, "None")


def canonical_stage(text: str) -> str:
    """A stage as it is written.

    Raises:
        Invalid: there is none of that name.
    """
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise Invalid(f"Invalid Model Version stage: {text[:60]}. Value must be one of {', '.join(STAGES)}.")


def latest(view: View, name: str, stages: Iterable[str] = ()) -> list[Version]:
    """The newest version of each stage, or of those asked for."""
    wanted = {canonical_stage(stage) for stage in stages} or set(STAGES)
    newest = versions.newest_by_tag(view, models=[name], key=STAGE)
    return [version for version in newest if stage_of(version) in wanted]


def model_named(view: View, name: str) -> Model:
    """One model.

    Raises:
        NotFound: in the words by which clients know it.
    """
    try:
        return models.get(view, name)
    except NotFound as error:
        raise NotFound(f"Registered Model with name={name} not found: {error.message}") from error


def version_named(view: View, name: str, version: str) -> Version:
    """One version.

    Raises:
        NotFound, Invalid: in the words by which clients know it.
    """
    number = number_of(version)
    try:
        return versions.get(view, name, number)
    except NotFound as error:
        raise NotFound(f"Model Version (name={name}, version={version}) not found: {error.message}") from error


def number_of(version: str) -> int:
    """The number of a version as the client sends it.

    Raises:
        Invalid: it is none.
    """
    try:
        number = int(version)
    except ValueError as error:
        raise Invalid(f"Parameter 'version' must be an integer, got '{version[:60]}'.") from error
    if abs(number) >= 1 << 31:
        raise Invalid(f"Parameter 'version' must be an integer, got '{version[:60]}', which no version has.")
    return number


def tags_of(tags: Sequence[Tag]) -> dict[str, str]:
    """Tags by key.

    Raises:
        Invalid: one has no key.
    """
    if any(not tag.key for tag in tags):
        raise wire.missing("key")
    return {tag.key: tag.value for tag in tags}


def comparisons(text: str, grammar: filters.Grammar) -> list[Comparison]:
    """A filter; the tag that marks prompts speaks of the kind.

    Raises:
        Invalid: it cannot be understood.
    """
    return [_kind(each) if each[:2] == ("tags", IS_PROMPT) else each for each in grammar.comparisons(text)]


def _kind(asked: Comparison) -> Comparison:
    wants_prompts = (asked.operator == "=") == (str(asked.value).lower() == "true")
    return Comparison("attribute", "kind", "=", "prompt" if wants_prompts else "model")


def place(token: str | None) -> int:
    """Where the page begins.

    Raises:
        Invalid: it is no token of ours.
    """
    if not token:
        return 0
    try:
        found = json.loads(base64.b64decode(token, validate=True))["offset"]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Invalid("Invalid page token: it is none that an answer of this server held.") from error
    if not isinstance(found, int) or not 0 <= found < 1 << 40:
        raise Invalid("Invalid page token: it is none that an answer of this server held.")
    return found


def token(place: int | None) -> str | None:
    """Where the next page begins, as the client sends it back."""
    return None if place is None else base64.b64encode(json.dumps({"offset": place}).encode()).decode()


def check_most(found: int, most: int) -> int:
    """``max_results`` if it can be had.

    Raises:
        Invalid: it cannot.
    """
    if not 1 <= found <= most:
        raise Invalid(
            f"Invalid value for request parameter max_results. It must be at least 1 and at most {most}, "
            f"but got value {found}."
        )
    return found


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
