# SPDX-License-Identifier: Apache-2.0
"""Uploads: a request's body as it arrives, for whoever writes it down. Neither side holds all of it in memory."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.from_thread
from starlette.requests import ClientDisconnect, Request

from mainstay.domain.errors import Malformed, TooLarge


def chunks(request: Request, *, most: int) -> Iterator[bytes]:
    """The body, pulled from the event loop by the thread that writes it.

    Raises:
        Malformed: it was cut off. TooLarge: there are more than ``most`` bytes.
    """
    stream = request.stream()
    size = 0
    while True:
        try:
            chunk = anyio.from_thread.run(anext, stream, None)
        except ClientDisconnect as error:
            raise Malformed("the upload was cut off before its end; nothing was kept. Send it again.") from error
        if chunk is None:
            return
        size += len(chunk)
        if size > most:
            raise TooLarge(f"the blob is larger than {most} bytes; split it.", limit=most)
        yield chunk
