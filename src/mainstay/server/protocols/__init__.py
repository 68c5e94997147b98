# SPDX-License-Identifier: Apache-2.0
"""Other tools' protocols, answered beside our own API. A folder here is a protocol.

In: requests as another tool's client sends them. Out: the same verbs as behind our own routes, and answers in that tool's
words. Good means: an unmodified client notices nothing; what is not answered is refused with a sentence; foreign words stop
in the folder's ``wire.py``; every route declares its permission and stands behind the same guard.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response

from mainstay.store import Store


class Mount(NamedTuple):
    """One address at which a protocol answers. ``permission`` is None where nobody needs to be signed in."""

    method: str
    path: str
    permission: str | None
    endpoint: Callable[[Request], Awaitable[Response]]


class Spoken(Protocol):
    """What each folder's package offers."""

    #: Beginnings of the paths that are this protocol's alone: an unknown one below them is answered in its words.
    PREFIXES: Sequence[str]

    def mounts(self, store: Store) -> Iterable[Mount]:
        """Every address of the protocol."""
        ...

    def answer(self, error: Exception) -> Response:
        """An error, as a client of this protocol expects it."""
        ...

    def unknown(self, method: str, path: str) -> Exception:
        """The error for an address below its prefixes that there is not."""
        ...


def spoken() -> list[Spoken]:
    """Every protocol there is, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
