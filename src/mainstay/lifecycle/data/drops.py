# SPDX-License-Identifier: Apache-2.0
"""Snapshots that are not wanted any more: dropped, and brought back.

A drop forgets nothing and frees nothing: the record stays, `mainstay gc` later takes the bytes, unless a run, a version or
another snapshot still needs them. Until then it can be restored whole.
"""

from __future__ import annotations

from mainstay.domain.data import Snapshot
from mainstay.domain.errors import Conflict
from mainstay.domain.events.data import SnapshotDropped, SnapshotRestored
from mainstay.lifecycle.data import datasets, snapshots, tables
from mainstay.store import Change, View


def drop(change: Change, name: str) -> Snapshot:
    """Say that a snapshot is not wanted any more.

    Raises:
        Invalid, NotFound: there is no such snapshot. Conflict: a name points at it, or it is the newest, which what comes next
        is compared with.
    """
    found = snapshots.named(change, name)
    datasets.lock(change, found.dataset)
    if kept := why_kept(change, found):
        raise Conflict(kept)
    if found.dropped_at is None:
        tables.set_snapshot(change, found.dataset, found.number, dropped_at=change.now())
    change.record(SnapshotDropped(dataset=found.dataset, number=found.number, digest=found.digest))
    return snapshots.get(change, found.dataset, found.number)


def why_kept(view: View, snapshot: Snapshot) -> str | None:
    """Why a snapshot cannot be dropped, in a sentence; None if it can."""
    names = [ref.name for ref in datasets.refs(view, snapshot.dataset) if ref.number == snapshot.number]
    if names:
        return (
            f"snapshot {snapshot.id} is {snapshot.dataset}@{names[0]} and cannot be dropped; "
            "point that name elsewhere first."
        )
    newest = tables.newest_snapshot(view, snapshot.dataset)
    if newest is not None and newest.number == snapshot.number:
        return f"snapshot {snapshot.id} is the newest of its dataset and stays: what comes next is compared with it."
    return None


def restore(change: Change, name: str) -> Snapshot:
    """Bring a dropped snapshot back.

    Raises:
        Invalid, NotFound: there is no such snapshot. Conflict: it was not dropped, or its bytes were taken away since.
    """
    found = snapshots.named(change, name)
    datasets.lock(change, found.dataset)
    if found.dropped_at is None:
        raise Conflict(f"snapshot {found.id} was not dropped, so there is nothing to restore.")
    if gone := change.blobs.missing([found.digest, *(part.digest for part in found.parts)]):
        raise Conflict(
            f"snapshot {found.id} cannot be restored: gc took its bytes away. Take the same content in again.",
            gone=gone,
        )
    tables.set_snapshot(change, found.dataset, found.number, dropped_at=None)
    change.record(SnapshotRestored(dataset=found.dataset, number=found.number, digest=found.digest))
    return snapshots.get(change, found.dataset, found.number)
