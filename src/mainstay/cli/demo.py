# SPDX-License-Identifier: Apache-2.0
"""``mainstay demo``: a year in a minute, then the page stays up."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import click


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="mainstay-demo",
    show_default=True,
    help="Where the demo's project and workspace go; the same folder again goes on where it stopped.",
)
@click.option("--exit", "exit_", is_flag=True, help="Stop when the year is over instead of keeping the page up.")
@click.option("--fresh", is_flag=True, help="Begin anew: remove what an earlier demo left in the folder.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page; 0 picks a free one.")
@click.option("--gateway-port", type=click.IntRange(0, 65535), default=0, help="Port of the gateway; 0 picks one.")
def demo(folder: Path, exit_: bool, fresh: bool, port: int, gateway_port: int) -> None:
    """The whole loop on a real year of data: the departures from New York in 2013."""
    # Before any numeric library is loaded: its threads are not to wait by spinning, the other processes need the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from mainstay.cli.open import sign_in_link
    from mainstay.cli.up import running_tree, wait_for_end
    from mainstay.demo import folders, replay
    from mainstay.demo.telling import Teller
    from mainstay.engine.jobs.child import load_the_usual

    # What the replay will need anyway, loaded while the server starts.
    threading.Thread(target=load_the_usual, name="mainstay-load", daemon=True).start()
    folder = folder.expanduser().resolve()
    folders.prepare(folder, fresh=fresh)
    workspace = folder / ".mainstay"
    teller = Teller(sys.stdout)
    with running_tree(workspace, host="127.0.0.1", port=port, gateway_port=gateway_port, project=folder) as tree:
        teller.say(f"page and API {tree.url} · gateway {tree.gateway_url} · folder {folder}")
        replay.play(folder, tree=tree, teller=teller)
        if exit_:
            return
        click.echo(f"\nThe page stays up. Sign in (once): {sign_in_link(workspace)}\nCtrl-C stops it.")
        wait_for_end()
