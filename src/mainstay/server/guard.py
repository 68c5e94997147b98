# SPDX-License-Identifier: Apache-2.0
"""The guard in front of the router: deny by default.

In: every request, before anything else of ours sees it. Out: a request with a known asker, or a refusal. Checked in order:
framing, method, Host (DNS rebinding), Origin and Sec-Fetch-Site (cross-site requests), then who asks. Only paths named as
public and the page's own static files need nobody: they hold no data. Every answer leaves with the security headers.

Who asks is told by a token (``Bearer``, or ``Basic`` with the token as password), a browser's session, or, on loopback and
without either, by the kernel: a program of the user who runs the server is that person.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay.domain.errors import Forbidden, Malformed, Unauthenticated, Unavailable
from mainstay.lifecycle.governance import people, tokens
from mainstay.server import faults, peers
from mainstay.server.principals import Principal
from mainstay.store import Store

PUBLIC = frozenset({"/health", "/login"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT"})
# Other tools' protocols use these two as well, below their own prefixes.
METHODS_OF_PROTOCOLS = METHODS | {"PATCH", "DELETE"}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "mainstay_session"
PREFIXES = ("/api/", "/openapi", "/docs")
PLACES = frozenset({"/api", "/feedback", "/metrics"})
_HOST = re.compile(r"(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

# How long somebody stays recognised without another look at the record, while nothing governed changes there.
KNOWN_FOR = timedelta(seconds=1)
MOST_KNOWN = 1_000


class Known(NamedTuple):
    """Somebody who was recognised: who, as of which number of changes, and until when that is good without another look."""

    principal: Principal
    changes: int
    until: datetime


class Guard:
    """ASGI middleware around the whole app.

    Args:
        hosts: further names under which the server may be addressed.
        prefixes: further beginnings of paths that can show something, each with how its errors are answered.
        public: further paths that need nobody.
        trusted: the person as whom a program of the server's own user acts when it brings no token; None for nobody.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: Store,
        *,
        hosts: Iterable[str] = (),
        prefixes: Mapping[str, Callable[[Exception], Response]] | None = None,
        public: Iterable[str] = (),
        trusted: str | None = None,
    ) -> None:
        self.app = app
        self.store = store
        self.hosts = LOOPBACK | frozenset(host.lower() for host in hosts)
        self.answers = prefixes or {}
        self.prefixes = (*PREFIXES, *self.answers)
        self.public = PUBLIC | frozenset(public)
        self.trusted = trusted
        self._known: dict[Any, Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # There is no websocket route; an unguarded one has been others' open door.
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._add_headers(message, scope)
            await send(message)

        try:
            await self._admit(scope)
            await self.app(scope, receive, send_guarded)
        except Exception as error:
            if started:
                raise
            await self._answer(scope["path"], error)(scope, receive, send_guarded)
        except asyncio.CancelledError:
            # The server stops and has waited long enough for this one: a stream, or a client that waits for news.
            if started:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                stopping = Unavailable("the server is stopping; ask again in a moment.")
                await self._answer(scope["path"], stopping)(scope, receive, send_guarded)

    async def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _check_framing(headers)
        used = METHODS_OF_PROTOCOLS if scope["path"].startswith(tuple(self.answers)) else METHODS
        if scope["method"] not in used:
            raise Forbidden(f"method {scope['method'][:20]} is not used here; {', '.join(sorted(used))} are.")
        self._check_host(headers)
        self._check_origin(scope, headers)
        path = scope["path"]
        if path in self.public or not self.needs_asker(path):
            return
        scope["principal"] = await self._asker(scope, headers)

    def needs_asker(self, path: str) -> bool:
        """Whether ``path`` can show anything: an API or its description. All else is the page's own static files."""
        return path.startswith(self.prefixes) or path in PLACES

    def _answer(self, path: str, error: Exception) -> Response:
        """The error in the words of whoever speaks at ``path``."""
        shape = next((shape for prefix, shape in self.answers.items() if path.startswith(prefix)), faults.answer)
        return shape(error)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else None
        if name not in self.hosts:
            raise Forbidden(
                f"Host {(hosts[0] if hosts else '')[:80]!r} is not a name of this server; "
                "use http://127.0.0.1, or start it with --allow-host NAME."
            )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """A browser says where a request comes from; from elsewhere only a plain visit of a page is welcome."""
        visit = scope["method"] in {"GET", "HEAD"} and not self.needs_asker(scope["path"])
        if not set(headers.getlist("sec-fetch-site")) <= {"same-origin", "none"} and not visit:
            raise Forbidden("this request comes from another site's page; open Mainstay's own page instead.")
        for origin in headers.getlist("origin"):
            # No parsing of what a stranger wrote: it is one of the two texts that a browser would send for this host, or not.
            if origin not in {f"{scheme}://{headers.get('host', '')}" for scheme in ("http", "https")}:
                raise Forbidden(f"origin {origin[:80]!r} is not this server; open Mainstay's own page instead.")

    def _add_headers(self, message: Message, scope: Scope) -> None:
        headers = message.setdefault("headers", [])
        there = {name.lower() for name, _ in headers}
        headers += [header for header in _RAW_HEADERS if header[0] not in there]
        if b"cache-control" not in there and (self.needs_asker(scope["path"]) or scope["path"] in self.public):
            headers.append((b"cache-control", b"no-store"))

    async def _asker(self, scope: Scope, headers: Headers) -> Principal:
        """Who asks; whoever was recognised a moment ago is still the same, unless anything governed has changed since."""
        shown = headers.get("authorization"), headers.get("cookie")
        mark = shown if any(shown) else ("own program", _peer(scope)) if self._trusts(scope, headers) else None
        changes = self.store.changes
        known = None if mark is None else self._known.get(mark)
        if known is not None and known.changes == changes and self.store.clock() < known.until:
            return known.principal
        found = await run_in_threadpool(self._identify, scope, headers)
        if mark is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[mark] = Known(found, changes, self.store.clock() + KNOWN_FOR)
        return found

    def _trusts(self, scope: Scope, headers: Headers) -> bool:
        return self.trusted is not None and _is_own_program(scope, headers)

    def _identify(self, scope: Scope, headers: Headers) -> Principal:
        with self.store.view() as view:
            if (secret := _token(headers)) is not None:
                someone, identity = tokens.holder(view, secret=secret)
                return Principal(actor=someone.name, roles=frozenset(someone.roles), via=f"token:{identity}")
            if cookie := _cookie(headers):
                someone, identity = tokens.holder(view, secret=cookie, use="session")
                return Principal(actor=someone.name, roles=frozenset(someone.roles), via=f"cookie:{identity}")
            if self.trusted is not None and self._trusts(scope, headers):
                someone = people.get(view, self.trusted)
                if someone.disabled_at is None:
                    return Principal(actor=someone.name, roles=frozenset(someone.roles), via="user")
        raise Unauthenticated(
            "nobody is signed in. In a browser: run `mainstay open` and follow its link. "
            "In a program: send `Authorization: Bearer …`; the token of this workspace is in its file `token`."
        )


def _check_framing(headers: Headers) -> None:
    # Two statements of one length are how requests are smuggled past a proxy (RFC 9112, section 6.3).
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Malformed("the request states its length twice (Content-Length and Transfer-Encoding); send one of them.")
    if len(headers.getlist("content-length")) > 1:
        raise Malformed("the request has more than one Content-Length; send one.")


def _host_name(host: str) -> str | None:
    found = _HOST.fullmatch(host.lower())
    return found["name"].strip("[]") if found else None


def _cookie(headers: Headers) -> str | None:
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def _token(headers: Headers) -> str | None:
    """The token that a request shows; the empty text where what it shows is none."""
    shown = headers.get("authorization")
    if shown is None:
        return None
    scheme, _, credential = shown.partition(" ")
    if scheme.lower() == "bearer":
        return credential.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credential.strip(), validate=True).decode().rpartition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _peer(scope: Scope) -> peers.Peer | None:
    """The other end of the connection, where the server knows it."""
    found: peers.Peer | None = scope.get("state", {}).get("peer")
    return found


def _is_own_program(scope: Scope, headers: Headers) -> bool:
    """Whether a program of the user who runs this server asks: over loopback, through no proxy and no browser."""
    peer = _peer(scope)
    if peer is None or any(name in headers for name in (*peers.FORWARDED, *peers.OF_BROWSERS)):
        return False
    return bool(peer.is_ours)
