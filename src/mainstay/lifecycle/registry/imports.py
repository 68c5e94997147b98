# SPDX-License-Identifier: Apache-2.0
"""Imports: names and versions that another tool has on record, under the numbers that they have there.

In: a name, a number, and what a run or a logged model left here before. Out: a version with its files pinned, or a reference
where the bytes are not here. A number that was given here to something else is never given again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.registry import Alias, Model, Version
from mainstay.lifecycle.registry import aliases, folders, models, tables, versions
from mainstay.lifecycle.tracking.imports import SOURCE_TAG
from mainstay.store import Change, View


class Brought(NamedTuple):
    """What of a model is here: whether its name is marked, which numbers were brought, and where its aliases stand."""

    is_here: bool
    versions: list[int]
    aliases: dict[str, int]


def brought(view: View, source: str, name: str) -> Brought:
    """What of a model was brought from ``source`` before."""
    found = tables.model(view, name)
    if found is None:
        return Brought(False, [], {})
    numbers = tables.numbers_imported(view, SOURCE_TAG, source, name)
    stands = {alias.name: alias.version for alias in aliases.of(view, name)}
    return Brought(found.tags.get(SOURCE_TAG) == source, numbers, stands)


def model(change: Change, *, source: str, name: str, description: str, tags: Mapping[str, str]) -> Model:
    """The model of that name, marked; made now if there is none, and then whoever brings it answers for it.

    Raises:
        Invalid: the name is not usable.
    """
    marked = {**tags, SOURCE_TAG: source}
    if tables.model(change, name) is not None:
        return models.describe(change, name=name, tags=marked)
    return models.create(change, name=name, owner=change.actor, description=description, tags=marked)


def version(
    change: Change,
    *,
    source: str,
    model: str,
    number: int,
    files: Mapping[str, str],
    run_id: str | None,
    origin: str,
    description: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> Version:
    """Give ``number`` to files that are here, or to the name of some that are not.

    Raises:
        Conflict: the number was given here to something else. NotFound: no such model or run. Invalid: it cannot be kept.
    """
    models.lock(change, model)
    marked = {**tags, SOURCE_TAG: source}
    if (known := tables.version(change, model, number)) is not None:
        raise Conflict(f"version {known.id} is on record here; it is left as it is.")
    if not tables.skip_numbers(change, model, up_to=number - 1):
        raise Conflict(
            f"number {number} of model {model!r} was given before, and what had it is gone; it is not given again."
        )
    if files:
        return folders.register(
            change,
            model=model,
            files=files,
            run_id=run_id,
            source=origin,
            metrics=metrics,
            tags=marked,
            description=description,
        )
    return versions.refer(change, model=model, source=origin, run_id=run_id, tags=marked, description=description)


def alias(change: Change, *, model: str, name: str, number: int) -> Alias:
    """Point an alias at a version, if it does not stand elsewhere.

    Raises:
        Conflict: it names another version here. NotFound: no such version. Invalid: the name is not usable.
    """
    known = next((each for each in aliases.of(change, model) if each.name == name), None)
    if known is not None and known.version != number:
        raise Conflict(f"alias {name!r} of model {model!r} names version {known.version} here, not {number}; it stays.")
    return aliases.move(change, model=model, alias=name, to=number)


def files_of(view: View, run_id: str, path: str) -> dict[str, str]:
    """Digests of a run's files below ``path``; none where the run or the path is not here."""
    try:
        return folders.of_run(view, run_id, path)
    except NotFound:
        return {}


def count(view: View, source: str) -> dict[str, int]:
    """How many models, versions and aliases of ``source`` are on record here."""
    return tables.count_imported(view, SOURCE_TAG, source)
