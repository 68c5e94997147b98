# SPDX-License-Identifier: Apache-2.0
"""``mainstay plan FILE.py:FUNCTION``: what a run would do now, and why; nothing is carried out.

With ``--accept`` somebody says that results still hold where only unrelated code has changed; that is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing
from mainstay.cli.connection import connected, reasoned, require_reason
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
@click.option("--diff", "with_diff", is_flag=True, help="Show the lines that have changed since the last run.")
@click.option("--accept", is_flag=True, help="Let results stand where only unrelated code has changed; wants a reason.")
@reasoned(required=False)
@connected
def plan(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    entry: str,
    rest: tuple[str, ...],
    named: tuple[str, ...],
    with_diff: bool,
    accept: bool,
) -> None:
    """Say what a run would do, and why, without doing it.

    A hit is known already; what would run says what is new or has changed, down to the function and its lines.
    """
    from mainstay.engine import project

    given = parameters.read(rest, named)
    pipeline = project.load(entry)
    params = project.parameters(pipeline, parameters.negated(given, list(pipeline.signature.parameters)))
    if accept:
        made = pipeline.accept(session, _reason=require_reason(because)["reason"], **params)
    else:
        made = pipeline.plan(session, **params)
    printing.answer(made.document(), as_json, lambda told: _show(told, with_diff))


def _show(document: dict[str, Any], with_diff: bool) -> None:
    printing.print_table(document["items"], COLUMNS)
    for item in document["items"] if with_diff else ():
        for change in item["changes"]:
            printing.print_title(f"{item['label']}: {change['name']}")
            printing.print_diff(change["diff"])
    for remark in document["remarks"]:
        printing.say(f"▲ {remark}", "yellow")
    printing.say(document["summary"])
    if any(item["stands_for"] for item in document["items"]):
        printing.say("`--accept -m REASON` lets the stored results stand where only unrelated code has changed.", "dim")


def _verdict(why: str) -> Cell:
    if why == "hit":
        return Cell("✓ hit", "green")
    return Cell("? open", "magenta") if why == "unknown" else Cell("▲ runs", "yellow")
