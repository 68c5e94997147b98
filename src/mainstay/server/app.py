# SPDX-License-Identifier: Apache-2.0
"""The app: every room's routes behind the guard, the page, and the loops while it is up.

In: a store. Out: one ASGI callable. The same callable answers over a socket and, in embedded use, in the same process.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.convertors import Convertor
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

import mainstay
from mainstay.server import api, faults, login, protocols, ui
from mainstay.server.guard import METHODS_OF_PROTOCOLS, Guard
from mainstay.server.loops import Loops
from mainstay.server.openapi import Described
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
    running = Loops(store, *([] if summons is None else [Summons(summons).look]))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if loops:
            running.start()
        yield
        if loops:
            running.stop()

    app = FastAPI(
        title="Mainstay",
        version=mainstay.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    spoken = protocols.spoken()
    mounts = [mount for protocol in spoken for mount in _mount_protocol(app, protocol, store)]
    own = _mount(app, store, instance)
    app.add_exception_handler(HTTPException, _unknown_path)
    prefixes = {prefix: protocol.answer for protocol in spoken for prefix in protocol.PREFIXES}
    public = [mount.path for mount in mounts if mount.permission is None]
    return Guard(Direct(app, [*mounts, *own]), store, hosts=hosts, prefixes=prefixes, public=public, trusted=trusted)


class Direct:
    """The short way to an address: found by how its path begins, where the framework tries one route after the other.

    What is logged metric by metric, and what a step puts on record, comes this way; of a call's time the framework would take
    the larger part. An address that is not found here is answered by the framework.
    """

    def __init__(self, app: ASGIApp, mounts: Iterable[protocols.Mount]) -> None:
        self.app = app
        self._fixed: dict[Any, Any] = {}
        self._by_beginning: dict[Any, list[tuple[re.Pattern[str], dict[str, Convertor[Any]], Any]]] = {}
        for mount in mounts:
            if "{" not in mount.path:
                self._fixed.setdefault((mount.method, mount.path), mount.endpoint)
            elif "{" not in (beginning := _beginning(mount.path)):
                pattern, _, convertors = compile_path(mount.path)
                self._by_beginning.setdefault((mount.method, beginning), []).append(
                    (pattern, convertors, mount.endpoint)
                )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._find(scope) if scope["type"] == "http" else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> Any:
        method, path = scope["method"], scope["path"]
        if endpoint := self._fixed.get((method, path)):
            return endpoint
        for pattern, convertors, endpoint in self._by_beginning.get((method, _beginning(path)), ()):
            if found := pattern.match(path):
                scope["path_params"] = {
                    name: convertors[name].convert(text) for name, text in found.groupdict().items()
                }
                return endpoint
        return None


def _beginning(path: str) -> str:
    """The first two words of a path, such as ``/api/runs``."""
    return "/".join(path.split("/", 3)[:3])


def _mount_protocol(app: FastAPI, protocol: protocols.Spoken, store: Store) -> list[protocols.Mount]:
    """Another tool's addresses, and its own answer for those below its prefixes that there are not."""
    mounts = list(protocol.mounts(store))
    for mount in mounts:
        app.add_route(mount.path, mount.endpoint, methods=[mount.method], include_in_schema=False)

    async def unknown(request: Request) -> Response:
        return protocol.answer(protocol.unknown(request.method, request.url.path[:200]))

    for prefix in protocol.PREFIXES:
        app.add_route(prefix + "{rest:path}", unknown, methods=sorted(METHODS_OF_PROTOCOLS), include_in_schema=False)
    return mounts


def _mount(app: FastAPI, store: Store, instance: str | None) -> list[protocols.Mount]:
    routes = all_routes()
    described = Described(routes)
    mounts = []
    for route in routes:
        mount = protocols.Mount(
            route.method,
            "/api" + route.path.replace(":int}", ":whole}"),
            route.permission,
            faults.caught(endpoint(route, store), store),
        )
        mounts.append(mount)
        app.add_api_route(
            mount.path,
            mount.endpoint,
            methods=[route.method],
            status_code=route.status,
            operation_id=route.name,
            tags=[route.tag],
            description=route.function.__doc__ or "",
            openapi_extra=described.extra(route),
            response_class=Response,
            response_model=None,
        )
    app.add_api_route("/health", _health(instance), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/login", faults.caught(login.endpoint(store)), methods=["GET"], include_in_schema=False)
    app.add_api_route("/{path:page}", faults.caught(ui.page), methods=["GET", "HEAD"], include_in_schema=False)
    _describe(app, described.components)
    return mounts


def _describe(app: FastAPI, components: dict[str, Any]) -> None:
    framework = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = framework()
            schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return app.openapi_schema or schema

    app.openapi = complete  # type: ignore[method-assign]


def _health(instance: str | None) -> Callable[[Request], Awaitable[Response]]:
    told = {"status": "ok", "version": mainstay.__version__} | ({"instance": instance} if instance else {})

    async def health(request: Request) -> Response:
        return Response(encode(told), media_type="application/json")

    return health


async def _unknown_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return faults.shaped(405, "invalid", f"{request.url.path} does not take {request.method}; see /openapi.json.")
    return faults.shaped(
        404, "not_found", f"there is nothing at {request.url.path}; /openapi.json lists what there is."
    )
