# SPDX-License-Identifier: Apache-2.0
"""Whom a command asks, and what it says beside: the options that every command shares.

``@connected`` gives a command a session and ``as_json``; ``@reasoned`` gives it the reason (and the causing event) that
goes with whatever it changes.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay import settings
from mainstay.domain.errors import Unavailable

if TYPE_CHECKING:
    from mainstay.client.session import Session

# A person who waits for a command does not want to wait as long as a program that must not lose its work.
INSISTS_S = 5.0

Command = Callable[..., Any]

_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print the API's answer as one JSON document."),
    click.option(
        "--workspace",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the workspace (or MAINSTAY_WORKSPACE).",
    ),
    click.option("--url", help="A shared server (or MAINSTAY_URL)."),
    click.option("--token", help="Whose token to show to it (or MAINSTAY_TOKEN)."),
)


def connected(function: Command) -> Command:
    """Call ``function`` with a session as its first argument, and with ``as_json``."""
    return _connected(function, INSISTS_S)


def connected_to_work(function: Command) -> Command:
    """As ``connected``, for work that must not be lost: a server that is away is waited for as the settings say."""
    return _connected(function, None)


def reasoned(*, required: bool) -> Callable[[Command], Command]:
    """Give a command ``because``: the fields with which a change says why. A required one is asked for."""

    def mark(function: Command) -> Command:
        @functools.wraps(function)
        def call(*arguments: Any, reason: str, because: int | None, **options: Any) -> Any:
            fields: dict[str, Any] = {"reason": reason} | ({} if because is None else {"because": because})
            return function(*arguments, because=require_reason(fields) if required else fields, **options)

        call = click.option(
            "--because", type=click.IntRange(1), metavar="EVENT", help="Number of the event that caused this."
        )(call)
        return click.option("-m", "--reason", default="", help="Why, in words; it stands in the ledger.")(call)

    return mark


def require_reason(because: dict[str, Any]) -> dict[str, Any]:
    """The same, with a reason: the one given, else what somebody at a terminal answers.

    Raises:
        click.UsageError: none was given, and nobody is there to ask.
    """
    if because["reason"].strip():
        return because
    if not sys.stdin.isatty():
        raise click.UsageError("this takes a reason: give one with -m.")
    return because | {"reason": click.prompt("reason", type=str)}


@contextmanager
def session_at(
    workspace: Path | None, *, url: str | None = None, token: str | None = None, insists_s: float | None = INSISTS_S
) -> Iterator[Session]:
    """A session, closed at the end. ``insists_s``: how long to ask again where nobody answers; None: as set.

    Raises:
        Unavailable: nobody answers there, or the workspace cannot be used.
    """
    from mainstay.client.session import connect  # brings httpx: only for a command that asks somebody

    folder = workspace.expanduser().resolve() if workspace else settings.workspace()
    is_embedded = not url and (workspace is not None or not settings.get("url"))
    is_new = is_embedded and not folder.exists()
    retry_s = None if "MAINSTAY_RETRY_SECONDS" in os.environ else insists_s
    try:
        session = connect(url, token=token, workspace=workspace, retry_s=retry_s)
    except OSError as error:
        raise Unavailable(
            f"workspace {folder.name!r} cannot be used: {error.strerror or error}; choose another with --workspace."
        ) from error
    if is_new:
        click.echo(f"new workspace {folder}", err=True)
    try:
        yield session
    finally:
        session.close()


def has_server(session: Session) -> bool:
    """Whether a server stands behind the session; else it is this very process, and nothing works on after its end."""
    return session.workspace is None or session.gateway_url is not None or session.wire.url != "http://127.0.0.1"


def _connected(function: Command, insists_s: float | None) -> Command:
    @functools.wraps(function)
    def call(*arguments: Any, workspace: Path | None, url: str | None, token: str | None, **options: Any) -> Any:
        with session_at(workspace, url=url, token=token, insists_s=insists_s) as session:
            return function(session, *arguments, **options)

    for option in reversed(_OPTIONS):
        call = option(call)
    return call
