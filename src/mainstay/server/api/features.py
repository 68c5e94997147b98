# SPDX-License-Identifier: Apache-2.0
"""Feature views, over HTTP: their versions, and the tables that are answered from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain import strict_json
from mainstay.domain.clock import from_wire
from mainstay.domain.features import OnlineTable, ViewVersion
from mainstay.features.rows import Row, key_text
from mainstay.lifecycle.data.features import leftovers, online_rows, views
from mainstay.lifecycle.pipelines import work
from mainstay.server.routes import Body, Routes, convert
from mainstay.store import Change, Ingest, View, jobs

routes = Routes("features")


class ViewIn(Body):
    definition: dict[str, Any]
    closure: str
    entity: list[dict[str, str]]
    columns: list[dict[str, str]]
    entry: str


class OnlineIn(Body):
    version: int
    blob: str
    watermark: str
    sequence: int | None  # under which the changed rows were written; null: none changed
    since: int  # the table with which they were compared; 0: none
    changed: int
    run_id: str | None = None


class RowsIn(Body):
    version: int
    rows: list[tuple[str, int | None, str | None]]  # key, time in microseconds, features; the two null: it is gone
    sequence: int | None = None


class RefreshIn(Body):
    as_of: str | None = None


class VersionOut(msgspec.Struct, kw_only=True):
    id: str
    view: str
    number: int
    digest: str
    definition: dict[str, Any]
    closure: str
    entity: list[dict[str, str]]
    columns: list[dict[str, str]]
    entry: str
    created_at: datetime
    created_by: str
    online: OnlineTable | None
    kept_rows: int | None  # that are kept by key, of whatever table; null in lists, where they are not counted


class LookupIn(Body):
    entity: dict[str, Any]
    version: int | None = None


class Tables(msgspec.Struct):
    items: list[OnlineTable]


class Written(msgspec.Struct):
    sequence: int


class Rows(msgspec.Struct):
    items: list[list[int | str] | None]  # of each key two: the time in microseconds, and the features


class Keys(msgspec.Struct):
    keys: list[str] | None  # null: too many to tell


class Found(msgspec.Struct, kw_only=True):
    items: list[dict[str, Any]]
    version: str
    watermark: datetime
    state: str  # fresh, stale, early, or unknown: there is no row
    at: datetime | None = None
    age_s: float | None = None
    expires_at: datetime | None = None


class ViewOut(msgspec.Struct):
    name: str
    versions: list[VersionOut]


class Views(msgspec.Struct):
    items: list[ViewOut]


@routes.post("/features", permission="write", status=201)
def declare_view(change: Change, body: ViewIn) -> VersionOut:
    """Give a state of a feature view, its definition, code and columns, the next number. 409: it has one already."""
    return _version(change, views.declare(change, **msgspec.structs.asdict(body)))


@routes.get("/features", permission="read")
def list_views(view: View) -> Views:
    """Every feature view with its versions, newest first, and what of each can be answered from."""
    return Views(items=[_view(view, name) for name in views.names(view)])


@routes.get("/features/{name}", permission="read")
def show_view(view: View, name: str) -> ViewOut:
    """One feature view with its versions, newest first."""
    versions = views.versions(view, name)
    kept = {each.number: leftovers.count(view, name, each.number) for each in versions}
    return ViewOut(name=name, versions=[_version(view, each, kept[each.number]) for each in versions])


@routes.post("/features/{name}/online", permission="write", status=201)
def publish_online(change: Change, name: str, body: OnlineIn) -> OnlineTable:
    """Answer from these rows of a version from now on; gateways load them."""
    watermark = from_wire(body.watermark, what="watermark")
    told = msgspec.structs.asdict(body) | {"watermark": watermark}
    return views.materialise(change, view=name, **told)


@routes.get("/features/{name}/online", permission="read")
def list_online(view: View, name: str, limit: int = 100) -> Tables:
    """What could ever be answered from, of any version, newest first."""
    return Tables(items=views.tables_of(view, name, limit=limit))


@routes.ingest("/features/{name}/rows", permission="write", status=201)
def write_rows(ingest: Ingest, name: str, body: RowsIn) -> Written:
    """Write rows that changed, for a table that is still to be published; they count once it is."""
    new = [Row(*each) for each in body.rows]
    return Written(online_rows.put(ingest, view=name, version=body.version, new=new, sequence=body.sequence))


@routes.get("/features/{name}/rows", permission="read")
def read_rows(view: View, name: str, version: int, sequence: int, keys: str) -> Rows:
    """The rows of some entities as of one table. ``keys``: a JSON list of keys, each a JSON list of the entity's parts."""
    wanted = convert(strict_json.loads(keys.encode()), list[list[Any]], what="keys")
    found = online_rows.as_of(view, name, version, [key_text(each) for each in wanted], sequence)
    return Rows(items=[row and [row.at_us, row.cells] for row in found])  # type: ignore[list-item]


@routes.get("/features/{name}/changes", permission="read")
def list_changes(view: View, name: str, version: int, after: int, until: int) -> Keys:
    """The keys whose rows became others after one table and until another."""
    return Keys(online_rows.changed(view, name, version, after=after, until=until))


@routes.ask("/features/{name}/lookup", permission="read")
def lookup_features(view: View, name: str, body: LookupIn) -> Found:
    """What is known of one entity now, how old it is and whether it counts, by the newest version or the one named."""
    number = body.version or views.versions(view, name)[0].number
    return Found(**online_rows.lookup(view, name, number, body.entity))


@routes.post("/features/{name}/materialise", permission="write", status=201)
def materialise_view(change: Change, name: str, body: RefreshIn) -> jobs.Job:
    """Ask a worker to run a view on its own, so that what counts now can be answered from."""
    newest = views.versions(change, name)[0]
    params = {"as_of": body.as_of} if body.as_of else {}
    return work.ask(
        change, kind="run_pipeline", body={"entry": newest.entry, "params": params, "reason": change.reason}
    )


def _view(view: View, name: str) -> ViewOut:
    return ViewOut(name=name, versions=[_version(view, each) for each in views.versions(view, name)])


def _version(view: View, found: ViewVersion, kept_rows: int | None = None) -> VersionOut:
    return VersionOut(
        id=found.id,
        view=found.view,
        number=found.number,
        digest=found.digest,
        definition=found.definition,
        closure=found.closure,
        entity=list(found.entity),
        columns=list(found.columns),
        entry=found.entry,
        created_at=found.created_at,
        created_by=found.created_by,
        online=views.table(view, found.view, found.number),
        kept_rows=kept_rows,
    )
