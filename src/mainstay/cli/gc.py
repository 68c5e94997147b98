# SPDX-License-Identifier: Apache-2.0
"""``mainstay gc``: what is stored and nothing needs any more; counted, or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, progress, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column

if TYPE_CHECKING:
    from mainstay.client.session import Session

KINDS = (
    Column("what", lambda kind: kind["what"]),
    Column("blobs", lambda kind: words.count(kind["objects"]), "number"),
    Column("size", lambda kind: words.size(kind["size"]), "number"),
    Column("oldest", lambda kind: words.ago(kind["oldest"])),
)


@click.command()
@click.option("--delete", is_flag=True, help="Take them away; without it they are only counted.")
@click.option(
    "--grace-hours",
    type=click.IntRange(1, 24 * 365),
    default=24,
    show_default=True,
    help="Leave what was written or asked for in the last hours.",
)
@click.option(
    "--deleted-days",
    type=click.IntRange(0, 36_500),
    default=30,
    show_default=True,
    help="Leave what was deleted or dropped in the last days, so that it can be restored.",
)
@reasoned(required=False)
@connected
def gc(
    session: Session, as_json: bool, because: dict[str, Any], delete: bool, grace_hours: int, deleted_days: int
) -> None:
    """Blobs that nothing needs: count them, or with --delete take them away.

    What a name, a run, a version, a release or the prediction log reaches stays.
    """
    body = {
        "delete": delete,
        "grace_s": grace_hours * 3600,
        "kept_away_s": deleted_days * 86_400,
        "reason": because["reason"],
    }
    with progress.doing("reading what refers to what", err=as_json):
        found = session.wire.ask("POST", "/api/gc", json=body, timeout=24 * 3600).json()
    printing.answer(found, as_json, _show)


def _show(found: dict[str, Any]) -> None:
    what = f"{words.count(found['objects'])} blobs, {words.size(found['size'])}"
    kept = f"{words.count(found['kept'])} stay, {words.size(found['kept_size'])}"
    young = f"; {words.count(found['young'])} of them only because they are young" if found["young"] else ""
    if found["kinds"]:
        printing.print_table(found["kinds"], KINDS)
    if found["deleted"]:
        printing.say(f"taken away: {what}. {kept}{young}.", "green")
    elif found["objects"]:
        printing.say(f"nothing needs {what}. {kept}{young}. `mainstay gc --delete` takes them away.")
    else:
        printing.say(f"nothing to collect. {kept}{young}.")
