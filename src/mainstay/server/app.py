# SPDX-License-Identifier: Apache-2.0
"""The app: every room's routes behind the guard, the page, and the loops while it is up.

In: a store. Out: one ASGI callable. The same callable answers over a socket and, in embedded use, in the same process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import mainstay
from mainstay.lifecycle.serving.sweeping import Sweep
from mainstay.server import api, faults, protocols
from mainstay.server.direct import Direct
from mainstay.server.guard import Guard
from mainstay.server.loops import Loops
from mainstay.server.routes import Route, Routes, encode, endpoint
from mainstay.server.summons import Summons
from mainstay.store import Store


def all_routes() -> list[Route]:
    """What every file in ``api/`` declares, in the order of their names."""
    found: list[Route] = []
    for module in sorted(pkgutil.iter_modules(api.__path__), key=lambda module: module.name):
        routes = importlib.import_module(f"{api.__name__}.{module.name}").routes
        assert isinstance(routes, Routes)
        found.extend(routes.all)
    return found


def make_app(
    store: Store,
    *,
    hosts: Iterable[str] = (),
    loops: bool = True,
    instance: str | None = None,
    trusted: str | None = None,
    summons: int | None = None,
) -> ASGIApp:
    """The whole control plane. ``hosts`` are further names under which it may be addressed; without ``loops`` nothing
    happens unless a request asks for it. ``instance`` is what ``/health`` says, so that a client knows whom it found.
    ``trusted`` is the person as whom programs of the server's own user act without a token. ``summons`` is where a
    supervisor hears which further processes are needed."""
    running = Loops(store, Sweep().look, *([] if summons is None else [Summons(summons).look]))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if loops:
            running.start()
        yield
        if loops:
            running.stop()

    spoken = [(protocol, list(protocol.mounts(store))) for protocol in protocols.spoken()]
    own = [(route, _mount_of(route, store)) for route in all_routes()]
    health = protocols.Mount("GET", "/health", None, _health(instance))
    theirs = [mount for _, mounts in spoken for mount in mounts]

    def make_framework() -> ASGIApp:
        from mainstay.server import framework  # a fifth of a command's start, and few commands ask for what it answers

        return framework.make(store, spoken, own, health)

    direct = Direct([*theirs, *(mount for _, mount in own), health], otherwise=make_framework, lifespan=lifespan)
    prefixes = {prefix: protocol.answer for protocol, _ in spoken for prefix in protocol.PREFIXES}
    public = [mount.path for mount in theirs if mount.permission is None]
    return Guard(direct, store, hosts=hosts, prefixes=prefixes, public=public, trusted=trusted)


def _mount_of(route: Route, store: Store) -> protocols.Mount:
    path = "/api" + route.path.replace(":int}", ":whole}")
    return protocols.Mount(route.method, path, route.permission, faults.caught(endpoint(route, store), store))


def _health(instance: str | None) -> Callable[[Request], Awaitable[Response]]:
    told = {"status": "ok", "version": mainstay.__version__} | ({"instance": instance} if instance else {})

    async def health(request: Request) -> Response:
        return Response(encode(told), media_type="application/json")

    return health
