# SPDX-License-Identifier: Apache-2.0
"""Collecting: which blobs anything refers to, so that the rest may go.

In: the whole record. Out: the digests reached from it. It is conservative: whatever has the form of a digest, in any text of
any table (the ledger, a run's parameters, a trace, a remembered answer) and in any JSON blob that is itself reached (manifests,
lists of chunks, a model's files, a project's sources), holds on to the blob of that name. So no room has to tell what it needs,
and none can forget to: one reference too many costs some bytes, one too few would cost the data.

What is young stays as well: whoever has just brought a blob, or asked whether it is here, is about to refer to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, LargeBinary, String, Table, func, or_, select
from sqlalchemy.types import TypeEngine

from mainstay.domain.errors import Invalid
from mainstay.domain.events.store import StoreCollected
from mainstay.store.blobs import Blobs, Collected
from mainstay.store.change import View
from mainstay.store.database import Store

GRACE = timedelta(days=1)
#: Blobs are made young again when somebody asks for them, but not at every look: half an hour must not matter.
LEAST_GRACE = timedelta(hours=1)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGEST_BYTES = re.compile(rb"[0-9a-f]{64}")
_JSON_BEGINS = (b"{", b"[")


def collect(store: Store, *, actor: str, reason: str = "", grace: timedelta = GRACE, delete: bool = False) -> Collected:
    """Take away what nothing refers to and nobody asked for within ``grace``; without ``delete`` only count it.

    No transaction is held meanwhile, so the event tells of it afterwards.

    Raises:
        Invalid: a grace that is too short to be safe beside writers. Corrupt: a damaged blob may hold references.
    """
    if grace < LEAST_GRACE:
        raise Invalid(f"the grace period is {grace}; at least {LEAST_GRACE} is expected, for somebody may be writing.")
    # Before the record is read: what is referred to while it is, was asked for after this moment.
    before = (store.clock() - grace).timestamp()
    with store.view() as view:
        named = set(mentioned(view))
    live = reached(store.blobs, named)
    found = store.blobs.collect(live, before=before, delete=delete)
    if delete:
        with store.change(actor=actor, reason=reason) as change:
            change.record(
                StoreCollected(
                    objects=found.objects,
                    size=found.size,
                    rewritten=found.rewritten,
                    grace_s=int(grace.total_seconds()),
                )
            )
    return found


def mentioned(view: View) -> Iterator[str]:
    """Whatever has the form of a digest in any text of the record."""
    for table in view.reflected().sorted_tables:
        columns = [column for column in table.columns if _may_hold(column.type)]
        if not columns:
            continue
        for row in view.scan(_long_enough(table, columns)):
            for value in row:
                if isinstance(value, bytes):
                    yield from (found.decode() for found in _DIGEST_BYTES.findall(value))
                elif isinstance(value, str):
                    yield from _DIGEST.findall(value)


def reached(blobs: Blobs, named: set[str]) -> set[str]:
    """What is here of ``named``, and of what those that are JSON name in turn."""
    here = set(blobs.digests())
    live, waiting = set[str](), [digest for digest in named if digest in here]
    while waiting:
        digest = waiting.pop()
        if digest in live:
            continue
        live.add(digest)
        if blobs.begin(digest) in _JSON_BEGINS:
            found = {each.decode() for each in _found_in(blobs, digest)}
            waiting.extend(each for each in found if each in here and each not in live)
    return live


def _found_in(blobs: Blobs, digest: str) -> Iterator[bytes]:
    before = b""
    for piece in blobs.pieces(digest):
        text = before + piece
        yield from _DIGEST_BYTES.findall(text)
        before = text[-63:]  # a digest may stand across two pieces


def _may_hold(kind: TypeEngine[Any]) -> bool:
    if isinstance(kind, String):
        return kind.length is None or kind.length >= 64
    return isinstance(kind, LargeBinary)


def _long_enough(table: Table, columns: list[Column[Any]]) -> Any:
    return select(*columns).where(or_(*(func.length(column) >= 64 for column in columns)))
