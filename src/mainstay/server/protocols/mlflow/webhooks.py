# SPDX-License-Identifier: Apache-2.0
"""Webhooks, as MLflow's client makes them: who is told of models, versions, tags, aliases and prompts.

What they are told stands in ``wire_webhooks``. To make one takes an admin, since it sends facts outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay import settings
from mainstay.domain import ids
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.registry import Webhook
from mainstay.lifecycle.registry.webhooks import endpoints
from mainstay.server import egress
from mainstay.server.protocols.mlflow import registered, wire, wire_webhooks
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.routes import read_body
from mainstay.store import Change, Store, View

calls = Calls()

MOST_WEBHOOKS = 1000


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How one attempt went. ``error``: why nothing was sent, "" if something was; ``body``: the beginning of the answer."""

    event: str
    is_done: bool
    status: int | None = None
    body: str = ""
    error: str = ""


class EventIn(msgspec.Struct):
    entity: str
    action: str


class New(wire.Request):
    name: str
    url: str
    events: list[EventIn]
    description: str = ""
    secret: str = ""
    status: str = "ACTIVE"


class Update(wire.Request):
    name: str | None = None
    url: str | None = None
    events: list[EventIn] | None = None
    description: str | None = None
    secret: str | None = None
    status: str | None = None


class List(wire.Request):
    max_results: int = 100
    page_token: str = ""


class Test(wire.Request):
    event: EventIn | None = None


@calls.post("POST", "webhooks", permission="admin")
def create(change: Change, body: New) -> dict[str, Any]:
    """Tell an address of events from now on."""
    _check_url(body.url)
    made = endpoints.create(
        change,
        name=body.name,
        url=body.url,
        events=_events(body.events),
        description=body.description,
        secret=body.secret,
        state=_state(body.status),
    )
    return {"webhook": _written(made)}


@calls.get("webhooks")
def list_webhooks(view: View, body: List) -> dict[str, Any]:
    """Every webhook, newest first; secrets are never shown."""
    limit, place = registered.check_most(body.max_results, MOST_WEBHOOKS), registered.place(body.page_token)
    found = endpoints.listed(view, after=place, limit=limit + 1)
    next_page = registered.token(place + limit) if len(found) > limit else None
    return {"webhooks": [_written(each) for each in found[:limit]]} | (
        {"next_page_token": next_page} if next_page else {}
    )


@calls.get("webhooks/{webhook_id}")
def get(view: View, webhook_id: str) -> dict[str, Any]:
    """One webhook."""
    return {"webhook": _written(endpoints.get(view, webhook_id))}


@calls.post("PATCH", "webhooks/{webhook_id}", permission="admin")
def update(change: Change, webhook_id: str, body: Update) -> dict[str, Any]:
    """Change a webhook."""
    if body.url is not None:
        _check_url(body.url)
    changed = endpoints.update(
        change,
        webhook_id,
        name=body.name or None,
        url=body.url or None,
        events=_events(body.events) if body.events else None,
        description=body.description,
        secret=body.secret,
        state=_state(body.status) if body.status else None,
    )
    return {"webhook": _written(changed)}


@calls.post("DELETE", "webhooks/{webhook_id}", permission="admin")
def delete(change: Change, webhook_id: str) -> dict[str, Any]:
    """Tell it nothing more."""
    endpoints.delete(change, webhook_id)
    return {}


@calls.raw("POST", "webhooks/{webhook_id}/test", permission="admin")
async def test(request: Request, store: Store, actor: Any) -> Response:
    """Send an example of one of its events now, and say how it went."""
    body = wire.read(Test, await read_body(request))
    found = await run_in_threadpool(_tried, store, request.path_params["webhook_id"], body.event)
    return Response(wire.encode({"result": found}), media_type="application/json")


def tried(store: Store, identity: str, event: str | None = None) -> Tried:
    """Send an example of ``event``, or of the first that the webhook is told of, now and once.

    Raises:
        NotFound: there is no such webhook. Invalid: there is no such event.
    """
    with store.view() as view:
        hook = endpoints.get(view, identity)
    [event] = wire_webhooks.known([event or hook.events[0]])
    now = store.clock()
    body, headers = wire_webhooks.message(hook, ids.uuid7(), event, wire_webhooks.EXAMPLES[event], now, now)
    try:
        answer = egress.post(hook.url, body, headers, allow_loopback=settings.get("webhooks_to_loopback"))
    except MainstayError as error:
        return Tried(event=event, is_done=False, error=error.message)
    return Tried(event=event, is_done=200 <= answer.status < 300, status=answer.status, body=answer.body)


def _tried(store: Store, identity: str, asked: EventIn | None) -> dict[str, Any]:
    found = tried(store, identity, _events([asked])[0] if asked else None)
    if found.error:
        return {"success": False, "error_message": found.error}
    return {"success": found.is_done, "response_status": found.status, "response_body": found.body}


def _check_url(url: str) -> None:
    """Pass if the address may be kept; an address of this machine may, as MLflow's clients expect.

    Raises:
        Invalid: it may not, beginning with the words by which clients know it.
    """
    if not url.strip():
        raise Invalid("Webhook URL cannot be empty or just whitespace; https://host/path is expected.")
    try:
        # Whether it is called is asked at each sending.
        egress.check(url, allow_loopback=True)
    except Invalid as error:
        is_odd = not url.lower().startswith(("http://", "https://"))
        raise Invalid(f"Invalid webhook URL{' scheme' if is_odd else ''}: {error.message}") from error


def _events(asked: list[EventIn]) -> list[str]:
    return wire_webhooks.known([f"{each.entity}.{each.action}".lower() for each in asked])


def _state(status: str) -> str:
    if status not in ("ACTIVE", "DISABLED"):
        raise wire.unusable("status", status, "ACTIVE and DISABLED are the states of a webhook")
    return status.lower()


def _written(hook: Webhook) -> dict[str, Any]:
    events = [each.split(".") for each in hook.events]
    return {
        "webhook_id": hook.id,
        "name": hook.name,
        "url": hook.url,
        "events": [{"entity": entity.upper(), "action": action.upper()} for entity, action in events],
        "description": hook.description,
        "status": hook.state.upper(),
        "creation_timestamp": wire.millis(hook.created_at),
        "last_updated_timestamp": wire.millis(hook.updated_at),
    }
