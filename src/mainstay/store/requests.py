# SPDX-License-Identifier: Apache-2.0
"""Remembered requests: a POST repeated with the same ``Idempotency-Key`` gets the first answer, and nothing happens twice.

The answer is stored in the same transaction as the change itself, so there is no moment at which one exists without the other.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select

from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Conflict
from mainstay.store.change import Ingest, View
from mainstay.store.tables import requests

KEPT = timedelta(hours=48)


class Answer(NamedTuple):
    """What was answered the first time."""

    status: int
    body: bytes


class Request(NamedTuple):
    """A request that may come again: ``key`` is scoped to its actor and route, ``digest`` tells whether it is the same one."""

    key: str
    digest: str


def identify(*, actor: str, route: str, key: str, body: bytes) -> Request:
    """Name a request by who asks what with which key."""
    return Request(key=sha256_hex(f"{actor}\0{route}\0{key}".encode()), digest=sha256_hex(body))


def recall(view: View, request: Request) -> Answer | None:
    """The first answer to ``request``, if it came before.

    Raises:
        Conflict: the key was used before for another body.
    """
    row = view.first(_KNOWN, {"wanted": request.key})
    if row is None:
        return None
    if row.request_digest != request.digest:
        raise Conflict("this Idempotency-Key was used before with another body; use a new key for a new request.")
    return Answer(row.status, row.response)


_KNOWN = select(requests).where(requests.c.key == bindparam("wanted"))


def remember(ingest: Ingest, request: Request, answer: Answer) -> None:
    """Keep ``answer`` for 48 hours, as part of the transaction that earned it."""
    ingest.insert(
        requests,
        key=request.key,
        request_digest=request.digest,
        status=answer.status,
        response=answer.body,
        at=ingest.now(),
    )


def any_old(view: View) -> bool:
    """Whether `forget_old` would find something."""
    return view.first(select(requests.c.key).where(requests.c.at < view.now() - KEPT).limit(1)) is not None


def forget_old(ingest: Ingest) -> int:
    """Drop answers that are older than 48 hours."""
    return ingest.execute(delete(requests).where(requests.c.at < ingest.now() - KEPT))
