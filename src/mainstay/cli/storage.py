# SPDX-License-Identifier: Apache-2.0
"""What ``mainstay datasets`` does with stored snapshots: verify one, lay it out, write it into a file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, progress, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Column

if TYPE_CHECKING:
    from mainstay.client.session import Session

DAMAGE = (
    Column("damaged", lambda damage: damage["what"]),
    Column("digest", lambda damage: printing.digest(damage["digest"])),
    Column("what is wrong", lambda damage: damage["sentence"], "prose"),
)


@click.command()
@click.argument("snapshot")
@connected
def verify(session: Session, as_json: bool, snapshot: str) -> None:
    """Hash a snapshot again, and name what is damaged and who uses it.

    SNAPSHOT is NAME@3, NAME@current or NAME@latest. The status is 1 if anything is damaged.
    """
    from mainstay.client import datasets

    with progress.doing(f"hashing {snapshot}", err=as_json):
        found = datasets.verify(session, snapshot)
    printing.answer(found, as_json, _show_examined)
    if not found["sound"]:
        sys.exit(1)


@click.command()
@click.argument("snapshot")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@connected
def checkout(session: Session, as_json: bool, snapshot: str, folder: Path) -> None:
    """Lay a snapshot out in a folder; nothing that differs is overwritten.

    SNAPSHOT is NAME@3, NAME@current or NAME@latest. A table becomes one Parquet file.
    """
    from mainstay.client import checkouts

    with progress.doing(f"laying out {snapshot}", err=as_json):
        laid = checkouts.checkout(session, snapshot, folder)
    printing.answer(
        asdict(laid),
        as_json,
        lambda found: printing.say(
            f"{found['snapshot']} in {folder}: {words.count(found['written'])} files written, "
            f"{words.count(found['there'])} there already, {words.size(found['size'])}"
        ),
    )


@click.command()
@click.argument("snapshot")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@connected
def export(session: Session, as_json: bool, snapshot: str, file: Path) -> None:
    """Write the rows of a snapshot into a new .parquet or .csv file.

    SNAPSHOT is NAME@3, NAME@current or NAME@latest.
    """
    from mainstay.client import checkouts

    with progress.doing(f"writing {file.name}", err=as_json):
        found = checkouts.export(session, snapshot, file)
    told = {"snapshot": found["id"], "file": str(file), "rows": found["rows"], "size": file.stat().st_size}
    printing.answer(
        told,
        as_json,
        lambda _: printing.say(
            f"{found['id']}: {words.count(found['rows'])} rows in {file}, {words.size(told['size'])}"
        ),
    )


def _show_examined(found: dict[str, Any]) -> None:
    if found["sound"]:
        printing.say(f"{found['snapshot']} is sound: {words.size(found['size'])} hashed", "green")
        return
    if found["freed"]:
        printing.say(f"the bytes of {found['snapshot']} are not here: {found['freed']}", "yellow")
    else:
        printing.say(f"{found['snapshot']} is damaged: {words.count(len(found['damaged']))} of its parts", "red")
    printing.print_table(found["damaged"], DAMAGE)
    printing.say(f"used by: {words.listed(found['affected'])}")
    printing.say("Restore the blobs from a backup, or take the same files in again: that heals them.")
