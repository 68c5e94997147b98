# SPDX-License-Identifier: Apache-2.0
"""Errors as this face shows them: a kind becomes a status, once; a stranger's fault is never a 500, and a 500 tells nothing."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mainstay.domain.errors import MainstayError, NotFound
from mainstay.server.routes import Repeated, encode
from mainstay.store import Store, collecting

log = logging.getLogger("mainstay.server")

STATUS_BY_KIND = {
    "malformed": 400,
    "invalid": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "corrupt": 500,
    "unavailable": 503,
    "storage_full": 507,
}


def caught(
    endpoint: Callable[[Request], Awaitable[Response]], store: Store | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """``endpoint``, with whatever it raises answered here: the framework's own last resort would answer in another shape.

    Where there is a ``store``, who misses a blob is told if it was taken away.
    """

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except NotFound as error:
            if store is not None and "digest" in error.facts:
                return answer(await run_in_threadpool(_missing, store, error))
            return answer(error)
        except Exception as error:
            return answer(error)

    return answered


def _missing(store: Store, error: NotFound) -> NotFound:
    with store.view() as view:
        freed = collecting.missing(view, error)
    digest = error.facts["digest"]
    return NotFound(f"blob {digest} is not here: {freed.sentence}.", digest=digest) if freed else error


def answer(error: Exception) -> Response:
    """The response that stands for ``error``."""
    if isinstance(error, Repeated):
        headers = {"Idempotency-Replayed": "true"}
        return Response(error.answer.body, error.answer.status, headers, "application/json")
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody is there to read it
    request_id = secrets.token_hex(8)
    if isinstance(error, MainstayError):
        status = STATUS_BY_KIND.get(error.kind, 500)
        if status == 500:
            log.error("request %s failed: %s", request_id, error.message)
        return shaped(status, error.kind, error.message, error.facts, request_id)
    log.error("request %s failed", request_id, exc_info=error)
    return shaped(
        500,
        "fault",
        f"something went wrong in Mainstay itself; the server's log has it as {request_id}.",
        {},
        request_id,
    )


def shaped(
    status: int, kind: str, message: str, facts: dict[str, Any] | None = None, request_id: str | None = None
) -> Response:
    """Every error of this face has this shape."""
    error = {"kind": kind, "message": message, "facts": facts or {}, "request_id": request_id or secrets.token_hex(8)}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(encode({"error": error}), status, headers, "application/json")
