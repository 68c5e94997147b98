# SPDX-License-Identifier: Apache-2.0
"""What the web framework answers: the page, the API's description, and every address as its routes know it.

In: what is mounted. Out: an ASGI app, which knows all routes, so that it can say of an address which methods it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import mainstay
from mainstay.server import faults, login, ui
from mainstay.server.guard import METHODS_OF_PROTOCOLS
from mainstay.server.openapi import Described
from mainstay.server.protocols import Mount, Spoken
from mainstay.server.routes import Route
from mainstay.store import Store


def make(
    store: Store, spoken: Sequence[tuple[Spoken, Sequence[Mount]]], own: Sequence[tuple[Route, Mount]], health: Mount
) -> ASGIApp:
    """The app of all addresses: those of other tools' protocols, our own, and the page's."""
    app = FastAPI(
        title="Mainstay",
        version=mainstay.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    for protocol, mounts in spoken:
        _mount_protocol(app, protocol, mounts)
    described = Described([route for route, _ in own])
    for route, mount in own:
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
    app.add_api_route(health.path, health.endpoint, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/login", faults.caught(login.endpoint(store)), methods=["GET"], include_in_schema=False)
    app.add_api_route("/{path:page}", faults.caught(ui.page), methods=["GET", "HEAD"], include_in_schema=False)
    app.add_exception_handler(HTTPException, _unknown_path)
    _describe(app, described.components)
    return app


def _mount_protocol(app: FastAPI, protocol: Spoken, mounts: Sequence[Mount]) -> None:
    """Another tool's addresses, and its own answer for those below its prefixes that there are not."""
    for mount in mounts:
        app.add_route(mount.path, mount.endpoint, methods=[mount.method], include_in_schema=False)

    async def unknown(request: Request) -> Response:
        return protocol.answer(protocol.unknown(request.method, request.url.path[:200]))

    for prefix in protocol.PREFIXES:
        app.add_route(prefix + "{rest:path}", unknown, methods=sorted(METHODS_OF_PROTOCOLS), include_in_schema=False)


def _describe(app: FastAPI, components: dict[str, Any]) -> None:
    framework = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = framework()
            schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return app.openapi_schema or schema

    app.openapi = complete  # type: ignore[method-assign]


async def _unknown_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return faults.shaped(405, "invalid", f"{request.url.path} does not take {request.method}; see /openapi.json.")
    return faults.shaped(
        404, "not_found", f"there is nothing at {request.url.path}; /openapi.json lists what there is."
    )
