# SPDX-License-Identifier: Apache-2.0
"""Secrets that stand for a person: tokens for programs, sessions for browsers, links that are used once.

Written ``mst_<id>_<secret>``: the secret has 256 random bits, so a plain SHA-256 of it is safe to keep and fast to check.
The id finds the row, the hash is compared in constant time, and the clear secret exists only at the moment it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainstay.domain import clock
from mainstay.domain.errors import Invalid, NotFound, Unauthenticated
from mainstay.domain.events.governance import TokenIssued, TokenRevoked
from mainstay.domain.governance import Person
from mainstay.lifecycle.governance import people, tables
from mainstay.store import Change, Ingest, View

PREFIX = "mst"
LONGEST_DAYS = 3650
LINK_LIVES = timedelta(minutes=5)
SESSION_LIVES = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A secret at the only moment when it is known."""

    id: str
    secret: str
    expires_at: datetime


def issue(change: Change, *, name: str, days: int = 90) -> Issued:
    """Make a token for somebody; shown once.

    Raises:
        NotFound: nobody has that name. Invalid: ``days`` is not within 1 to 3650.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid(f"a token for {days} days cannot be made; from 1 to {LONGEST_DAYS} are possible.")
    someone = people.get(change, name)
    issued = _make(change, use="token", name=someone.name, lives=timedelta(days=days))
    change.record(TokenIssued(name=name, token=issued.id, expires_at=clock.to_wire(issued.expires_at)))
    return issued


def revoke(change: Change, *, identity: str) -> None:
    """End a token at once.

    Raises:
        NotFound: there is no such token, or it has ended already.
    """
    row = tables.secret(change, identity, "token")
    if row is None or not tables.end_secret(change, identity, change.now()):
        raise NotFound(f"there is no token {identity!r} that still works; `mainstay tokens list` shows them.")
    change.record(TokenRevoked(name=row.person, token=identity))


def make_link(ingest: Ingest, *, name: str) -> Issued:
    """A secret for one sign-in with a browser, within five minutes."""
    return _make(ingest, use="link", name=name, lives=LINK_LIVES)


def redeem_link(ingest: Ingest, *, secret: str) -> Issued:
    """Turn a link into a browser session; works once.

    Raises:
        Unauthenticated: unknown, used before, or too old.
    """
    someone, identity = _check(ingest, secret, "link")
    if not tables.end_secret(ingest, identity, ingest.now()):
        raise _refusal("link")
    return _make(ingest, use="session", name=someone.name, lives=SESSION_LIVES)


def holder(view: View, *, secret: str, use: str = "token") -> tuple[Person, str]:
    """The person for whom ``secret`` stands now, and the id of the secret.

    Raises:
        Unauthenticated: unknown, ended, expired, or its person is disabled. The message does not tell which.
    """
    return _check(view, secret, use)


def any_stale(view: View) -> bool:
    """Whether `forget_stale` would find something."""
    return tables.any_ended_before(view, view.now())


def forget_stale(ingest: Ingest) -> int:
    """Drop links and sessions whose time is over; tokens stay, since the ledger speaks of them."""
    return tables.forget_ended_before(ingest, ingest.now())


def _make(ingest: Ingest, *, use: str, name: str, lives: timedelta) -> Issued:
    identity, secret = secrets.token_hex(8), secrets.token_hex(32)
    issued = Issued(id=identity, secret=f"{PREFIX}_{identity}_{secret}", expires_at=ingest.now() + lives)
    tables.put_secret(
        ingest,
        id=identity,
        use=use,
        person=name,
        sha256=_hash(secret),
        created_at=ingest.now(),
        expires_at=issued.expires_at,
    )
    return issued


def _check(view: View, secret: str, use: str) -> tuple[Person, str]:
    prefix, _, rest = secret.partition("_")
    identity, _, clear = rest.partition("_")
    row = tables.secret(view, identity, use) if prefix == PREFIX and identity and clear else None
    # The comparison runs also for an unknown id, so that time does not tell whether the id exists.
    known = hmac.compare_digest(_hash(clear), row.sha256 if row else _hash(""))
    someone = tables.person(view, row.person) if row else None
    if not (row and known and someone) or row.ended_at or row.expires_at <= view.now() or someone.disabled_at:
        raise _refusal(use)
    return someone, identity


def _refusal(use: str) -> Unauthenticated:
    if use == "link":
        return Unauthenticated(
            "this link was used before or is older than five minutes; `mainstay open` makes a new one."
        )
    return Unauthenticated(
        "this token is not known here, has expired or was revoked; an admin makes a new one with `mainstay tokens create NAME`."
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
