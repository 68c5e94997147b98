# SPDX-License-Identifier: Apache-2.0
"""Messages: what comes in over HTTP, read within limits, and what goes out.

In: ASGI's messages. Out: the bytes of a request; and for an error, whatever its kind, a status and a body of the one shape
that every part of Mainstay answers with.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from mainstay.domain import errors
from mainstay.gateway.batching import DeadlineExceeded, Overloaded

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Sent = tuple[int, bytes, Iterable[tuple[bytes, bytes]]]

STATUS_BY_KIND = {
    "malformed": 400,
    "invalid": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "unavailable": 503,
    "storage_full": 507,
}
HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Gone(Exception):
    """The client went away before its request was whole."""


class WrongMethod(errors.MainstayError):
    kind = "method"


async def read_body(headers: Headers, receive: Receive, limit: int, within_s: float) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it has more than ``limit`` bytes. DeadlineExceeded: it was not whole ``within_s``. Gone: nor ever will be.
    """
    length = header(headers, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    try:
        async with asyncio.timeout(within_s):
            return await _read_rest(body, receive, limit)
    except TimeoutError:
        raise DeadlineExceeded(f"the request's body was not complete after {within_s:.0f} s.") from None


async def _read_rest(first: bytes, receive: Receive, limit: int) -> bytes:
    chunks, size, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f"the request is larger than {limit} bytes; send fewer rows at once.", limit=limit)


def require_method(scope: Scope, method: str) -> None:
    """Raises WrongMethod: it is asked in another way, HEAD apart, which is a GET without a body."""
    found = scope["method"]
    if found != method and not (method == "GET" and found == "HEAD"):
        raise WrongMethod(f"{scope['path']} takes {method}, not {found[:20]}.", allow=method)


def refusal(error: errors.MainstayError) -> Sent:
    """What is answered where a request is at fault, or too much is asked."""
    status = STATUS_BY_KIND.get(error.kind, 503)
    kind, more = error.kind, []
    if isinstance(error, Overloaded):
        status, more = 429, [(b"retry-after", b"1")]
    elif isinstance(error, DeadlineExceeded):
        status = 504
    elif isinstance(error, WrongMethod):
        status, kind, more = 405, "invalid", [(b"allow", str(error.facts["allow"]).encode())]
    elif status == 401:
        more = [(b"www-authenticate", b"Bearer")]
    elif status == 413:
        more = [(b"connection", b"close")]  # the rest of the body will not be read
    elif status == 503:
        more = [(b"retry-after", b"1")]
    return status, _error_body(kind, error.message, error.facts), more


def fault() -> Sent:
    """What is answered where this program is at fault; the log has the rest."""
    request_id = secrets.token_hex(8)
    logger.exception("request %s failed", request_id)
    message = f"something went wrong in the gateway itself; its log has it as {request_id}."
    return 500, _error_body("fault", message, {}, request_id), ()


def _error_body(kind: str, message: str, facts: dict[str, Any], request_id: str = "") -> bytes:
    found = {"kind": kind, "message": message, "facts": facts, "request_id": request_id or secrets.token_hex(8)}
    return msgspec.json.encode({"error": found})


def header(headers: Headers, name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None


def sticky_key(headers: Headers) -> str | None:
    found = header(headers, b"x-sticky-key")
    return found.decode("latin-1")[:512] if found else None


def host_name(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    with contextlib.suppress(ValueError):
        name, _, port = text.partition(":")
        return name if not port or 0 < int(port) < 65536 else ""
    return ""
