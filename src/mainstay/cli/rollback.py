# SPDX-License-Identifier: Apache-2.0
"""``mainstay rollback``: go back to a release that was live before: model, data and configuration together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned, require_reason
from mainstay.cli.printing import Column

if TYPE_CHECKING:
    from mainstay.client.session import Session

CHANGES = (
    Column("what", lambda change: change[0]),
    Column("now", lambda change: words.value(change[1]["from"]), "prose"),
    Column("after", lambda change: words.value(change[1]["to"]), "prose"),
)


@click.command()
@click.argument("deployment")
@click.option("--to", type=click.IntRange(1), help="Number of the release; default: the one that was live before.")
@click.option("--preview", is_flag=True, help="Only say what would change.")
@reasoned(required=False)
@connected
def rollback(
    session: Session, as_json: bool, because: dict[str, Any], deployment: str, to: int | None, preview: bool
) -> None:
    """Go back to a release that was live before.

    Model, data pointers and configuration go back together, at once; what changes is shown first.
    """
    path = references.path("deployments", deployment, "rollback")
    change = session.get(path, to=to)
    if preview:
        printing.answer(change, as_json, _show)
        return
    if not as_json:
        _show(change)
        printing.say()
    # The release as it was shown, so that what happens is what was announced.
    number = int(change["release"]["to"].rpartition("#")[2])
    done = session.post(path, {"to": number} | require_reason(because))
    printing.answer(done, as_json, lambda rollout: printing.say(f"{rollout['release']} answers again, from now on"))


def _show(change: dict[str, Any]) -> None:
    named = [(name, change[name]) for name in ("release", "model", "snapshots", "features", "policy", "config")]
    printing.print_table([(name, both) for name, both in named if both["from"] != both["to"]], CHANGES)
    same = [name for name, both in named if both["from"] == both["to"]]
    if same:
        printing.say(f"unchanged: {words.listed(same)}", "dim")
    printing.say(f"affects {words.listed(change['affects'])}")
