# SPDX-License-Identifier: Apache-2.0
"""Experiments: named questions that group runs. Experiment 0 is called ``Default`` and made with the workspace."""

from __future__ import annotations

from collections.abc import Collection

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.tracking import ExperimentCreated
from mainstay.domain.tracking import LONGEST_NAME, Experiment
from mainstay.lifecycle.tracking import tables
from mainstay.store import Change, View

DEFAULT = "Default"


def ensure_default(change: Change) -> Experiment:
    """Experiment 0, made now if the workspace is new."""
    return tables.experiment(change, 0) or _put(change, DEFAULT)


def create(change: Change, *, name: str) -> Experiment:
    """Name a question.

    Raises:
        Invalid: the name is empty, too long or not printable. Conflict: it is taken.
    """
    ensure_default(change)
    if tables.experiment_named(change, name):
        raise Conflict(f"experiment {name!r} exists already; start runs in it, or choose another name.")
    return _put(change, name)


def ensure(change: Change, name: str) -> Experiment:
    """The experiment called ``name``, made now if there is none."""
    if name == DEFAULT:
        return ensure_default(change)
    return tables.experiment_named(change, name) or create(change, name=name)


def get(view: View, identity: int) -> Experiment:
    """One experiment, by its number.

    Raises:
        NotFound: there is none.
    """
    found = tables.experiment(view, identity)
    if found is None:
        raise NotFound(f"there is no experiment {identity}; `mainstay experiments list` shows those there are.")
    return found


def named(view: View, name: str) -> Experiment:
    """One experiment, by its name.

    Raises:
        NotFound: there is none.
    """
    found = tables.experiment_named(view, name)
    if found is None:
        raise NotFound(f"there is no experiment {name!r}; `mainstay experiments list` shows those there are.")
    return found


def names(view: View, identities: Collection[int]) -> dict[int, str]:
    """Names by number, in one query."""
    return tables.experiment_names(view, identities)


def listed(view: View, *, after: int = -1, limit: int = 100) -> list[Experiment]:
    """Experiments by number, from behind ``after``."""
    return tables.all_experiments(view, after, limit)


def _put(change: Change, name: str) -> Experiment:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"experiment name {name[:40]!r} is not usable; 1 to {LONGEST_NAME} printable characters are.")
    new = Experiment(id=tables.next_experiment(change), name=name, created_at=change.now(), created_by=change.actor)
    tables.put_experiment(change, new)
    change.record(ExperimentCreated(experiment=new.id, name=name))
    return new
