# SPDX-License-Identifier: Apache-2.0
"""Models: names for versions, each with an owner and a tier.

A model is described, tagged, renamed or deleted as long as nobody downstream counts on its name; a release fixes
names by digest, so from the first one on the name stands. A name that was given up keeps its numbers: whoever takes it
again goes on counting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.registry import (
    AliasMoved,
    ModelChanged,
    ModelCreated,
    ModelDeleted,
    ModelRenamed,
    VersionMarked,
)
from mainstay.domain.names import check_name
from mainstay.domain.registry import KINDS, TIERS, Model, check_description, check_model_name, check_tags
from mainstay.lifecycle.data import lineage as data_lineage
from mainstay.lifecycle.registry import tables
from mainstay.lifecycle.tracking.lineage import links
from mainstay.store import Change, View


def create(
    change: Change,
    *,
    name: str,
    owner: str,
    tier: str = "medium",
    description: str = "",
    kind: str = "model",
    tags: Mapping[str, str] | None = None,
) -> Model:
    """Name a model.

    Raises:
        Invalid: an unusable name, no owner, an unknown tier or kind. Conflict: the name is taken.
    """
    check_model_name(name)
    check_name("owner", owner)
    _check_tier(name, tier)
    if kind not in KINDS:
        raise Invalid(f"model {name!r} cannot be of kind {kind!r}; the kinds are {', '.join(KINDS)}.")
    check_description(f"model {name!r}", description)
    check_tags(f"model {name!r}", tags or {})
    if tables.model(change, name):
        raise Conflict(f"model {name!r} exists already; register a version of it, or choose another name.", model=name)
    new = Model(
        name=name,
        owner=owner,
        tier=tier,
        description=description,
        created_at=change.now(),
        created_by=change.actor,
        kind=kind,
        updated_at=change.now(),
        tags=dict(tags or {}),
    )
    tables.put_model(change, new)
    change.record(ModelCreated(model=name, owner=owner, tier=tier, description=description, tags=new.tags))
    return new


def describe(
    change: Change,
    *,
    name: str,
    description: str | None = None,
    owner: str | None = None,
    tier: str | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> Model:
    """Say something else of a model; None leaves a thing as it is, and a tag that is None is taken away.

    Raises:
        NotFound: there is none of that name. Invalid: an unusable owner, tier, description or tag.
    """
    before = lock(change, name)
    given = {"description": description, "owner": owner, "tier": tier}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if description is not None:
        check_description(f"model {name!r}", description)
    if owner is not None:
        check_name("owner", owner)
    if tier is not None:
        _check_tier(name, tier)
    check_tags(f"model {name!r}", {key: value for key, value in (tags or {}).items() if value is not None})
    if changes:
        tables.set_model(change, name, **changes, updated_at=change.now())
    if tags:
        tables.set_model_tags(change, name, tags)
    change.record(ModelChanged(model=name, changes=changes | ({"tags": dict(tags)} if tags else {})))
    kept = {key: value for key, value in (before.tags | dict(tags or {})).items() if value is not None}
    return replace(before, **changes, tags=kept, updated_at=change.now() if changes else before.updated_at)


def rename(change: Change, *, name: str, to: str) -> Model:
    """Give a model another name; numbers, aliases, files and lineage come along.

    Raises:
        NotFound: there is none of that name. Invalid: an unusable name. Conflict: the name is taken, or somebody counts on
        the present one.
    """
    before = lock(change, name)
    check_model_name(to)
    if tables.model(change, to):
        raise Conflict(f"model {to!r} exists already; {name!r} cannot take its name. Choose another.", model=to)
    if tables.has_versions_left(change, to):
        raise Conflict(
            f"{to!r} was the name of a model that was deleted, and its numbers stay taken; choose another name.",
            model=to,
        )
    _refuse_if_held(change, name, "renamed")
    numbers = [version.number for version in tables.versions_of(change, name, before=None, limit=None)]
    tables.rename_model(change, name, to)
    tables.set_model(change, to, updated_at=change.now())
    for number in numbers:
        data_lineage.rename_user(change, before=f"version:{name}/{number}", after=f"version:{to}/{number}")
        links.rename(change, kind="version", before=f"{name}/{number}", after=f"{to}/{number}")
    change.record(ModelRenamed(model=to, before=name))
    return replace(before, name=to, updated_at=change.now())


def delete(change: Change, *, name: str) -> None:
    """Delete a model with its versions and aliases. Bytes that runs hold stay; numbers under the name go on.

    Raises:
        NotFound: there is none of that name. Conflict: a release or a deployment counts on it; the message names them.
    """
    lock(change, name)
    _refuse_if_held(change, name, "deleted")
    for alias in tables.aliases_of(change, name):
        tables.drop_alias(change, name, alias.name)
        change.record(AliasMoved(model=name, alias=alias.name, before=alias.version, after=None))
    found = tables.versions_of(change, name, before=None, limit=None)
    for version in found:
        tables.set_version(change, name, version.number, state="deleted", updated_at=change.now())
        change.record(VersionMarked(model=name, number=version.number, before=version.state, after="deleted"))
    tables.drop_model(change, name)
    change.record(ModelDeleted(model=name, versions=[version.number for version in found]))


def get(view: View, name: str) -> Model:
    """One model.

    Raises:
        NotFound: there is none of that name; if there was, the message says what became of it.
    """
    return _found(view, tables.model(view, name), name)


def lock(change: Change, name: str) -> Model:
    """The model, held until the change ends, so that two writers come one after the other.

    Raises:
        NotFound: there is none of that name.
    """
    return _found(change, tables.locked_model(change, name), name)


def listed(view: View, *, after: str = "", limit: int = 100) -> list[Model]:
    """Models by name, from behind ``after``; prompts are not among them."""
    return tables.all_models(view, after, limit)


def use(change: Change, *, model: str, subject: str) -> None:
    """Note that ``subject`` (``deployment:flights``) counts on a model by its name; on one at a time.

    Raises:
        NotFound: there is none of that name.
    """
    get(change, model)
    tables.put_model_use(change, model=model, subject=subject)


def holders(view: View, name: str) -> list[str]:
    """Who would be left with a name that names nothing: releases of its versions, deployments that serve it."""
    return sorted({subject for _, subject in tables.uses(view, name, None)} | set(tables.model_users(view, name)))


def touched(change: Change, name: str) -> None:
    """Note that something happened to a model's versions just now."""
    tables.set_model(change, name, updated_at=change.now())


def _refuse_if_held(view: View, name: str, what: str) -> None:
    held = holders(view, name)
    if held:
        shown = ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
        raise Conflict(
            f"model {name!r} cannot be {what}: {shown} count on its name. Make a model of another name instead.",
            held_by=held[:100],
        )


def _check_tier(name: str, tier: str) -> None:
    if tier not in TIERS:
        raise Invalid(f"model {name!r} cannot have tier {tier!r}; the tiers are {', '.join(TIERS)}.")


def _found(view: View, model: Model | None, name: str) -> Model:
    if model is not None:
        return model
    if former := tables.former_name(view, name):
        became = f"was renamed to {former[0]!r}" if former[0] else "was deleted"
        raise NotFound(
            f"there is no model {name!r}: it {became}. `mainstay models list` shows those there are.", model=name
        )
    raise NotFound(f"there is no model {name!r}; `mainstay models list` shows those there are.", model=name)
