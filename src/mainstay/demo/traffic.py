# SPDX-License-Identifier: Apache-2.0
"""Traffic: many small requests to the gateway over a few keep-alive connections, as callers would send them.

A connection that breaks (the gateway was killed) is opened again, and the request that had no answer is sent again: such a
request may then be logged twice, but nothing that was answered is ever lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mainstay.domain.errors import Unavailable, of_kind

CONNECTIONS = 16
INSISTS_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: a row, whose key it is, and when it is asked (event time, ISO)."""

    key: str
    at: str
    row: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answer to one request."""

    key: str
    id: str
    value: float | None
    release: int
    variant: str


def send(gateway_url: str, token: str, deployment: str, asked: Sequence[Asked]) -> list[Answered]:
    """Ask for every row; the answers in the order of the questions.

    Raises:
        Unavailable: the gateway stayed away for a minute. Invalid: it refused a row.
    """
    return asyncio.run(_send(gateway_url, token, deployment, asked))


async def _send(url: str, token: str, deployment: str, asked: Sequence[Asked]) -> list[Answered]:
    answers: list[Answered | None] = [None] * len(asked)
    waiting = iter(range(len(asked)))

    async def work() -> None:
        connection = _Connection(url, token, f"/deployments/{deployment}/predict")
        try:
            for place in waiting:
                answers[place] = await connection.ask(asked[place])
        finally:
            connection.close()

    await asyncio.gather(*(work() for _ in range(min(CONNECTIONS, len(asked)))))
    return [answer for answer in answers if answer is not None]


class _Connection:
    """One keep-alive connection. HTTP is written by hand: a client library costs more than the prediction."""

    def __init__(self, url: str, token: str, path: str) -> None:
        self._where = urlsplit(url)
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._where.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, asked: Asked) -> Answered:
        body = json.dumps({"rows": [asked.row], "key": asked.key, "at": asked.at}, allow_nan=False).encode()
        end = asyncio.get_running_loop().time() + INSISTS_S
        while True:
            try:
                status, content = await self._exchange(body)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                status, content = 503, b""
                self.close()
            if status == 200:
                told = json.loads(content)
                (one,) = told["predictions"]
                return Answered(
                    key=asked.key, id=one["id"], value=one["value"], release=told["release"], variant=told["variant"]
                )
            if status not in (429, 503):
                error = json.loads(content).get("error", {}) if content else {}
                raise of_kind(error.get("kind", "invalid"), error.get("message", f"the gateway answered {status}."))
            if asyncio.get_running_loop().time() > end:
                raise Unavailable(f"the gateway at {self._where.netloc} stayed away for {INSISTS_S:.0f} s.")
            await asyncio.sleep(0.05)

    async def _exchange(self, body: bytes) -> tuple[int, bytes]:
        if self._writer is None or self._reader is None:
            host, port = self._where.hostname, self._where.port
            self._reader, self._writer = await asyncio.open_connection(host, port)
        self._writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
        return status, await self._reader.readexactly(int(fields[b"content-length"]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
