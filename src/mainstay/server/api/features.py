# SPDX-License-Identifier: Apache-2.0
"""Feature views, over HTTP: their versions, and the tables that are answered from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.clock import from_wire
from mainstay.domain.features import OnlineTable, ViewVersion
from mainstay.lifecycle.data.features import views
from mainstay.lifecycle.pipelines import work
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View, jobs

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
    run_id: str | None = None


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


class LookupIn(Body):
    entity: dict[str, Any]
    version: int | None = None


class Tables(msgspec.Struct):
    items: list[OnlineTable]


class Rows(msgspec.Struct):
    items: list[dict[str, Any]]


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
    return _view(view, name)


@routes.post("/features/{name}/online", permission="write", status=201)
def publish_online(change: Change, name: str, body: OnlineIn) -> OnlineTable:
    """Answer from these rows of a version from now on; gateways load them."""
    watermark = from_wire(body.watermark, what="watermark")
    return views.materialise(
        change, view=name, version=body.version, blob=body.blob, watermark=watermark, run_id=body.run_id
    )


@routes.get("/features/{name}/online", permission="read")
def list_online(view: View, name: str, limit: int = 100) -> Tables:
    """What could ever be answered from, of any version, newest first."""
    return Tables(items=views.tables_of(view, name, limit=limit))


@routes.ingest("/features/{name}/lookup", permission="read")
def lookup_features(view: View, name: str, body: LookupIn) -> Rows:
    """What is known of one entity now, by the newest version or by the one that is named."""
    number = body.version or views.versions(view, name)[0].number
    return Rows(items=views.lookup(view, name, number, body.entity))


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


def _version(view: View, found: ViewVersion) -> VersionOut:
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
    )
