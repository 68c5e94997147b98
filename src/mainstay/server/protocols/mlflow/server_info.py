# SPDX-License-Identifier: Apache-2.0
"""What a client asks first: the version whose protocol is spoken and what the server can do."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow.calls import Calls

calls = Calls()

_INFO = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "presigned_uploads_supported": False,
    "presigned_downloads_supported": False,
    "features_enabled": [],
}


@calls.raw("GET", "/version", permission=None)
async def version(request: Request, store: Any, actor: Any) -> Response:
    """The version of MLflow's protocol, as a plain text."""
    return PlainTextResponse(wire.VERSION)


@calls.raw("GET", "server-info", permission=None, versions=("3.0",))
async def server_info(request: Request, store: Any, actor: Any) -> Response:
    """What this server can do; nobody needs to be signed in to ask."""
    return Response(wire.encode(_INFO), media_type="application/json")
