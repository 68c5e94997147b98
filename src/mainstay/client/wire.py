# SPDX-License-Identifier: Apache-2.0
"""One request and its answer. httpx stands behind this file only.

A request that gets no answer (server away, restarting, 503) is sent again, with pauses, until ``retry_s`` is over. Every POST
carries an ``Idempotency-Key``, the same one each time, so that it happens once however often it is sent. Whoever keeps a
request beyond this process gives the key, and may have a patience of its own.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from mainstay.domain import errors

_PASSING = frozenset({429, 502, 503, 504})


class Wire:
    """A connection to one control plane.

    Args:
        url: where it is. token: what to show. retry_s: how long to insist, in seconds. transport: in place of a socket.

    Raises:
        Invalid: ``url`` is not an http address.
    """

    def __init__(
        self, url: str, token: str | None, *, retry_s: float = 30, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"User-Agent": "mainstay"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.url = _checked(url)
        self.token = token
        self.retry_s = retry_s
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout(60, connect=5),
            trust_env=False,  # a proxy from the environment must never see a token meant for loopback
            # Reading the certificates takes as long as a command's whole start, and without TLS nobody looks at them.
            verify=not self.url.startswith("http://"),
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        content_type: str | None = None,
        timeout: float | None = None,
        key: str | None = None,
        retry_s: float | None = None,
    ) -> httpx.Response:
        """Send until answered.

        Raises:
            MainstayError: what the server said, as it was raised there. Unavailable: no answer in time.
        """
        headers = {"Content-Type": content_type} if content_type else {}
        if method == "POST":
            headers["Idempotency-Key"] = key or secrets.token_hex(16)
        known = {name: value for name, value in (params or {}).items() if value is not None}
        extra: dict[str, Any] = {} if timeout is None else {"timeout": timeout}

        def send() -> httpx.Response:
            return self._http.request(
                method, path, params=known or None, json=json, content=content, headers=headers, **extra
            )

        return self._answered(send, retry_s)

    def stream_to(self, path: str, write: Any) -> None:
        """GET a large answer piece by piece into ``write``; asked again only while nothing of it has arrived."""
        arrived = False
        for last in self._tries():
            try:
                with self._http.stream("GET", path) as reply:
                    if reply.status_code in _PASSING and not last:
                        continue
                    if reply.status_code >= 400:
                        reply.read()
                        raise refusal(reply)
                    for chunk in reply.iter_bytes():
                        arrived = True
                        write(chunk)
                    return
            except httpx.TransportError as error:
                if last or arrived:
                    raise errors.Unavailable(_away(self.url, error)) from error

    def knows(self, path: str, *, retry_s: float | None = None) -> bool:
        """Whether a HEAD of ``path`` finds something."""
        try:
            return self.ask("HEAD", path, retry_s=retry_s).status_code == 200
        except errors.NotFound:
            return False

    def send_stream(self, path: str, make_chunks: Any, *, retry_s: float | None = None) -> httpx.Response:
        """PUT a body that is read piece by piece; ``make_chunks()`` begins anew for each try."""
        return self._answered(lambda: self._http.put(path, content=_chunks(make_chunks())), retry_s)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _answered(self, send: Callable[[], httpx.Response], retry_s: float | None) -> httpx.Response:
        """What the server says, once it says something that will not pass by itself."""
        for last in self._tries(retry_s):
            try:
                reply = send()
            except httpx.TransportError as error:
                if last:
                    raise errors.Unavailable(_away(self.url, error)) from error
                continue
            if reply.status_code in _PASSING and not last:
                continue
            if reply.status_code >= 400:
                raise refusal(reply)
            return reply
        raise AssertionError("the last try returns or raises")

    def _tries(self, retry_s: float | None = None) -> Iterator[bool]:
        """Yield once a try: whether it is the last one. Pauses double up to two seconds, with a random part."""
        end, pause = time.monotonic() + (self.retry_s if retry_s is None else retry_s), 0.05
        while True:
            last = time.monotonic() + pause >= end
            yield last
            if last:
                return
            time.sleep(pause * (0.5 + random.random() / 2))
            pause = min(2.0, pause * 2)


def refusal(reply: httpx.Response) -> errors.MainstayError:
    """The error behind an answer of 400 or more."""
    if reply.request.method == "HEAD" and reply.status_code == 404:
        return errors.NotFound(f"there is nothing at {reply.request.url.path}.")  # such an answer has no body to read
    try:
        told = reply.json()["error"]
        return errors.of_kind(told["kind"], told["message"], told.get("facts"))
    except (ValueError, KeyError, TypeError):
        return errors.Unavailable(
            f"{reply.request.url.path} answered {reply.status_code} and not in Mainstay's words; is this the right address?"
        )


def _chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks


def _checked(url: str) -> str:
    """``url`` without its last slash, if it is one; asking an address that is none again and again would not help."""
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return url.rstrip("/")
    except ValueError:
        pass
    raise errors.Invalid(
        f"{url[:200]!r} is not the address of a server; one such as 'http://127.0.0.1:7777' is expected."
    )


def _away(url: str, error: httpx.TransportError) -> str:
    return f"no answer from {url} ({type(error).__name__}); start it with `mainstay up`, or check MAINSTAY_URL."
