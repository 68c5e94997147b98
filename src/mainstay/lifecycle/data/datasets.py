# SPDX-License-Identifier: Apache-2.0
"""Datasets: named sources with an owner, and the movable names on their snapshots.

``current`` is the name that every dataset has: taking a snapshot moves it to the new one, `point` moves it back.
Nothing is ever deleted by moving a name.
"""

from __future__ import annotations

from mainstay.domain.data import Dataset, Ref
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.data import DatasetCreated, RefMoved
from mainstay.domain.names import check_name
from mainstay.lifecycle.data import tables
from mainstay.store import Change, View

CURRENT = "current"


def create(change: Change, *, name: str, owner: str, description: str = "") -> Dataset:
    """Name a source.

    Raises:
        Invalid: an unusable name, or no owner. Conflict: the name is taken.
    """
    check_name("dataset", name)
    check_name("owner", owner)
    if tables.dataset(change, name):
        raise Conflict(f"dataset {name!r} exists already; take a snapshot of it, or choose another name.", dataset=name)
    new = Dataset(name=name, owner=owner, description=description, created_at=change.now(), created_by=change.actor)
    tables.put_dataset(change, new)
    change.record(DatasetCreated(dataset=name, owner=owner, description=description))
    return new


def get(view: View, name: str) -> Dataset:
    """One dataset.

    Raises:
        NotFound: there is none of that name.
    """
    return _found(tables.dataset(view, name), name)


def lock(change: Change, name: str) -> Dataset:
    """The dataset, held until the change ends, so that two writers number one after the other.

    Raises:
        NotFound: there is none of that name.
    """
    return _found(tables.locked_dataset(change, name), name)


def listed(view: View, *, after: str = "", limit: int = 100) -> list[Dataset]:
    """Datasets by name, from behind ``after``."""
    return tables.all_datasets(view, after, limit)


def rows_total(view: View, name: str) -> int:
    """Rows of all snapshots of the dataset together."""
    return tables.rows_total(view, name)


def point(change: Change, *, dataset: str, ref: str = CURRENT, number: int) -> Ref:
    """Move a name to snapshot ``number``; a name that is new is made.

    Raises:
        NotFound: there is no such dataset or snapshot.
    """
    lock(change, dataset)
    check_name("ref", ref)
    if ref.isdecimal():
        raise Invalid(f"ref name {ref!r} would read as the number of a snapshot; choose a name with a letter.")
    found = tables.snapshot(change, dataset, number)
    if found is None:
        raise NotFound(f"there is no snapshot {dataset}@{number} to point {ref!r} at.")
    if found.dropped_at is not None:
        raise Conflict(
            f"snapshot {found.id} was dropped, so {ref!r} cannot point at it; `mainstay datasets restore {found.id}`."
        )
    before = tables.ref(change, dataset, ref)
    after = move(change, dataset, ref, number)
    change.record(RefMoved(dataset=dataset, ref=ref, before=before.number if before else None, after=number))
    return after


def roll_back(change: Change, *, dataset: str, to: int) -> Ref:
    """Let ``current`` name an earlier snapshot again, until the next one is taken.

    Raises:
        NotFound: there is no such dataset or snapshot. Invalid: no reason. Conflict: it is there, or behind it, already.
    """
    if not change.reason.strip():
        raise Invalid(f"to roll dataset {dataset!r} back takes a reason; say what is wrong with what is current.")
    lock(change, dataset)
    now = tables.ref(change, dataset, CURRENT)
    if now is not None and now.number <= to and tables.snapshot(change, dataset, to):
        raise Conflict(
            f"{dataset}@{CURRENT} is {dataset}@{now.number}; going back takes an earlier snapshot, and {to} is none."
        )
    return point(change, dataset=dataset, number=to)


def move(change: Change, dataset: str, ref: str, number: int) -> Ref:
    """Write the pointer down; the caller records the event that moved it."""
    after = Ref(dataset=dataset, name=ref, number=number, moved_at=change.now(), actor=change.actor)
    tables.put_ref(change, after)
    return after


def refs(view: View, dataset: str) -> list[Ref]:
    """Every name on a snapshot of ``dataset``."""
    return tables.refs_of(view, dataset)


def _found(dataset: Dataset | None, name: str) -> Dataset:
    if dataset is None:
        raise NotFound(f"there is no dataset {name!r}; `mainstay datasets list` shows those there are.", dataset=name)
    return dataset
