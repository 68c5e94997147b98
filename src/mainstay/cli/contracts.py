# SPDX-License-Identifier: Apache-2.0
"""``mainstay contracts``: what a dataset's columns must satisfy, as a TOML file that is shown, edited and set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No contract yet: the first snapshot of the dataset yields it, or a file sets it.",
    "mainstay contracts set NAME FILE.toml",
)
VERSIONS = (
    Column("version", lambda contract: str(contract["version"]), "number"),
    Column("columns", lambda contract: words.count(len(contract["columns"])), "number"),
    Column("changed", lambda contract: words.ago(contract["created_at"])),
    Column("by", lambda contract: contract["actor"]),
    Column("digest", lambda contract: printing.digest(contract["digest"])),
)


@click.group()
def contracts() -> None:
    """What the columns of a dataset, and of a request, must satisfy."""


@contracts.command("list")
@click.argument("name")
@connected
def list_(session: Session, as_json: bool, name: str) -> None:
    """Every version of a dataset's contract, newest first."""
    printing.print_list(session.get(references.path("datasets", name, "contracts")), VERSIONS, EMPTY, as_json=as_json)


@contracts.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="An earlier version of it.")
@connected
def show(session: Session, as_json: bool, name: str, version: int | None) -> None:
    """The contract of a dataset as TOML, to be edited and set again."""
    path = references.path("datasets", name, "contract")
    if as_json:
        printing.print_json(session.get(path, version=version))
    else:
        click.echo(session.get(f"{path}/toml", version=version)["toml"], nl=False)


@contracts.command()
@click.argument("snapshot")
@connected
def infer(session: Session, as_json: bool, snapshot: str) -> None:
    """The contract that a snapshot would yield if it were the first, as TOML."""
    found = session.get(references.path("snapshots", snapshot, "contract"))
    printing.answer(found, as_json, lambda inferred: click.echo(inferred["toml"], nl=False))


@contracts.command("set")
@click.argument("name")
@click.argument("file", type=click.File(encoding="utf-8"))
@reasoned(required=False)
@connected
def set_(session: Session, as_json: bool, because: dict[str, Any], name: str, file: Any) -> None:
    """Make a TOML file the contract of a dataset, from the next batch on.

    FILE holds a section [contract.NAME], as `show` writes it; mainstay.toml may be that file, and - is standard input.
    """
    body = {"toml": _read(file)}
    found = session.post(references.path("datasets", name, "contract", "toml"), body | because)
    printing.answer(
        found, as_json, lambda contract: printing.say(f"contract of {name} is now version {contract['version']}")
    )


def _read(file: Any) -> str:
    try:
        text: str = file.read()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{Path(file.name).name} is not UTF-8 text, as TOML is.") from error
    return text
