# SPDX-License-Identifier: Apache-2.0
"""The tables of webhooks and of what they are told, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, Row, String, Table, Text, delete, select, update

from mainstay.domain.registry import Delivery, Webhook
from mainstay.store import Change, Ingest, Instant, Json, View, metadata
from mainstay.store.tables import cursors

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("description", Text, nullable=False),
    # As it is, for it signs what is sent; the database's file is readable by its owner only.
    Column("secret", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("actor", String, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("webhook", String(32), nullable=False, index=True),
    Column("seq", Integer, nullable=False),
    Column("event", String, nullable=False),
    Column("data", Json, nullable=False),
    Column("at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("answer", Text, nullable=False),
    Index(None, "state", "due_at"),
    info={"holds": False},
)


def webhook(view: View, identity: str) -> Webhook | None:
    row = view.first(select(webhooks).where(webhooks.c.id == identity))
    return row and _webhook(row)


def all_webhooks(view: View, after: int, limit: int | None) -> list[Webhook]:
    query = select(webhooks).order_by(webhooks.c.created_at.desc(), webhooks.c.id).offset(after).limit(limit)
    return [_webhook(row) for row in view.rows(query)]


def put_webhook(change: Change, new: Webhook) -> None:
    values = asdict(new) | {"events": list(new.events)}
    if not change.execute(update(webhooks).where(webhooks.c.id == new.id).values(**values)):
        change.insert(webhooks, **values)


def drop_webhook(change: Change, identity: str) -> None:
    change.execute(delete(webhook_deliveries).where(webhook_deliveries.c.webhook == identity))
    change.execute(delete(webhooks).where(webhooks.c.id == identity))


def seen(view: View, follower: str) -> int | None:
    """Up to where a follower has read the ledger; None if it never did."""
    found: int | None = view.scalar(select(cursors.c.seq).where(cursors.c.follower == follower))
    return found


def set_seen(ingest: Ingest, follower: str, seq: int) -> None:
    if not ingest.execute(update(cursors).where(cursors.c.follower == follower).values(seq=seq)):
        ingest.insert(cursors, follower=follower, seq=seq)


def put_deliveries(ingest: Ingest, new: Iterable[Delivery]) -> None:
    ingest.bulk_append(webhook_deliveries, (asdict(each) for each in new))


def due_deliveries(view: View, now: datetime, limit: int) -> list[Delivery]:
    c = webhook_deliveries.c
    query = select(webhook_deliveries).where(c.state == "due", c.due_at <= now).order_by(c.due_at, c.id).limit(limit)
    return [Delivery(**row._mapping) for row in view.rows(query)]


def deliveries_of(view: View, webhook_id: str, limit: int) -> list[Delivery]:
    c = webhook_deliveries.c
    query = select(webhook_deliveries).where(c.webhook == webhook_id).order_by(c.seq.desc(), c.id).limit(limit)
    return [Delivery(**row._mapping) for row in view.rows(query)]


def lease_delivery(ingest: Ingest, identity: str, attempts: int, until: datetime) -> bool:
    """Take a delivery for an attempt; False if another has."""
    c = webhook_deliveries.c
    mine = (c.id == identity) & (c.state == "due") & (c.attempts == attempts)
    return bool(ingest.execute(update(webhook_deliveries).where(mine).values(attempts=attempts + 1, due_at=until)))


def set_delivery(ingest: Ingest, identity: str, **values: Any) -> None:
    ingest.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == identity).values(**values))


def forget_deliveries(ingest: Ingest, before: datetime) -> None:
    c = webhook_deliveries.c
    ingest.execute(delete(webhook_deliveries).where(c.state != "due", c.due_at < before))


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(**{**row._mapping, "events": tuple(row.events)})
