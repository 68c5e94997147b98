# SPDX-License-Identifier: Apache-2.0
"""Who may ask: the bearer tokens of the control plane, asked for once and remembered for a minute.

In: a request's token. Out: nothing, or a refusal; whoever is not known may do nothing. When the control plane is away,
a token that it vouched for before goes on counting for a day, and the token in the workspace's own file always does:
reading that file takes the same rights as reading the models. Tokens are remembered by their SHA-256 only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Forbidden, Unauthenticated, Unavailable
from mainstay.domain.governance import PERMISSIONS_BY_ROLE
from mainstay.gateway.control import ask

KNOWN_FOR_S = 60.0
UNKNOWN_FOR_S = 10.0
TRUSTED_WHILE_AWAY_S = 86_400.0
_REMEMBERED = 4096
_AT_ONCE = 8

Who = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Whose token it is and what it allows."""

    actor: str
    permissions: frozenset[str]
    asked_at: float  # monotonic

    def require(self, permission: str) -> None:
        """Raises Forbidden: the token does not allow it."""
        if permission not in self.permissions:
            able = sorted(role for role, granted in PERMISSIONS_BY_ROLE.items() if permission in granted)
            raise Forbidden(
                f"{self.actor} may not {permission} here; that takes one of the roles {', '.join(able)}. Ask an admin.",
                permission=permission,
            )


class Doorkeeper:
    """Checks tokens.

    Args:
        who: asks the control plane; blocks. token_file: the workspace's own token.
    """

    def __init__(self, who: Who, token_file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._who = who
        self._token_file = token_file
        self._clock = clock
        self._known: OrderedDict[bytes, Asker] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        # Made-up tokens must not become as many threads.
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._asking: dict[bytes, asyncio.Future[Asker]] = {}

    def remembered(self, token: str) -> Asker | None:
        """The asker, if the answer is fresh; the hot path."""
        asker = self._known.get(_digest(token))
        return asker if asker is not None and self._clock() - asker.asked_at < KNOWN_FOR_S else None

    async def identify(self, token: str) -> Asker:
        """Whose ``token`` it is.

        Raises:
            Unauthenticated: nobody's. Unavailable: the control plane cannot be asked, and never knew it before.
        """
        asker = self.remembered(token)
        if asker is not None:
            return asker
        name = _digest(token)
        if self._clock() - self._unknown.get(name, -UNKNOWN_FOR_S) < UNKNOWN_FOR_S:
            raise _nobody()
        # Many requests with one token ask once.
        if name not in self._asking:
            self._asking[name] = asyncio.ensure_future(self._ask(name, token))
        return await asyncio.shield(self._asking[name])

    async def _ask(self, name: bytes, token: str) -> Asker:
        try:
            async with self._few:
                told = await ask(lambda: self._who(token))
        except Unavailable:
            return self._while_away(name, token)
        finally:
            self._asking.pop(name, None)
        if told is None:
            self._known.pop(name, None)
            _remember(self._unknown, name, self._clock())
            raise _nobody()
        granted = [PERMISSIONS_BY_ROLE.get(role, frozenset()) for role in told.get("roles", ())]
        asker = Asker(actor=str(told.get("actor")), permissions=frozenset().union(*granted), asked_at=self._clock())
        _remember(self._known, name, asker)
        return asker

    def _while_away(self, name: bytes, token: str) -> Asker:
        before = self._known.get(name)
        if before is not None and self._clock() - before.asked_at < TRUSTED_WHILE_AWAY_S:
            return before
        with contextlib.suppress(OSError):
            own = self._token_file.read_text().strip()
            if own and hmac.compare_digest(own.encode(), token.encode()):
                return Asker(actor="owner", permissions=PERMISSIONS_BY_ROLE["admin"], asked_at=self._clock())
        raise Unavailable("the control plane does not answer, and this token was not seen before; ask again soon.")


def _remember(known: OrderedDict[bytes, Any], name: bytes, value: Any) -> None:
    known[name] = value
    known.move_to_end(name)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _nobody() -> Unauthenticated:
    return Unauthenticated("this token is not known to the control plane; `mainstay tokens create` makes one.")
