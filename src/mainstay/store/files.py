# SPDX-License-Identifier: Apache-2.0
"""Files: blobs under paths, below an owner. Whatever owns files has a table of its own for them, and all are asked alike.

In: a table whose columns are the owner, then those of an `Artifact`. Bytes are not touched: others may have the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table, and_, delete, or_, select, true

from mainstay.domain.tracking import Artifact
from mainstay.store.change import Ingest, View
from mainstay.store.conditions import in_parts


def listed(view: View, table: Table, owner: str, *, below: str = "") -> list[Artifact]:
    """The files of ``owner``, by path; ``below`` is a folder that ends in ``/``."""
    c = table.c
    query = select(c.path, c.digest, c.size, c.media_type).where(_owner(table) == owner).order_by(c.path)
    if below:
        query = query.where(c.path > below, c.path < below[:-1] + "0")  # "0" is the character behind "/"
    return [Artifact(**row._mapping) for row in view.rows(query)]


def listed_of_many(view: View, table: Table, owners: Sequence[str]) -> dict[str, list[Artifact]]:
    """The files of each of many owners, by path."""
    c, of = table.c, _owner(table)
    found: dict[str, list[Artifact]] = {owner: [] for owner in owners}
    for some in in_parts(owners):
        query = select(of, c.path, c.digest, c.size, c.media_type).where(of.in_(some)).order_by(of, c.path)
        for owner, path, digest, size, media_type in view.tuples(query):
            found[owner].append(Artifact(path=path, digest=digest, size=size, media_type=media_type))
    return found


def found(view: View, table: Table, owner: str, path: str) -> Artifact | None:
    """One file of ``owner``."""
    c = table.c
    row = view.first(select(c.path, c.digest, c.size, c.media_type).where(_owner(table) == owner, c.path == path))
    return row and Artifact(**row._mapping)


def put(ingest: Ingest, table: Table, owner: str, new: Artifact) -> None:
    """Name a blob; the same path again means the newer bytes."""
    ingest.execute(delete(table).where(_owner(table) == owner, table.c.path == new.path))
    ingest.insert(table, **{_owner(table).key: owner}, **asdict(new))


def remove(ingest: Ingest, table: Table, owner: str, path: str) -> int:
    """Forget a file, or every file below a folder ("" is all of it); how many."""
    inside = and_(table.c.path > path + "/", table.c.path < path + "0") if path else true()
    return ingest.execute(delete(table).where(_owner(table) == owner, or_(table.c.path == path, inside)))


def _owner(table: Table) -> Any:
    return next(iter(table.c))
