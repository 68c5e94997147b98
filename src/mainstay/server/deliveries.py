# SPDX-License-Identifier: Apache-2.0
"""Deliveries: what webhooks are to be told is planned from the ledger, and sent.

A loop like the others, except that sending waits for strangers: so each delivery is sent by a thread of its own, a few at a
time. What a thread did not get to note is sent again, since its lease ends.
"""

from __future__ import annotations

import logging
import threading

from mainstay import settings
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.registry import Delivery, Webhook
from mainstay.lifecycle.registry.webhooks import deliveries
from mainstay.server import egress
from mainstay.server.protocols.mlflow import wire_webhooks as words
from mainstay.store import Store

log = logging.getLogger("mainstay.server.deliveries")

AT_ONCE = 4
_REPEATABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
_free = threading.Semaphore(AT_ONCE)


def loop(store: Store) -> bool:
    """Plan what is new in the ledger, and send what is due; whether anything was planned."""
    planned = deliveries.plan(store, words.told)
    free = 0
    while free < AT_ONCE and _free.acquire(blocking=False):
        free += 1
    taken = deliveries.lease(store, free) if free else []
    for hook, delivery in taken:
        threading.Thread(target=_send, args=(store, hook, delivery), name="mainstay-webhook", daemon=True).start()
    for _ in range(free - len(taken)):
        _free.release()
    return planned


def send(store: Store, hook: Webhook, delivery: Delivery) -> None:
    """One attempt, and how it went."""
    body, headers = words.message(hook, delivery.id, delivery.event, delivery.data, delivery.at, store.clock())
    try:
        answer = egress.post(hook.url, body, headers, allow_loopback=settings.get("webhooks_to_loopback"))
        is_done, may_repeat = 200 <= answer.status < 300, answer.status in _REPEATABLE
        said = f"status {answer.status}" + ("" if is_done or answer.status not in range(300, 400) else ", not followed")
    except MainstayError as error:
        is_done, may_repeat, said = False, not isinstance(error, Invalid), error.message
    with store.ingest() as ingest:
        deliveries.settle(ingest, delivery, is_done=is_done, may_repeat=may_repeat, answer=said)


def _send(store: Store, hook: Webhook, delivery: Delivery) -> None:
    try:
        send(store, hook, delivery)
    except Exception:  # a thread has nobody to tell; the lease ends, and the next attempt finds the same work
        log.exception("delivery %s was not settled", delivery.id)
    finally:
        _free.release()
