# SPDX-License-Identifier: Apache-2.0
"""Signing in with a browser: a link that works once becomes a cookie that the page's scripts cannot read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay.lifecycle.governance import tokens
from mainstay.server.guard import COOKIE
from mainstay.store import Store


def endpoint(store: Store) -> Callable[[Request], Awaitable[Response]]:
    """``GET /login?code=…``: spend the link, set the cookie, go to where it leads."""

    async def sign_in(request: Request) -> Response:
        code = request.query_params.get("code", "")
        session = await run_in_threadpool(_redeem, store, code)
        answer = RedirectResponse(_own_path(request.query_params.get("to", "/")), status_code=303)
        answer.set_cookie(
            COOKIE,
            session.secret,
            max_age=int(tokens.SESSION_LIVES.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    return sign_in


def _redeem(store: Store, code: str) -> tokens.Issued:
    with store.ingest() as ingest:
        return tokens.redeem_link(ingest, secret=code)


def _own_path(to: str) -> str:
    # Only a path of this server: "//host" and "/\host" would lead elsewhere.
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"
