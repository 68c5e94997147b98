# SPDX-License-Identifier: Apache-2.0
"""What webhooks are told, and in which words: those of MLflow, whose receivers exist already.

An event of the ledger becomes what MLflow calls it, with the fields that its receivers know. What is sent is signed as they
check it: ``v1,`` and the base64 of HMAC-SHA256 over ``id.time.body``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.registry import Webhook
from mainstay.lifecycle.registry import models
from mainstay.lifecycle.registry.webhooks import deliveries
from mainstay.server.protocols.mlflow import registered
from mainstay.store import View, ledger

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


def known(events: Sequence[str]) -> list[str]:
    """The events asked for.

    Raises:
        Invalid: there is none of that name.
    """
    if unknown := next((event for event in events if event not in EXAMPLES), None):
        raise Invalid(f"there is no webhook event {unknown[:80]!r}; the events are {', '.join(EXAMPLES)}.")
    return list(events)


def told(view: View, entry: ledger.Entry) -> Iterator[deliveries.Told]:
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


def _of_model(body: dict[str, Any], is_prompt: bool) -> Iterator[deliveries.Told]:
    tags = body.get("tags", {})
    kept = {key: value for key, value in tags.items() if key != registered.IS_PROMPT}
    data = {"name": body["model"], "tags": kept, "description": body.get("description") or None}
    yield ("prompt" if is_prompt else "registered_model") + ".created", data


def _of_version(body: dict[str, Any], is_prompt: bool) -> Iterator[deliveries.Told]:
    tags, data = dict(body.get("tags", {})), {"name": body["model"], "version": str(body["number"])}
    told = {"tags": tags, "description": body.get("description") or None}
    if is_prompt:
        template = tags.pop(registered.PROMPT_TEXT, "")
        tags.pop(registered.IS_PROMPT, None)
        yield "prompt_version.created", data | {"template": template} | told
    else:
        yield "model_version.created", data | {"source": body.get("source", ""), "run_id": body["run_id"]} | told


def _of_model_tags(body: dict[str, Any], is_prompt: bool) -> Iterator[deliveries.Told]:
    if is_prompt:
        yield from _of_tags("prompt_tag", {"name": body["model"]}, body["changes"])


def _of_version_tags(body: dict[str, Any], is_prompt: bool) -> Iterator[deliveries.Told]:
    data = {"name": body["model"], "version": str(body["number"])}
    yield from _of_tags("prompt_version_tag" if is_prompt else "model_version_tag", data, body["changes"])


def _of_tags(entity: str, data: dict[str, Any], changes: dict[str, Any]) -> Iterator[deliveries.Told]:
    for key, value in changes.get("tags", {}).items():
        if key == registered.STAGE:
            continue
        if value is None:
            yield f"{entity}.deleted", data | {"key": key}
        else:
            yield f"{entity}.set", data | {"key": key, "value": value}


def _of_alias(body: dict[str, Any], is_prompt: bool) -> Iterator[deliveries.Told]:
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
