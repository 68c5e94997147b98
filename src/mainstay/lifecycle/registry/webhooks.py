# SPDX-License-Identifier: Apache-2.0
"""Webhooks: addresses outside that are told what happens to models.

A follower of the ledger: `plan` reads on from where it stopped and, in one transaction, writes down who is to be told what;
`lease` hands out what is due, and `settle` keeps how it went. So nothing is lost when the server dies, and what was sent but not
noted is sent again under the same id. Sending, and seeing to it that nothing inside is reached, is the server's part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from mainstay.domain import ids
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.registry import WebhookChanged, WebhookCreated, WebhookDeleted
from mainstay.domain.registry import Delivery, Webhook, check_description
from mainstay.lifecycle.registry import tables
from mainstay.store import Change, Ingest, Store, View, ledger

FOLLOWER = "webhooks"
BATCH = 200
LONGEST_NAME = 250
LONGEST_URL = 2_000
LONGEST_SECRET = 1_000
LEASE = timedelta(minutes=2)
#: How long to wait after each attempt that failed; after the last one it is given up.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200))
KEPT = timedelta(days=7)

Told = tuple[str, dict[str, Any]]


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


def deliveries(view: View, identity: str, *, limit: int = 100) -> list[Delivery]:
    """What a webhook was told, or is to be told, newest first."""
    get(view, identity)
    return tables.deliveries_of(view, identity, limit)


def plan(store: Store, told: Callable[[View, ledger.Entry], Iterable[Told]]) -> bool:
    """Read on in the ledger and write down what is to be told; whether there was anything to read.

    Args:
        told: what an event is called outside, and what is told of it.
    """
    with store.view() as view:
        seen = tables.seen(view, FOLLOWER)
        if seen is None or not ledger.search(view, after=seen, limit=1, newest_first=False):
            return False
    with store.ingest() as ingest:
        # Read again, inside: another worker may have planned the same meanwhile.
        seen = tables.seen(ingest, FOLLOWER) or 0
        entries = ledger.search(ingest, after=seen, limit=BATCH, newest_first=False)
        active = [hook for hook in listed(ingest, limit=None) if hook.state == "active"]
        for entry in entries:
            tables.put_deliveries(ingest, _deliveries(ingest, active, entry, told))
        if entries:
            tables.set_seen(ingest, FOLLOWER, entries[-1].seq)
            tables.forget_deliveries(ingest, ingest.now() - KEPT)
    return bool(entries)


def lease(store: Store, most: int) -> list[tuple[Webhook, Delivery]]:
    """Take up to ``most`` deliveries that are due; whoever takes one settles it, or it is due again after a while."""
    with store.view() as view:
        due = tables.due_deliveries(view, view.now(), most)
    taken = []
    for delivery in due:
        with store.ingest() as ingest:
            hook = tables.webhook(ingest, delivery.webhook)
            if hook is None or hook.state != "active":
                tables.set_delivery(ingest, delivery.id, state="failed", answer="the webhook rests or is gone")
            elif tables.lease_delivery(ingest, delivery.id, delivery.attempts, ingest.now() + LEASE):
                taken.append((hook, replace(delivery, attempts=delivery.attempts + 1)))
    return taken


def settle(ingest: Ingest, delivery: Delivery, *, is_done: bool, may_repeat: bool, answer: str) -> None:
    """Keep how an attempt went; one that failed is repeated later, a few times."""
    if is_done:
        tables.set_delivery(ingest, delivery.id, state="done", due_at=ingest.now(), answer=answer[:500])
    elif may_repeat and delivery.attempts <= len(WAITS):
        again = ingest.now() + WAITS[delivery.attempts - 1]
        tables.set_delivery(ingest, delivery.id, due_at=again, answer=answer[:500])
    else:
        tables.set_delivery(ingest, delivery.id, state="failed", due_at=ingest.now(), answer=answer[:500])


def _deliveries(
    view: View, hooks: Sequence[Webhook], entry: ledger.Entry, told: Callable[[View, ledger.Entry], Iterable[Told]]
) -> list[Delivery]:
    if not hooks:
        return []
    return [
        Delivery(
            id=ids.uuid7(),
            webhook=hook.id,
            seq=entry.seq,
            event=event,
            data=data,
            at=entry.at,
            state="due",
            attempts=0,
            due_at=view.now(),
            answer="",
        )
        for event, data in told(view, entry)
        for hook in hooks
        if event in hook.events and entry.at >= hook.created_at
    ]


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
