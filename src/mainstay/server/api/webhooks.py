# SPDX-License-Identifier: Apache-2.0
"""Webhooks, over HTTP: addresses outside that are told what happens to models. To make one takes an admin."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Delivery, Webhook
from mainstay.lifecycle.registry.webhooks import deliveries, endpoints
from mainstay.server import egress
from mainstay.server.principals import Principal
from mainstay.server.protocols.mlflow import webhooks as mlflow
from mainstay.server.protocols.mlflow import wire_webhooks
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Change, Store, View

routes = Routes("registry")

MOST_LISTED = 1_000
MOST_BODY_BYTES = 4_096


class WebhookIn(Body):
    name: str
    url: str
    events: list[str]
    description: str = ""
    secret: str = ""


class WebhookChangeIn(Body):
    name: str | None = None
    url: str | None = None
    events: list[str] | None = None
    description: str | None = None
    secret: str | None = None
    state: str | None = None


class TestIn(Body):
    event: str | None = None


class WebhookOut(msgspec.Struct, kw_only=True):
    """A webhook; whether it has a secret is told, and never which."""

    id: str
    name: str
    url: str
    events: list[str]
    description: str
    is_signed: bool
    state: str
    created_at: datetime
    updated_at: datetime
    actor: str


class WebhookWhole(WebhookOut, kw_only=True):
    deliveries: list[Delivery]


class Webhooks(msgspec.Struct, kw_only=True):
    """Some webhooks, and the events that one can be told of."""

    items: list[WebhookOut]
    next: int | None
    events: list[str]


@routes.get("/webhooks", permission="read")
def list_webhooks(view: View, after: int = 0, limit: int = 100) -> Webhooks:
    """Webhooks, newest first, and the events that one can be told of; ``after`` is the ``next`` of the page before."""
    if after < 0 or not 1 <= limit <= MOST_LISTED:
        raise Invalid(f"after={after} and limit={limit} cannot be had; from 0, and 1 to {MOST_LISTED}, are possible.")
    found = endpoints.listed(view, after=after, limit=limit + 1)
    return Webhooks(
        items=[_out(each) for each in found[:limit]],
        next=after + limit if len(found) > limit else None,
        events=list(wire_webhooks.EXAMPLES),
    )


@routes.get("/webhooks/{webhook}", permission="read")
def get_webhook(view: View, webhook: str) -> WebhookWhole:
    """One webhook, with what it was told or is to be told, newest first."""
    found = endpoints.get(view, webhook)
    return WebhookWhole(**msgspec.structs.asdict(_out(found)), deliveries=deliveries.of(view, webhook))


@routes.post("/webhooks", permission="admin", status=201)
def add_webhook(change: Change, body: WebhookIn) -> WebhookOut:
    """Tell an address of events from now on."""
    egress.check(body.url, allow_loopback=True)
    made = endpoints.create(
        change,
        name=body.name,
        url=body.url,
        events=wire_webhooks.known(body.events),
        description=body.description,
        secret=body.secret,
    )
    return _out(made)


@routes.post("/webhooks/{webhook}/change", permission="admin")
def change_webhook(change: Change, webhook: str, body: WebhookChangeIn) -> WebhookOut:
    """Give a webhook another name, address, secret or state, or other events; ``disabled`` lets it rest."""
    if body.url is not None:
        egress.check(body.url, allow_loopback=True)
    events = None if body.events is None else wire_webhooks.known(body.events)
    given = msgspec.structs.asdict(body) | {"events": events}
    return _out(endpoints.update(change, webhook, **given))


@routes.post("/webhooks/{webhook}/remove", permission="admin")
def remove_webhook(change: Change, webhook: str) -> dict[str, str]:
    """Tell it nothing more."""
    endpoints.delete(change, webhook)
    return {"removed": webhook}


@routes.raw("POST", "/webhooks/{webhook}/test", permission="admin")
async def test_webhook(*, request: Request, store: Store, actor: Principal) -> Response:
    """Send an example of ``event``, or of the first that it is told of, now; how that went."""
    data = await read_body(request, most=MOST_BODY_BYTES)
    body = convert(strict_json.loads(data) if data.strip() else {}, TestIn)
    found = await run_in_threadpool(mlflow.tried, store, request.path_params["webhook"], body.event)
    return Response(encode(found), media_type="application/json")


def _out(hook: Webhook) -> WebhookOut:
    return WebhookOut(
        id=hook.id,
        name=hook.name,
        url=hook.url,
        events=list(hook.events),
        description=hook.description,
        is_signed=bool(hook.secret),
        state=hook.state,
        created_at=hook.created_at,
        updated_at=hook.updated_at,
        actor=hook.actor,
    )
