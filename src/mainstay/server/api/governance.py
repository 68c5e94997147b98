# SPDX-License-Identifier: Apache-2.0
"""People, tokens, links, policies and the ledger, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mainstay.domain.governance import Person, Policy
from mainstay.lifecycle.governance import people, policies, tables, tokens
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, encode
from mainstay.store import Change, Store, View, ledger

routes = Routes("governance")

STREAM_LOOKS_EVERY_S = 0.25


class PersonIn(Body):
    name: str
    kind: str = "user"
    roles: list[str] = msgspec.field(default_factory=lambda: ["viewer"])


class TokenIn(Body):
    days: int = 90


class TokenOut(msgspec.Struct):
    id: str
    token: str
    expires_at: datetime


class TokenBrief(msgspec.Struct):
    id: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class ApprovalsWanted(Body):
    count: int = 1
    not_author: bool = True


class PolicyIn(Body):
    gates: list[str]
    approvals: ApprovalsWanted = msgspec.field(default_factory=ApprovalsWanted)


class PolicyOut(msgspec.Struct):
    name: str
    version: int
    gates: list[str]
    approvals: dict[str, Any]
    digest: str
    created_at: datetime
    actor: str


class People(msgspec.Struct):
    items: list[Person]


class Policies(msgspec.Struct):
    items: list[PolicyOut]


class Events(msgspec.Struct):
    items: list[ledger.Entry]
    next: int | None


class Head(msgspec.Struct):
    seq: int
    hash: str


class Verified(msgspec.Struct):
    ok: bool
    events: int
    head: Head
    problems: list[str]


@routes.post("/people", permission="admin", status=201)
def add_person(change: Change, body: PersonIn) -> Person:
    """Let somebody act here, or give somebody other roles."""
    return people.add(change, name=body.name, kind=body.kind, roles=body.roles)


@routes.get("/people", permission="read")
def list_people(view: View) -> People:
    """Everybody who can act here."""
    return People(items=people.listed(view))


@routes.post("/people/{name}/tokens", permission="admin", status=201, remembers=False)
def issue_token(change: Change, name: str, body: TokenIn) -> TokenOut:
    """Make a token for somebody. It is shown this once and kept as a hash only."""
    issued = tokens.issue(change, name=name, days=body.days)
    return TokenOut(id=issued.id, token=issued.secret, expires_at=issued.expires_at)


@routes.get("/people/{name}/tokens", permission="admin")
def list_tokens(view: View, name: str) -> list[TokenBrief]:
    """Somebody's tokens, newest first, without their secrets."""
    people.get(view, name)
    rows = tables.secrets_of(view, name, "token")
    return [TokenBrief(r.id, r.created_at, r.expires_at, r.ended_at) for r in rows]


@routes.post("/tokens/{token_id}/revoke", permission="admin")
def revoke_token(change: Change, token_id: str) -> dict[str, str]:
    """End a token at once."""
    tokens.revoke(change, identity=token_id)
    return {"id": token_id, "state": "revoked"}


@routes.post("/policies/{name}", permission="admin", status=201)
def put_policy(change: Change, name: str, body: PolicyIn) -> PolicyOut:
    """Write a policy down; changed content is a new version."""
    wanted = body.approvals
    return _policy(
        policies.put(change, name=name, gates=body.gates, approvals=wanted.count, not_author=wanted.not_author)
    )


@routes.get("/policies", permission="read")
def list_policies(view: View) -> Policies:
    """Each policy in its newest version."""
    return Policies(items=[_policy(policy) for policy in policies.listed(view)])


@routes.get("/policies/{name}", permission="read")
def show_policy(view: View, name: str, version: int | None = None) -> PolicyOut:
    """One policy."""
    return _policy(policies.get(view, name, version))


@routes.get("/events", permission="read")
def list_events(
    view: View,
    kind: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Events:
    """The ledger, newest first. ``kind`` may end in ``*``; ``before`` pages backwards."""
    found = ledger.search(view, kind=kind, subject=subject, actor=actor, after=after, before=before, limit=limit)
    return Events(items=list(found), next=found[-1].seq if len(found) == limit else None)


@routes.get("/events/{seq:int}", permission="read")
def show_event(view: View, seq: int) -> ledger.Entry | None:
    """One event, or null."""
    return ledger.entry(view, seq)


@routes.get("/audit/verify", permission="read")
def verify(view: View) -> Verified:
    """Walk the whole chain and say what is wrong with it, if anything."""
    found = ledger.verify(view)
    return Verified(found.ok, found.events, Head(found.head_seq, found.head_hash), list(found.problems))


@routes.raw("GET", "/me", permission="read")
async def me(*, request: Request, store: Store, actor: Principal) -> Response:
    """Who is asking, as far as the server knows."""
    return _json({"actor": actor.actor, "roles": sorted(actor.roles), "via": actor.via})


@routes.raw("POST", "/links", permission="read")
async def make_link(*, request: Request, store: Store, actor: Principal) -> Response:
    """A link with which the asker can sign in once with a browser, within five minutes."""

    def make() -> tokens.Issued:
        with store.ingest() as ingest:
            return tokens.make_link(ingest, name=actor.actor)

    issued = await run_in_threadpool(make)
    return _json({"url_path": f"/login?code={issued.secret}", "expires_at": issued.expires_at}, 201)


@routes.raw("GET", "/events/stream", permission="read")
async def stream(*, request: Request, store: Store, actor: Principal) -> Response:
    """New events as server-sent events, from now on or from ``Last-Event-ID``."""
    last = request.headers.get("last-event-id", "")
    seq = int(last) if last.isdecimal() and len(last) < 19 else (await run_in_threadpool(_head, store))

    async def events() -> AsyncIterator[bytes]:
        nonlocal seq
        quiet = 0.0
        yield b"retry: 1000\n\n"
        while not await request.is_disconnected():
            fresh = await run_in_threadpool(_since, store, seq)
            for entry in fresh:
                seq = entry.seq
                yield b"event: ledger\nid: %d\ndata: %s\n\n" % (seq, encode(entry))
            quiet = 0.0 if fresh else quiet + STREAM_LOOKS_EVERY_S
            if quiet >= 15:
                quiet = 0.0
                yield b": still here\n\n"
            await asyncio.sleep(STREAM_LOOKS_EVERY_S)

    return StreamingResponse(events(), media_type="text/event-stream")


def _head(store: Store) -> int:
    with store.view() as view:
        return ledger.head(view)[0]


def _since(store: Store, seq: int) -> list[ledger.Entry]:
    if _head(store) == seq:
        return []
    with store.view() as view:
        return list(ledger.search(view, after=seq, newest_first=False, limit=200))


def _policy(policy: Policy) -> PolicyOut:
    return PolicyOut(
        name=policy.name,
        version=policy.version,
        gates=list(policy.gates),
        approvals={"count": policy.approvals, "not_author": policy.not_author},
        digest=policy.digest,
        created_at=policy.created_at,
        actor=policy.actor,
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")
