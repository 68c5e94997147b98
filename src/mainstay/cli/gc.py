# SPDX-License-Identifier: Apache-2.0
"""``mainstay gc``: what is stored and nothing refers to; counted, or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, progress, words
from mainstay.cli.connection import connected, reasoned

if TYPE_CHECKING:
    from mainstay.client.session import Session


@click.command()
@click.option("--delete", is_flag=True, help="Take them away; without it they are only counted.")
@click.option(
    "--grace-hours",
    type=click.IntRange(1, 24 * 365),
    default=24,
    show_default=True,
    help="Leave what was written or asked for in the last hours.",
)
@reasoned(required=False)
@connected
def gc(session: Session, as_json: bool, because: dict[str, Any], delete: bool, grace_hours: int) -> None:
    """Blobs that nothing refers to: count them, or with --delete take them away."""
    body = {"delete": delete, "grace_s": grace_hours * 3600, "reason": because["reason"]}
    with progress.doing("reading what refers to what", err=as_json):
        found = session.wire.ask("POST", "/api/gc", json=body, timeout=24 * 3600).json()
    printing.answer(found, as_json, _show)


def _show(found: dict[str, Any]) -> None:
    what = f"{words.count(found['objects'])} blobs, {words.size(found['size'])}"
    kept = f"{words.count(found['kept'])} stay, {words.size(found['kept_size'])}"
    young = f"; {words.count(found['young'])} of them only because they are young" if found["young"] else ""
    if found["deleted"]:
        printing.say(f"taken away: {what}. {kept}{young}.", "green")
    elif found["objects"]:
        printing.say(f"nothing refers to {what}. {kept}{young}. `mainstay gc --delete` takes them away.")
    else:
        printing.say(f"nothing to collect. {kept}{young}.")
