# SPDX-License-Identifier: Apache-2.0
"""``mainstay open``: a sign-in link for the browser."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mainstay.cli.processes import folder_of
from mainstay.domain.errors import Unavailable


def sign_in_link(folder: Path) -> str:
    """A link that signs this workspace's owner in, once, within five minutes.

    Raises:
        Unavailable: no server runs on this workspace.
    """
    from mainstay.client.session import connect  # brings httpx: `--help` must not wait for it

    session = connect(workspace=folder, retry_s=5)
    try:
        if session.wire.url == "http://127.0.0.1":  # in-process: there is no page to open
            raise Unavailable("no server runs on this workspace; start one with `mainstay up`.")
        return session.wire.url + str(session.post("/links")["url_path"])
    finally:
        session.close()


@click.command()
@click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the workspace.")
@click.option("--no-open", is_flag=True, help="Only print the link.")
def open_(workspace: Path | None, no_open: bool) -> None:
    """Print a link that works once, within five minutes, and open it."""
    link = sign_in_link(folder_of(workspace))
    click.echo(link)
    if not no_open and sys.stdout.isatty():
        click.launch(link)
