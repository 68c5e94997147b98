# SPDX-License-Identifier: Apache-2.0
"""The three processes of a Mainstay, each on its own: server, gateway, worker. ``up`` starts and watches all three."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import click

from mainstay import settings

_workspace = click.option("--workspace", type=click.Path(path_type=Path), help="Folder of the workspace.")
_socket = click.option("--socket", type=int, hidden=True, help="A descriptor: a port that was taken already.")
_with_parent = click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def folder_of(workspace: Path | None) -> Path:
    """The workspace meant by an option, or the usual one."""
    return workspace.expanduser().resolve() if workspace else settings.workspace()


def take_database_url(folder: Path) -> None:
    """For a server, ``DATABASE_URL`` is as good as our own variable, unless the workspace has its rows in its folder already."""
    found = os.environ.get("DATABASE_URL", "")
    is_embedded = (folder / "mainstay.db").exists()
    if found.startswith(("postgres://", "postgresql://")) and not is_embedded and not settings.get("database_url"):
        os.environ["MAINSTAY_DATABASE_URL"] = found


@click.command()
@_workspace
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("port"), help="0 picks a free one.")
@click.option("--gateway-url", help="Where the gateway listens, to tell clients.")
@click.option("--allow-host", multiple=True, help="A further name under which the page may be addressed.")
@_socket
@click.option("--summons", type=int, hidden=True, help="A descriptor: where to say which processes are needed.")
@click.option("--instance", hidden=True, help="What /health calls the servers of one supervisor.")
@_with_parent
def server(
    workspace: Path | None,
    host: str,
    port: int,
    gateway_url: str | None,
    allow_host: tuple[str, ...],
    socket: int | None,
    summons: int | None,
    instance: str | None,
    with_parent: bool,
) -> None:
    """Only the control plane: API, web page, loops."""
    gc.disable()  # while hundreds of modules are loaded, of which nothing is garbage: a sixth of the start
    from mainstay.server.serve import Handed, serve

    _log_to_stderr()
    folder = folder_of(workspace)
    take_database_url(folder)
    handed = Handed(socket=socket, instance=instance or "", summons=summons) if socket and summons else None
    serve(
        folder,
        host=host,
        port=port,
        gateway_url=gateway_url,
        hosts=allow_host,
        with_parent=with_parent,
        handed=handed,
    )


@click.command()
@_workspace
@click.option("--url", required=True, help="The control plane.")
@click.option("--host", default=lambda: settings.get("host"), help="Address to listen on (loopback).")
@click.option("--port", type=click.IntRange(0, 65535), default=lambda: settings.get("gateway_port"))
@_socket
@_with_parent
@click.option("--ahead", is_flag=True, hidden=True, help="Load what most models need before there is one.")
def gateway(
    workspace: Path | None, url: str, host: str, port: int, socket: int | None, with_parent: bool, ahead: bool
) -> None:
    """Only a gateway: answers predictions. Its token comes from MAINSTAY_TOKEN."""
    from mainstay.gateway.main import serve
    from mainstay.server.listening import require_loopback

    _log_to_stderr()
    require_loopback(host)
    serve(
        folder_of(workspace),
        control_url=url,
        token=_token(),
        host=host,
        port=port,
        handed=socket,
        with_parent=with_parent,
        ahead=ahead,
    )


@click.command()
@click.option("--url", required=True, help="The control plane.")
@click.option(
    "--project", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder of mainstay.toml."
)
@click.option("--name", default="worker", help="Its name in the records.")
@click.option("--leave-after", type=click.FloatRange(0), help="End after so many seconds without a job.")
@_with_parent
def worker(url: str, project: Path, name: str, leave_after: float | None, with_parent: bool) -> None:
    """Only a worker: runs pipelines and judges releases. Its token comes from MAINSTAY_TOKEN."""
    from mainstay.engine.worker import serve

    _log_to_stderr()
    serve(
        url=url,
        token=_token(),
        project=project.resolve(),
        name=name,
        with_parent=with_parent,
        leave_after_s=leave_after,
    )


def _token() -> str:
    token: str = settings.get("token")
    if not token:
        raise click.UsageError("MAINSTAY_TOKEN is empty; set it to a token of a service with the right role.")
    return token
