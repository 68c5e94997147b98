# SPDX-License-Identifier: Apache-2.0
"""The store's own tables: the ledger and its head, erasable texts, remembered requests, jobs and followers' cursors."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from mainstay.store.schema import Instant, Json, metadata

# `body` holds the canonical bytes exactly as hashed; the other columns repeat parts of it so that they can be searched.
ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("subject_version", Integer, nullable=False),
    Column("because", Integer),
    Column("body", LargeBinary, nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("subject", "subject_version"),
    Index(None, "kind", "seq"),
    Index(None, "actor", "seq"),
    info={"of": "{subject}"},
)

# One row. Writers lock it before they read it: two that read the same head would fork the chain. It also shows a cut-off tail.
ledger_head = Table(
    "ledger_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
)

# Words that people wrote. The chain holds only a salted commitment, so a row here can be erased and the chain still verifies.
ledger_texts = Table(
    "ledger_texts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("text", Text, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False, index=True),
    info={"holds": False},
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String, nullable=False),
    Column("body", Json, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String, nullable=False),
    Column("because", BigInteger),
    Column("worker", String),
    Column("leased_until", Instant),
    Column("finished_at", Instant),
    Column("result", Json),
    Column("error", Text),
    Column("subject", String),
    Column("leased_at", Instant),
    Column("progress", Json),
    Index(None, "state", "created_at"),
    Index(None, "subject", "created_at"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("follower", String, primary_key=True),
    Column("seq", Integer, nullable=False),
)
