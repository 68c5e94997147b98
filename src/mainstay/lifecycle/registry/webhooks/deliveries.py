# SPDX-License-Identifier: Apache-2.0
"""What webhooks are told: written down as the ledger grows, handed out when due, settled.

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
from mainstay.domain.registry import Delivery, Webhook
from mainstay.lifecycle.registry.webhooks import endpoints, tables
from mainstay.store import Ingest, Store, View, ledger

BATCH = 200
LEASE = timedelta(minutes=2)
#: How long to wait after each attempt that failed; after the last one it is given up.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200))
KEPT = timedelta(days=7)

Told = tuple[str, dict[str, Any]]


def of(view: View, identity: str, *, limit: int = 100) -> list[Delivery]:
    """What a webhook was told, or is to be told, newest first."""
    endpoints.get(view, identity)
    return tables.deliveries_of(view, identity, limit)


def plan(store: Store, told: Callable[[View, ledger.Entry], Iterable[Told]]) -> bool:
    """Read on in the ledger and write down what is to be told; whether there was anything to read.

    Args:
        told: what an event is called outside, and what is told of it.
    """
    with store.view() as view:
        seen = tables.seen(view, endpoints.FOLLOWER)
        if seen is None or not ledger.search(view, after=seen, limit=1, newest_first=False):
            return False
    with store.ingest() as ingest:
        # Read again, inside: another worker may have planned the same meanwhile.
        seen = tables.seen(ingest, endpoints.FOLLOWER) or 0
        entries = ledger.search(ingest, after=seen, limit=BATCH, newest_first=False)
        active = [hook for hook in endpoints.listed(ingest, limit=None) if hook.state == "active"]
        for entry in entries:
            tables.put_deliveries(ingest, _deliveries(ingest, active, entry, told))
        if entries:
            tables.set_seen(ingest, endpoints.FOLLOWER, entries[-1].seq)
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
