# SPDX-License-Identifier: Apache-2.0
"""The three processes of a Mainstay, each on its own: server, gateway, worker. ``up`` starts and watches all three."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from mainstay import settings

_workspace = click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the workspace.")
_with_parent = click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def folder_of(workspace: Path | None) -> Path:
    """The workspace meant by an option, or the usual one."""
    return workspace.expanduser().resolve() if workspace else settings.workspace()


@click.command()
@_workspace
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("port"), help="0 picks a free one.")
@click.option("--gateway-url", help="Where the gateway listens, to tell clients.")
@click.option("--allow-host", multiple=True, help="A further name under which the page may be addressed.")
@_with_parent
def server(
    workspace: Path | None,
    host: str,
    port: int,
    gateway_url: str | None,
    allow_host: tuple[str, ...],
    with_parent: bool,
) -> None:
    """Only the control plane: API, web page, loops."""
    from mainstay.server.serve import serve

    _log_to_stderr()
    serve(
        folder_of(workspace), host=host, port=port, gateway_url=gateway_url, hosts=allow_host, with_parent=with_parent
    )


@click.command()
@_workspace
@click.option("--url", required=True, help="The control plane.")
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("gateway_port"))
@_with_parent
def gateway(workspace: Path | None, url: str, host: str, port: int, with_parent: bool) -> None:
    """Only a gateway: answers predictions. Its token comes from MAINSTAY_TOKEN."""
    from mainstay.gateway.main import serve
    from mainstay.server.listening import require_loopback

    _log_to_stderr()
    require_loopback(host)
    serve(folder_of(workspace), control_url=url, token=_token(), host=host, port=port, with_parent=with_parent)


@click.command()
@click.option("--url", required=True, help="The control plane.")
@click.option(
    "--project", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder of mainstay.toml."
)
@click.option("--name", default="worker", help="Its name in the records.")
@_with_parent
def worker(url: str, project: Path, name: str, with_parent: bool) -> None:
    """Only a worker: runs pipelines and judges releases. Its token comes from MAINSTAY_TOKEN."""
    from mainstay.engine.worker import serve

    _log_to_stderr()
    serve(url=url, token=_token(), project=project.resolve(), name=name, with_parent=with_parent)


def _token() -> str:
    token: str = settings.get("token")
    if not token:
        raise click.UsageError("MAINSTAY_TOKEN is empty; set it to a token of a service with the right role.")
    return token
