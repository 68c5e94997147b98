# SPDX-License-Identifier: Apache-2.0
"""Served: what the log says that a deployment looked up in a feature view.

In: a deployment and a version of a view. Out: the newest predictions for which that was looked up, as columns, those of each
version of the model together. The log's pieces are read as the files that they are, and only the columns that matter, so that
a hundred thousand predictions of twenty features are some megabytes and a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import Conflict, NotFound
from mainstay.engine.platform import Platform

if TYPE_CHECKING:
    import pyarrow as pa

_PAGE = 200
_TOLD = 10_000
_META = ("_id", "_at", "_logged_at", "_flags")


@dataclass(frozen=True, kw_only=True)
class Served:
    """What one version of a model was asked: ``table``, of which ``names`` are features of the view, by ids."""

    table: pa.Table
    names: list[str]
    transforms: list[dict[str, Any]]

    def told(self, row: int, entity: list[str]) -> dict[str, Any]:
        """Which prediction a row is, when it was asked, and about whom."""
        found = self.table.slice(row, 1).to_pylist()[0]
        return {"id": found["_id"], "at": to_wire(found["_at"]), "entity": {name: found[name] for name in entity}}


@dataclass(frozen=True, kw_only=True)
class _Pinned:
    names: list[str]
    transforms: list[dict[str, Any]]
    is_ours: bool

    @property
    def columns(self) -> set[str]:
        made = {name for each in self.transforms for name in (each["name"], *(one["name"] for one in each["inputs"]))}
        return {*self.names, *made}


def read(
    platform: Platform,
    deployment: str,
    version: Mapping[str, Any],
    most: int,
    *,
    since: datetime | None = None,
    tell: Callable[[int], None] = lambda rows: None,
) -> list[Served]:
    """The newest predictions for which this version of the view was looked up, not before ``since``; ``tell`` hears how many.

    Raises:
        NotFound: there are none. Conflict: there are, but they were served by another version.
    """
    import pyarrow as pa

    found: dict[str, list[pa.Table]] = {}
    pins: dict[str, _Pinned | None] = {}
    others, left = set[str](), most
    for part in _parts(platform, deployment, since):
        name, table = _read(platform, part, version, pins)
        pinned = pins[name]
        if pinned is not None and not pinned.is_ours:
            others.add(name)
        if table is not None:
            table = _since(table, since)
            table = table.slice(max(0, table.num_rows - left))
            found.setdefault(name, []).append(table)
            left -= table.num_rows
            if (most - left) // _TOLD > (most - left - table.num_rows) // _TOLD:
                tell(most - left)
        if not left:
            break
    groups = {name: pa.concat_tables(tables[::-1], promote_options="permissive") for name, tables in found.items()}
    made = [_made(table, pins[name]) for name, table in groups.items() if table.num_rows]
    if not made:
        raise _nothing(deployment, version, others)
    return made


def _made(table: pa.Table, pinned: _Pinned | None) -> Served:
    assert pinned is not None
    return Served(table=table.sort_by("_id"), names=pinned.names, transforms=pinned.transforms)


def _nothing(deployment: str, version: Mapping[str, Any], others: set[str]) -> NotFound | Conflict:
    if others:
        return Conflict(
            f"what {deployment!r} served came from another version of view {version['view']!r} than {version['id']}, which "
            f"this code is; check out the code of {min(others)}, or release a model that was trained on this one."
        )
    return NotFound(f"the log of {deployment!r} holds no prediction for which view {version['view']!r} was looked up.")


def _parts(platform: Platform, deployment: str, since: datetime | None) -> Iterator[dict[str, Any]]:
    """The pieces of the log, the newest first."""
    before = None
    while True:
        page = platform.get(f"/deployments/{quote(deployment, safe='')}/log", before=before, limit=_PAGE)
        # A piece was sealed after all of its predictions were made.
        yield from (each for each in page["items"] if since is None or from_wire(each["sealed_at"]) >= since)
        before = page["next"]
        if before is None:
            return


def _read(
    platform: Platform, part: Mapping[str, Any], version: Mapping[str, Any], pins: dict[str, _Pinned | None]
) -> tuple[str, pa.Table | None]:
    """The version of the model whose piece it is, and its rows, if this version of the view was looked up for them."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    name = f"{part['model']}/{part['version']}"
    if name not in pins:
        pins[name] = _pinned(platform, name, version)
    pinned = pins[name]
    if pinned is None or not pinned.is_ours:
        return name, None
    path = platform.blob_path(part["blob"])
    entity = [each["name"] for each in version["entity"]]
    wanted = {*_META, *entity, *pinned.columns}
    table = pq.read_table(path, columns=[each for each in pq.read_schema(path).names if each in wanted])
    for each in entity:
        table = table.filter(pc.is_valid(table[each]))
    return name, table


def _since(table: pa.Table, since: datetime | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if since is None:
        return table
    return table.filter(pc.greater_equal(table["_logged_at"], pa.scalar(since, pa.timestamp("us", "UTC"))))


def _pinned(platform: Platform, name: str, version: Mapping[str, Any]) -> _Pinned | None:
    """What a model's version pins of the view; None: nothing of it."""
    model, _, number = name.rpartition("/")
    signature = platform.get(f"/models/{model}/versions/{number}")["signature"]
    pin = next((pin for pin in signature.get("views", []) if pin["view"] == version["view"]), None)
    if pin is None:
        return None
    return _Pinned(
        names=list(pin["columns"]),
        transforms=signature.get("transforms", []),
        is_ours=pin["digest"] == version["digest"],
    )
