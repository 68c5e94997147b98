# SPDX-License-Identifier: Apache-2.0
"""Addresses outside, and the events that each wants to hear of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mainstay.domain import ids
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.registry import WebhookChanged, WebhookCreated, WebhookDeleted
from mainstay.domain.registry import Webhook, check_description
from mainstay.lifecycle.registry.webhooks import tables
from mainstay.store import Change, View, ledger

FOLLOWER = "webhooks"
LONGEST_NAME = 250
LONGEST_URL = 2_000
LONGEST_SECRET = 1_000


def create(
    change: Change,
    *,
    name: str,
    url: str,
    events: Sequence[str],
    description: str = "",
    secret: str = "",
    state: str = "active",
) -> Webhook:
    """Tell ``url`` of ``events`` from now on. Whoever calls has checked that the address may be reached.

    Raises:
        Invalid: an unusable name, address or secret, or no event.
    """
    new = Webhook(
        id=ids.uuid7(),
        name=name,
        url=url,
        events=tuple(dict.fromkeys(events)),
        description=description,
        secret=secret,
        state=state,
        created_at=change.now(),
        updated_at=change.now(),
        actor=change.actor,
    )
    _check(new)
    if tables.seen(change, FOLLOWER) is None:
        # What happened before there was anybody to tell is not told.
        tables.set_seen(change, FOLLOWER, ledger.head(change)[0])
    tables.put_webhook(change, new)
    change.record(WebhookCreated(webhook=new.id, name=name, url=url, events=list(new.events)))
    return new


def update(change: Change, identity: str, **changes: Any) -> Webhook:
    """Change a webhook; None leaves a thing as it is.

    Raises:
        NotFound: there is none. Invalid: as `create`.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    if "events" in given:
        given["events"] = tuple(dict.fromkeys(given["events"]))
    after = replace(get(change, identity), **given, updated_at=change.now())
    _check(after)
    tables.put_webhook(change, after)
    told = {key: list(value) if key == "events" else value for key, value in given.items() if key != "secret"}
    change.record(WebhookChanged(webhook=identity, changes=told | ({"secret": "changed"} if "secret" in given else {})))
    return after


def delete(change: Change, identity: str) -> None:
    """Tell it nothing more.

    Raises:
        NotFound: there is none.
    """
    get(change, identity)
    tables.drop_webhook(change, identity)
    change.record(WebhookDeleted(webhook=identity))


def get(view: View, identity: str) -> Webhook:
    """One webhook.

    Raises:
        NotFound: there is none.
    """
    found = tables.webhook(view, identity)
    if found is None:
        raise NotFound(
            f"there is no webhook {identity[:60]!r}; `mainstay webhooks list` shows those there are.",
            webhook=identity[:60],
        )
    return found


def listed(view: View, *, after: int = 0, limit: int | None = 100) -> list[Webhook]:
    """Webhooks, newest first, from behind the first ``after``."""
    return tables.all_webhooks(view, after, limit)


def _check(hook: Webhook) -> None:
    if not hook.name.strip() or len(hook.name) > LONGEST_NAME or not hook.name.isprintable():
        raise Invalid(f"webhook name {hook.name[:40]!r} is not usable; 1 to {LONGEST_NAME} printable characters are.")
    if len(hook.url) > LONGEST_URL or not hook.url.isprintable() or " " in hook.url:
        raise Invalid(
            f"webhook {hook.name!r} has an address that is not usable; at most {LONGEST_URL} characters, no spaces."
        )
    if len(hook.secret) > LONGEST_SECRET:
        raise Invalid(
            f"webhook {hook.name!r} has a secret of {len(hook.secret)} characters; at most {LONGEST_SECRET} fit."
        )
    if not hook.events:
        raise Invalid(f"webhook {hook.name!r} names no events, so it would never be told anything.")
    if hook.state not in ("active", "disabled"):
        raise Invalid(f"webhook {hook.name!r} cannot be {hook.state!r}; it is active or disabled.")
    check_description(f"webhook {hook.name!r}", hook.description)
