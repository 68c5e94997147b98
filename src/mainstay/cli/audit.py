# SPDX-License-Identifier: Apache-2.0
"""``mainstay audit``: the ledger, as an auditor reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No event like that. The ledger holds every change of state, with who, why and because of what.",
    "mainstay audit list",
)
COLUMNS = (
    Column("event", lambda event: str(event["seq"]), "number"),
    Column("when", lambda event: words.ago(event["at"])),
    Column("by", lambda event: event["actor"]),
    Column("kind", lambda event: event["kind"]),
    Column("subject", lambda event: event["subject"]),
    Column("because", lambda event: str(event["because"] or ""), "number"),
    Column("reason", lambda event: "(erased)" if event["reason"] is None else event["reason"], "prose"),
)


@click.group()
def audit() -> None:
    """The ledger: every change of state, chained."""


@audit.command("list")
@click.option("--kind", help="Only of this kind; may end in *, such as release.*")
@click.option("--subject", help="Only about this subject, such as release:flights#7.")
@click.option("--actor", help="Only by this person.")
@click.option("--after", type=click.IntRange(0), help="Only after this event.")
@click.option("--before", type=click.IntRange(1), help="Only before this event; pages backwards.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, **asked: Any) -> None:
    """Events, newest first."""
    printing.print_list(session.get("/events", **asked), COLUMNS, EMPTY, as_json=as_json)


@audit.command()
@connected
def verify(session: Session, as_json: bool) -> int:
    """Walk the whole chain.

    The exit status is 1 if anything is wrong with it.
    """
    found = session.get("/audit/verify")
    printing.answer(found, as_json, _say)
    return 0 if found["ok"] else 1


def _say(found: dict[str, Any]) -> None:
    if found["ok"]:
        head = found["head"]
        printing.say(f"✓ the chain of {words.counted(found['events'], 'event')} is whole", "green")
        printing.say(f"  head {head['seq']} {head['hash']}")
        return
    printing.say(f"✗ the chain of {words.counted(found['events'], 'event')} is broken", "red")
    for problem in found["problems"]:
        printing.say(f"  {words.one_line(problem)}")
