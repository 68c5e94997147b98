# SPDX-License-Identifier: Apache-2.0
"""Diffs: what is different between two snapshots, of one dataset or of two.

In: two snapshots and, if rows are to be told apart, a key. Out: columns that came, went or changed type; files that are
shared; how each column's values moved, most first; with a key which rows. Snapshots never change, so a diff does not
either. It reads blobs and no database: whoever asks holds no transaction meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.domain.contracts import Contract
from mainstay.domain.data import Field, Part, Snapshot
from mainstay.domain.errors import Invalid
from mainstay.lifecycle.data import folders, rows, snapshots
from mainstay.lifecycle.data.rows import RowChanges
from mainstay.measures import changes, profiles
from mainstay.measures.changes import ColumnChange
from mainstay.measures.profiles import Profile, ReferenceSpec
from mainstay.store.blobs import Blobs

_BATCH_ROWS = 1 << 18
SHOWN_FILES = 100


@dataclass(frozen=True, kw_only=True)
class Retyped:
    """A column that holds another type now."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class FileChanges:
    """Files by path: how many of each kind, and the first of them."""

    added: int
    removed: int
    changed: int
    same: int
    shown_added: list[str]
    shown_removed: list[str]
    shown_changed: list[str]


@dataclass(frozen=True, kw_only=True)
class Diff:
    """``before`` and ``after`` are ids; parts are the files by digest. ``rows``: None where no key was given."""

    before: str
    after: str
    is_same: bool
    rows_before: int
    rows_after: int
    added: tuple[Field, ...]
    removed: tuple[Field, ...]
    retyped: tuple[Retyped, ...]
    parts_added: tuple[Part, ...]
    parts_removed: tuple[Part, ...]
    parts_shared: tuple[Part, ...]
    columns: tuple[ColumnChange, ...]
    rows: RowChanges | None
    files: FileChanges | None  # None: these are tables


def compare(blobs: Blobs, before: Snapshot, after: Snapshot, *, key: Sequence[str] = ()) -> Diff:
    """What is different in ``after``.

    Raises:
        Invalid: a column of ``key`` is missing, or of another type; or a key, and no tables.
        NotFound, Corrupt: a blob is gone or damaged.
        TooLarge: with a key, more rows than are compared one by one.
    """
    is_same = before.digest == after.digest
    kinds = {before.kind, after.kind}
    if key and kinds != {snapshots.KIND_TABLE}:
        raise Invalid(
            f"{before.id} and {after.id} are of kind {' and '.join(sorted(kinds))}; rows are told apart in tables whose "
            "content is here. Leave the key out."
        )
    was, now = {f.name: f.type for f in before.schema}, {f.name: f.type for f in after.schema}
    old, new = {part.digest for part in before.parts}, {part.digest for part in after.parts}
    return Diff(
        before=before.id,
        after=after.id,
        is_same=is_same,
        rows_before=before.rows,
        rows_after=after.rows,
        added=tuple(field for field in after.schema if field.name not in was),
        removed=tuple(field for field in before.schema if field.name not in now),
        retyped=tuple(
            Retyped(name=name, before=kind, after=now[name])
            for name, kind in was.items()
            if now.get(name, kind) != kind
        ),
        parts_added=tuple(part for part in after.parts if part.digest not in old),
        parts_removed=tuple(part for part in before.parts if part.digest not in new),
        parts_shared=tuple(part for part in after.parts if part.digest in old),
        columns=() if is_same or kinds != {snapshots.KIND_TABLE} else tuple(_columns(blobs, before, after)),
        rows=rows.compare(_files(blobs, before), _files(blobs, after), key) if key else None,
        files=_compare_files(blobs, before, after) if kinds == {folders.KIND} else None,
    )


def key_of(contract: Contract | None) -> tuple[str, ...]:
    """The columns that name a row by the contract: its first key, else its first unique column; none if there is none."""
    if contract is None:
        return ()
    unique = ((rule.name,) for rule in contract.columns if rule.unique)
    return next(iter((*contract.keys, *unique)), ())


def _compare_files(blobs: Blobs, before: Snapshot, after: Snapshot) -> FileChanges:
    old, new = ({file.path: file.digest for file in folders.files_of(blobs, each)} for each in (before, after))
    added, removed = [path for path in new if path not in old], [path for path in old if path not in new]
    changed = [path for path, digest in new.items() if old.get(path, digest) != digest]
    return FileChanges(
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        same=len(new) - len(added) - len(changed),
        shown_added=added[:SHOWN_FILES],
        shown_removed=removed[:SHOWN_FILES],
        shown_changed=changed[:SHOWN_FILES],
    )


def _columns(blobs: Blobs, before: Snapshot, after: Snapshot) -> list[ColumnChange]:
    """Columns that both have with the same type, counted in the cells of ``before``."""
    was, spec = snapshots.read_profile(blobs, before)
    now, other = snapshots.read_profile(blobs, after)
    shared = {field for field in before.schema if field in after.schema}
    names = [field.name for field in before.schema if field in shared]
    if spec.digest() != other.digest():
        now = _counted(_files(blobs, after), spec, names)
    return [change for change in changes.between(spec, was, now) if change.column in names]


def _counted(files: Sequence[Path], spec: ReferenceSpec, names: list[str]) -> Profile:
    """The profile of a table in the cells of another one, batch by batch."""
    found = Profile.empty(spec)
    for path in files:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names):
                found = profiles.merge(found, profiles.profile(pa.Table.from_batches([batch]), spec))
    return found


def _files(blobs: Blobs, snapshot: Snapshot) -> list[Path]:
    return [blobs.path(part.digest) for part in snapshot.parts]
