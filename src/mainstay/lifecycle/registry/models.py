# SPDX-License-Identifier: Apache-2.0
"""Models: names for versions, each with an owner and a tier."""

from __future__ import annotations

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.registry import ModelCreated
from mainstay.domain.names import check_name
from mainstay.domain.registry import TIERS, Model
from mainstay.lifecycle.registry import tables
from mainstay.store import Change, View


def create(change: Change, *, name: str, owner: str, tier: str = "medium", description: str = "") -> Model:
    """Name a model.

    Raises:
        Invalid: an unusable name, no owner, or an unknown tier. Conflict: the name is taken.
    """
    check_name("model", name)
    check_name("owner", owner)
    if tier not in TIERS:
        raise Invalid(f"model {name!r} cannot have tier {tier!r}; the tiers are {', '.join(TIERS)}.")
    if tables.model(change, name):
        raise Conflict(f"model {name!r} exists already; register a version of it, or choose another name.", model=name)
    new = Model(
        name=name,
        owner=owner,
        tier=tier,
        description=description,
        created_at=change.now(),
        created_by=change.actor,
    )
    tables.put_model(change, new)
    change.record(ModelCreated(model=name, owner=owner, tier=tier))
    return new


def get(view: View, name: str) -> Model:
    """One model.

    Raises:
        NotFound: there is none of that name.
    """
    return _found(tables.model(view, name), name)


def lock(change: Change, name: str) -> Model:
    """The model, held until the change ends, so that two writers come one after the other.

    Raises:
        NotFound: there is none of that name.
    """
    return _found(tables.locked_model(change, name), name)


def listed(view: View, *, after: str = "", limit: int = 100) -> list[Model]:
    """Models by name, from behind ``after``."""
    return tables.all_models(view, after, limit)


def _found(model: Model | None, name: str) -> Model:
    if model is None:
        raise NotFound(f"there is no model {name!r}; `mainstay models list` shows those there are.", model=name)
    return model
