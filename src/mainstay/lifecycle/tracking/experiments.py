# SPDX-License-Identifier: Apache-2.0
"""Experiments: named questions that group runs. Experiment 0 is called ``Default`` and made with the workspace.

An experiment can be renamed, and be put away and restored together with its runs; tags are remarks and leave no event.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from mainstay.domain.errors import Conflict, Invalid, NotFound, TooLarge
from mainstay.domain.events.tracking import ExperimentCreated, ExperimentDeleted, ExperimentRenamed, ExperimentRestored
from mainstay.domain.search import Comparison, Order
from mainstay.domain.tracking import LONGEST_NAME, Experiment, check_key, unknown_experiment
from mainstay.lifecycle.tracking import tables
from mainstay.store import Change, Ingest, View

DEFAULT = "Default"
LONGEST_TAG = 20_000


class Found(NamedTuple):
    """A page of a search: ``next`` is the token of the following one, if any."""

    experiments: list[Experiment]
    next: list[Any] | None


def ensure_default(change: Change) -> Experiment:
    """Experiment 0, made now if the workspace is new."""
    return tables.experiment(change, 0) or _put(change, DEFAULT)


def create(change: Change, *, name: str, tags: Mapping[str, str] | None = None) -> Experiment:
    """Name a question.

    Raises:
        Invalid: the name is empty, too long or not printable. Conflict: it is taken.
    """
    ensure_default(change)
    _check_free(change, name)
    new = _put(change, name)
    put_tags(change, new.id, tags or {})
    return new


def ensure(change: Change, name: str) -> Experiment:
    """The experiment called ``name``, made now if there is none.

    Raises:
        Invalid: it is put away.
    """
    if name == DEFAULT:
        return _active(ensure_default(change))
    found = tables.experiment_named(change, name)
    return _active(found) if found else create(change, name=name)


def rename(change: Change, identity: int, *, name: str) -> Experiment:
    """Give an experiment another name.

    Raises:
        NotFound: there is none. Invalid: it is put away, or the name is not usable. Conflict: the name is taken.
    """
    before = get_active(change, identity)
    if before.name != name:
        _check_free(change, name)
    _check_name(name)
    tables.set_experiment(change, identity, name=name, updated_at=change.now())
    change.record(ExperimentRenamed(experiment=identity, before=before.name, name=name))
    return get(change, identity)


def delete(change: Change, identity: int) -> None:
    """Put an experiment and its runs away; nothing is lost.

    Raises:
        NotFound: there is none, or it is away already.
    """
    if get(change, identity).deleted_at is not None:
        raise unknown_experiment(identity)
    now = change.now()
    tables.set_experiment(change, identity, deleted_at=now, updated_at=now)
    change.record(ExperimentDeleted(experiment=identity, runs=tables.delete_runs_of(change, identity, now)))


def restore(change: Change, identity: int) -> None:
    """Bring an experiment back, with the runs that were put away with it.

    Raises:
        NotFound: there is none, or it is not away.
    """
    deleted_at = get(change, identity).deleted_at
    if deleted_at is None:
        raise NotFound(
            f"experiment {identity} is not put away, so there is nothing to restore.", experiment=str(identity)
        )
    tables.set_experiment(change, identity, deleted_at=None, updated_at=change.now())
    change.record(ExperimentRestored(experiment=identity, runs=tables.restore_runs_of(change, identity, deleted_at)))


def get(view: View, identity: int) -> Experiment:
    """One experiment, by its number, also when it is put away.

    Raises:
        NotFound: there is none.
    """
    found = tables.experiment(view, identity)
    if found is None:
        raise unknown_experiment(identity)
    return found


def get_active(view: View, identity: int) -> Experiment:
    """One experiment that is not put away.

    Raises:
        NotFound: there is none. Invalid: it is put away.
    """
    return _active(get(view, identity))


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
    """Experiments that are not put away, by number, from behind ``after``."""
    return tables.all_experiments(view, after, limit, deleted=False)


def find(
    view: View,
    *,
    comparisons: Sequence[Comparison] = (),
    orders: Sequence[Order] = (),
    deleted: bool | None = False,
    after: Sequence[Any] | None = None,
    limit: int = 100,
) -> Found:
    """Experiments that meet every condition; by default those that were changed last come first.

    ``deleted``: those put away (True), those not (False), or both (None). ``after``: the ``next`` of the page before.
    """
    found = tables.find_experiments(view, comparisons, orders, deleted=deleted, after=after, limit=limit + 1)
    page = found[:limit]
    return Found([experiment for _, experiment in page], page[-1][0] if len(found) > limit and page else None)


def tags(view: View, identities: Sequence[int]) -> dict[int, dict[str, str]]:
    """Tags of experiments, by number and key."""
    return tables.experiment_tags_of(view, identities)


def put_tags(ingest: Ingest, identity: int, tags: Mapping[str, str]) -> None:
    """Set tags; one that is there already takes the new value.

    Raises:
        NotFound: no such experiment. Invalid: it is put away, or a key is not usable. TooLarge.
    """
    get_active(ingest, identity)
    for key, value in tags.items():
        check_key("tag", key)
        if len(value) > LONGEST_TAG:
            raise TooLarge(f"tag {key!r} has {len(value)} characters; at most {LONGEST_TAG} are kept.")
    if tags:
        tables.put_experiment_tags(ingest, identity, tags)


def remove_tag(ingest: Ingest, identity: int, key: str) -> None:
    """Forget a tag.

    Raises:
        NotFound: no such experiment, or no such tag. Invalid: it is put away.
    """
    get_active(ingest, identity)
    if not tables.remove_experiment_tags(ingest, identity, [key]):
        raise NotFound(f"No tag with name: {key[:80]} in experiment {identity}; look at the tags it has.")


def _active(found: Experiment) -> Experiment:
    if found.deleted_at is not None:
        raise Invalid(
            f"The experiment {found.id} must be in the 'active' state for that, and {found.name!r} is deleted; "
            "restore it first, or use another.",
        )
    return found


def _check_free(view: View, name: str) -> None:
    if found := tables.experiment_named(view, name):
        away = " (it is deleted: restore it)" if found.deleted_at else ""
        raise Conflict(f"experiment {name!r} exists already{away}; start runs in it, or choose another name.")


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid(f"experiment name {name[:40]!r} is not usable; 1 to {LONGEST_NAME} printable characters are.")


def _put(change: Change, name: str) -> Experiment:
    _check_name(name)
    now = change.now()
    new = Experiment(
        id=tables.next_experiment(change), name=name, created_at=now, created_by=change.actor, updated_at=now
    )
    tables.put_experiment(change, new)
    change.record(ExperimentCreated(experiment=new.id, name=name))
    return new
