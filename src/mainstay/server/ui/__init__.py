# SPDX-License-Identifier: Apache-2.0
"""The built page, served as files. It holds no data: all it shows it asks of the API.

``assets/`` is made from ``ui/`` when the package is built; where it could not be made, a plain sentence stands instead.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

ASSETS = Path(__file__).parent / "assets"

_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Mainstay</title>
<p>The web page was not built when this Mainstay was installed; everything else works. The API is described at
<a href="/openapi.json">/openapi.json</a>, and every page's content is also on the command line: <code>mainstay live</code>."""


async def page(request: Request) -> Response:
    """A file of the page; any other path is the page itself, which finds its own way."""
    path = request.path_params["path"]
    if (file := _asset(path)) is not None:
        hashed = path.startswith("assets/")  # names that contain a digest of their content
        headers = {"cache-control": "public, max-age=31536000, immutable" if hashed else "no-cache"}
        return FileResponse(file, headers=headers, media_type=mimetypes.guess_type(file.name)[0])
    index = ASSETS / "index.html"
    if not index.is_file():
        return HTMLResponse(_NOT_BUILT)
    return FileResponse(index, headers={"cache-control": "no-cache"})


def _asset(path: str) -> Path | None:
    """The file for ``path`` if it lies below the assets folder, by comparing real paths."""
    if not path or "\x00" in path:
        return None
    try:
        file = (ASSETS / path).resolve()
        return file if file.is_relative_to(ASSETS.resolve()) and file.is_file() else None
    except OSError:  # longer than a file's name can be, say
        return None
