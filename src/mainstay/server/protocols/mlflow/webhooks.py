# SPDX-License-Identifier: Apache-2.0
"""Webhooks: who is told of models, versions, tags, aliases and prompts, and in which words.

An event of the ledger becomes what MLflow calls it, with the fields that its receivers know. What is sent is signed as they
check it: ``v1,`` and the base64 of HMAC-SHA256 over ``id.time.body``. To make one takes an admin, since it sends facts outside.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay import settings
from mainstay.domain import ids
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.registry import Webhook
from mainstay.lifecycle.registry import models, webhooks
from mainstay.server import egress
from mainstay.server.protocols.mlflow import registered, wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.routes import read_body
from mainstay.store import Change, Store, View, ledger

calls = Calls()

MOST_WEBHOOKS = 1000
#: What may be asked for, with an example of what is told; the example is what a test sends.
EXAMPLES: dict[str, dict[str, Any]] = {
    "registered_model.created": {"name": "example", "tags": {"team": "ops"}, "description": "an example"},
    "model_version.created": {
        "name": "example",
        "version": "1",
        "source": "models:/m-1",
        "run_id": "0123",
        "tags": {"team": "ops"},
        "description": "an example",
    },
    "model_version_tag.set": {"name": "example", "version": "1", "key": "team", "value": "ops"},
    "model_version_tag.deleted": {"name": "example", "version": "1", "key": "team"},
    "model_version_alias.created": {"name": "example", "alias": "champion", "version": "1"},
    "model_version_alias.deleted": {"name": "example", "alias": "champion"},
    "prompt.created": {"name": "example", "tags": {"team": "ops"}, "description": "an example"},
    "prompt_version.created": {
        "name": "example",
        "version": "1",
        "template": "Hello {{name}}!",
        "tags": {"team": "ops"},
        "description": "an example",
    },
    "prompt_tag.set": {"name": "example", "key": "team", "value": "ops"},
    "prompt_tag.deleted": {"name": "example", "key": "team"},
    "prompt_version_tag.set": {"name": "example", "version": "1", "key": "team", "value": "ops"},
    "prompt_version_tag.deleted": {"name": "example", "version": "1", "key": "team"},
    "prompt_alias.created": {"name": "example", "alias": "production", "version": "1"},
    "prompt_alias.deleted": {"name": "example", "alias": "production"},
}


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
    made = webhooks.create(
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
    found = webhooks.listed(view, after=place, limit=limit + 1)
    next_page = registered.token(place + limit) if len(found) > limit else None
    return {"webhooks": [_written(each) for each in found[:limit]]} | (
        {"next_page_token": next_page} if next_page else {}
    )


@calls.get("webhooks/{webhook_id}")
def get(view: View, webhook_id: str) -> dict[str, Any]:
    """One webhook."""
    return {"webhook": _written(webhooks.get(view, webhook_id))}


@calls.post("PATCH", "webhooks/{webhook_id}", permission="admin")
def update(change: Change, webhook_id: str, body: Update) -> dict[str, Any]:
    """Change a webhook."""
    if body.url is not None:
        _check_url(body.url)
    changed = webhooks.update(
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
    webhooks.delete(change, webhook_id)
    return {}


@calls.raw("POST", "webhooks/{webhook_id}/test", permission="admin")
async def test(request: Request, store: Store, actor: Any) -> Response:
    """Send an example of one of its events now, and say how it went."""
    body = wire.read(Test, await read_body(request))
    found = await run_in_threadpool(_tried, store, request.path_params["webhook_id"], body.event)
    return Response(wire.encode({"result": found}), media_type="application/json")


def told(view: View, entry: ledger.Entry) -> Iterator[webhooks.Told]:
    """What an event of the ledger is called here, and what is told of it; nothing for most of them."""
    body = entry.body
    if entry.kind not in _TELLERS:
        return
    yield from _TELLERS[entry.kind](body, _is_prompt(view, body["model"]))


def message(
    hook: Webhook, identity: str, event: str, data: dict[str, Any], at: datetime, now: datetime
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of what is sent."""
    entity, _, action = event.partition(".")
    body = json.dumps({"entity": entity, "action": action, "timestamp": at.isoformat(), "data": data}).encode()
    moment = str(int(now.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": identity,
        "X-MLflow-Timestamp": moment,
    }
    if hook.secret:
        signed = f"{identity}.{moment}.".encode() + body
        mac = hmac.new(hook.secret.encode(), signed, hashlib.sha256).digest()
        headers["X-MLflow-Signature"] = f"v1,{base64.b64encode(mac).decode()}"
    return body, headers


def _of_model(body: dict[str, Any], is_prompt: bool) -> Iterator[webhooks.Told]:
    tags = body.get("tags", {})
    kept = {key: value for key, value in tags.items() if key != registered.IS_PROMPT}
    data = {"name": body["model"], "tags": kept, "description": body.get("description") or None}
    yield ("prompt" if is_prompt else "registered_model") + ".created", data


def _of_version(body: dict[str, Any], is_prompt: bool) -> Iterator[webhooks.Told]:
    tags, data = dict(body.get("tags", {})), {"name": body["model"], "version": str(body["number"])}
    told = {"tags": tags, "description": body.get("description") or None}
    if is_prompt:
        template = tags.pop(registered.PROMPT_TEXT, "")
        tags.pop(registered.IS_PROMPT, None)
        yield "prompt_version.created", data | {"template": template} | told
    else:
        yield "model_version.created", data | {"source": body.get("source", ""), "run_id": body["run_id"]} | told


def _of_model_tags(body: dict[str, Any], is_prompt: bool) -> Iterator[webhooks.Told]:
    if is_prompt:
        yield from _of_tags("prompt_tag", {"name": body["model"]}, body["changes"])


def _of_version_tags(body: dict[str, Any], is_prompt: bool) -> Iterator[webhooks.Told]:
    data = {"name": body["model"], "version": str(body["number"])}
    yield from _of_tags("prompt_version_tag" if is_prompt else "model_version_tag", data, body["changes"])


def _of_tags(entity: str, data: dict[str, Any], changes: dict[str, Any]) -> Iterator[webhooks.Told]:
    for key, value in changes.get("tags", {}).items():
        if key == registered.STAGE:
            continue
        if value is None:
            yield f"{entity}.deleted", data | {"key": key}
        else:
            yield f"{entity}.set", data | {"key": key, "value": value}


def _of_alias(body: dict[str, Any], is_prompt: bool) -> Iterator[webhooks.Told]:
    entity, data = (
        "prompt_alias" if is_prompt else "model_version_alias",
        {"name": body["model"], "alias": body["alias"]},
    )
    if body["after"] is None:
        yield f"{entity}.deleted", data
    else:
        yield f"{entity}.created", data | {"version": str(body["after"])}


_TELLERS = {
    "model.created": _of_model,
    "model.changed": _of_model_tags,
    "version.registered": _of_version,
    "version.changed": _of_version_tags,
    "alias.moved": _of_alias,
}


def _is_prompt(view: View, model: str) -> bool:
    try:
        return models.get(view, model).kind == "prompt"
    except MainstayError:
        return False


def _tried(store: Store, identity: str, asked: EventIn | None) -> dict[str, Any]:
    with store.view() as view:
        hook = webhooks.get(view, identity)
    event = _events([asked])[0] if asked else hook.events[0]
    now = store.clock()
    body, headers = message(hook, ids.uuid7(), event, EXAMPLES[event], now, now)
    try:
        answer = egress.post(hook.url, body, headers, allow_loopback=settings.get("webhooks_to_loopback"))
    except MainstayError as error:
        return {"success": False, "error_message": error.message}
    return {"success": answer.status < 300, "response_status": answer.status, "response_body": answer.body}


def _check_url(url: str) -> None:
    # An address of this machine may be kept, as MLflow's clients expect; whether it is called is asked at each sending.
    egress.check(url, allow_loopback=True)


def _events(asked: list[EventIn]) -> list[str]:
    found = [f"{each.entity}.{each.action}".lower() for each in asked]
    if unknown := next((event for event in found if event not in EXAMPLES), None):
        raise Invalid(f"there is no webhook event {unknown[:80]!r}; the events are {', '.join(EXAMPLES)}.")
    return found


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
