# SPDX-License-Identifier: Apache-2.0
"""Aliases: movable names on model versions, such as ``champion``.

In: a model, a name, a version that exists, and what the caller believes the alias names now. Out: the alias, and one
``alias.moved`` event. Of many who move it from the same belief exactly one succeeds. Release decides *when* to move
one; this file only knows *how*.
"""

from __future__ import annotations

from collections.abc import Iterable

from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.events.registry import AliasMoved
from mainstay.domain.registry import Alias, check_alias
from mainstay.lifecycle.registry import models, tables, versions
from mainstay.store import Change, View


def move(change: Change, *, model: str, alias: str, to: int, expected: int | None = None) -> Alias:
    """Point ``alias`` at version ``to`` of ``model``; create it if it is new.

    Args:
        expected: the version it names now, as far as the caller knows; 0 for "there is no such alias yet". None:
        whatever.

    Raises:
        NotFound: there is no such model or version. Conflict: the alias names another version than ``expected``.
        Invalid: the alias would read as a version's number.
    """
    models.lock(change, model)
    check_alias(alias)
    versions.get(change, model, to)
    before = tables.alias(change, model, alias)
    now = before.version if before else 0
    if expected is not None and expected != now:
        says = f"names version {now}" if now else "does not exist"
        wanted = f"version {expected}" if expected else "no such alias"
        raise Conflict(
            f"alias {alias!r} of model {model!r} {says}, you expected {wanted}; look again, then decide.",
            found=now,
            expected=expected,
        )
    after = Alias(model=model, name=alias, version=to, moved_at=change.now(), actor=change.actor)
    tables.put_alias(change, after)
    change.record(AliasMoved(model=model, alias=alias, before=now or None, after=to))
    return after


def take_away(change: Change, *, model: str, alias: str) -> Alias:
    """Remove ``alias``; the version it named stays.

    Raises:
        NotFound: there is no such model or alias.
    """
    models.lock(change, model)
    before = get(change, model, alias)
    tables.drop_alias(change, model, alias)
    change.record(AliasMoved(model=model, alias=alias, before=before.version, after=None))
    return before


def get(view: View, model: str, alias: str) -> Alias:
    """One alias.

    Raises:
        NotFound: there is no such model or alias.
    """
    found = tables.alias(view, model, alias)
    if found is None:
        models.get(view, model)
        there = ", ".join(a.name for a in of(view, model)) or "none"
        raise NotFound(f"model {model!r} has no alias {alias!r}; its aliases: {there}.")
    return found


def by_version(view: View, models: Iterable[str]) -> dict[tuple[str, int], list[str]]:
    """The aliases on each version of some models, in one query."""
    found: dict[tuple[str, int], list[str]] = {}
    for alias in tables.aliases_of_many(view, set(models)):
        found.setdefault((alias.model, alias.version), []).append(alias.name)
    return found


def of(view: View, model: str) -> list[Alias]:
    """Every alias of ``model``, by name."""
    return tables.aliases_of(view, model)
