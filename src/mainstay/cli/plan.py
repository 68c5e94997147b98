# SPDX-License-Identifier: Apache-2.0
"""``mainstay plan FILE.py:FUNCTION``: what a run would do now, and why; nothing is carried out or recorded."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing
from mainstay.cli.connection import connected
from mainstay.cli.printing import Cell, Column
from mainstay.cli.run import ENTRY, PASSES_ON

if TYPE_CHECKING:
    from mainstay.client.session import Session

COLUMNS = (
    Column("step", lambda item: item["label"]),
    Column("", lambda item: _verdict(item["why"])),
    Column("why", lambda item: "" if item["why"] == "hit" else item["sentence"], "prose"),
)


@click.command(context_settings=PASSES_ON)
@click.argument("entry", metavar=ENTRY)
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
@click.option("-p", "--param", "named", multiple=True, metavar="NAME=VALUE", help="A parameter, however it is called.")
@connected
def plan(session: Session, as_json: bool, entry: str, rest: tuple[str, ...], named: tuple[str, ...]) -> None:
    """Say what a run would do, and why, without doing it.

    A hit is known already; what would run says what is new or has changed.
    """
    from mainstay.engine import project

    given = parameters.read(rest, named)
    pipeline = project.load(entry)
    params = project.parameters(pipeline, parameters.negated(given, list(pipeline.signature.parameters)))
    made = pipeline.plan(session, **params)
    document = {"pipeline": made.pipeline, "summary": made.summary(), "items": [asdict(item) for item in made.items]}
    printing.answer(document, as_json, _show)


def _show(document: dict[str, Any]) -> None:
    printing.print_table(document["items"], COLUMNS)
    printing.say(document["summary"])


def _verdict(why: str) -> Cell:
    if why == "hit":
        return Cell("✓ hit", "green")
    return Cell("? open", "magenta") if why == "unknown" else Cell("▲ runs", "yellow")
