# SPDX-License-Identifier: Apache-2.0
"""What the gateway asks of the control plane, and the same over the one wire.

Every method blocks and is called on a thread. What goes wrong comes back as one of ``domain.errors``: `Unavailable`
means "not now" and is tried again by the caller; anything else is an answer. Model files are kept by digest in the
workspace's cache, so that a restart without the control plane finds what it served before.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from mainstay.client.session import Session
from mainstay.client.wire import Wire
from mainstay.domain.errors import Forbidden, Unauthenticated

T = TypeVar("T")

LONGEST_POLL_S = 25.0
# Callers whose connection to the control plane is kept open.
_CALLERS = 32
# Keys stand in an address, which has to stay short.
_KEYS_AT_ONCE, _CHARACTERS_AT_ONCE = 100, 8_000


async def ask(call: Callable[[], T]) -> T:
    """What ``call`` returns or raises, from a daemon thread of its own.

    Not from a pool: Python joins the threads of a pool before it ends, and a question that waits half a minute for the
    next table would hold up every stop for as long.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if not answer.done():
            answer.set_result(result) if error is None else answer.set_exception(error)  # type: ignore[arg-type]

    def work() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, result, failure)
        except RuntimeError:  # the loop has ended, and with it whoever asked
            return

    threading.Thread(target=work, name="ask", daemon=True).start()
    return await answer


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer that is passed on as it came."""

    status: int
    body: bytes


class Control(Protocol):
    """The control plane, as far as a gateway needs it."""

    def table(self, after: int, wait: float) -> dict[str, Any]:
        """The routing table; waits up to ``wait`` seconds for a generation above ``after``."""
        ...

    def blob(self, digest: str) -> Path:
        """A file that holds the bytes named ``digest``; whoever uses it verifies them."""
        ...

    def forget(self, digest: str) -> None:
        """Keep the bytes named ``digest`` here no longer."""
        ...

    def rows(self, view: str, version: int, sequence: int, keys: Sequence[str]) -> list[tuple[int, str] | None]:
        """Of each key of a view's online table, as of one of its numbers, the time in microseconds and the features."""
        ...

    def changed(self, view: str, version: int, after: int, until: int) -> list[str] | None:
        """The keys whose rows became others between two numbers; None: too many to tell."""
        ...

    def report(self, body: Mapping[str, Any]) -> None:
        """Tell what is loaded and what was counted."""
        ...

    def ship(self, gateway: str, sequence: int, segment: bytes) -> int | None:
        """Hand over a segment. Returns how many rows the control plane holds for it, if it says so."""
        ...

    def who(self, token: str) -> dict[str, Any] | None:
        """Whose token it is (``actor``, ``roles``); None: nobody's."""
        ...

    def feedback(self, body: bytes, content_type: str, token: str) -> Reply:
        """Pass feedback on in the name of its sender. Raises what the control plane says against it."""
        ...


class WireControl:
    """`Control` over HTTP.

    Args:
        url: of the control plane. token: the gateway's own. cache: folder that keeps model files by digest.
    """

    def __init__(self, url: str, token: str, *, cache: Path) -> None:
        self._url = url
        # No repeats inside of a call: the gateway's loops decide when to ask again, and go on serving meanwhile.
        self._wire = Wire(url, token, retry_s=0)
        self._session = Session(self._wire, cache=cache)
        self._callers: OrderedDict[str, Wire] = OrderedDict()
        self._lock = threading.Lock()

    def table(self, after: int, wait: float) -> dict[str, Any]:
        wait = min(wait, LONGEST_POLL_S)
        reply = self._wire.ask("GET", "/api/gateway/table", params={"after": after, "wait": wait}, timeout=wait + 10)
        return dict(reply.json())

    def blob(self, digest: str) -> Path:
        return self._session.blob_path(digest)

    def forget(self, digest: str) -> None:
        (self._session.cache / digest).unlink(missing_ok=True)

    def rows(self, view: str, version: int, sequence: int, keys: Sequence[str]) -> list[tuple[int, str] | None]:
        found: list[tuple[int, str] | None] = []
        for some in _groups(keys):
            params = {"version": version, "sequence": sequence, "keys": f"[{','.join(some)}]"}
            reply = self._wire.ask("GET", f"/api/features/{quote(view, safe='')}/rows", params=params, timeout=10)
            found += reply.json()["items"]
        return found

    def changed(self, view: str, version: int, after: int, until: int) -> list[str] | None:
        params = {"version": version, "after": after, "until": until}
        reply = self._wire.ask("GET", f"/api/features/{quote(view, safe='')}/changes", params=params, timeout=10)
        found: list[str] | None = reply.json()["keys"]
        return found

    def report(self, body: Mapping[str, Any]) -> None:
        self._wire.ask("POST", "/api/gateway/report", json=body, timeout=5)

    def ship(self, gateway: str, sequence: int, segment: bytes) -> int | None:
        reply = self._wire.ask(
            "POST",
            "/api/segments",
            params={"gateway": gateway, "sequence": sequence},
            content=segment,
            content_type="application/octet-stream",
        )
        rows = reply.json().get("rows")
        return rows if isinstance(rows, int) else None

    def who(self, token: str) -> dict[str, Any] | None:
        try:
            return dict(self._caller(token).ask("GET", "/api/me", timeout=10).json())
        except (Unauthenticated, Forbidden):
            return None

    def feedback(self, body: bytes, content_type: str, token: str) -> Reply:
        reply = self._caller(token).ask("POST", "/api/feedback", content=body, content_type=content_type)
        return Reply(status=reply.status_code, body=reply.content)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        for wire in self._callers.values():
            wire.close()

    def _caller(self, token: str) -> Wire:
        with self._lock:
            wire = self._callers.pop(token, None) or Wire(self._url, token, retry_s=0)
            self._callers[token] = wire
            # The one put out is not closed here: another thread may be asking through it. Nothing refers to it
            # afterwards.
            if len(self._callers) > _CALLERS:
                self._callers.popitem(last=False)
            return wire


def _groups(keys: Sequence[str]) -> Iterator[list[str]]:
    """Keys in as few questions as they fit into."""
    group: list[str] = []
    size = 0
    for key in keys:
        if group and (len(group) == _KEYS_AT_ONCE or size + len(key) > _CHARACTERS_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(key)
        size += len(key)
    if group:
        yield group
