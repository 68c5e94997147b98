# SPDX-License-Identifier: Apache-2.0
"""``mainstay tokens``: what programs show to say whose work they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty("No token yet. A token stands for a person, for as long as it lives.", "mainstay tokens create NAME")
COLUMNS = (
    Column("token", lambda token: token["id"]),
    Column("of", lambda token: token["person"]),
    Column("state", lambda token: printing.state("revoked" if token["ended_at"] else "active")),
    Column("made", lambda token: words.ago(token["created_at"])),
    Column("expires", lambda token: words.ago(token["expires_at"])),
)


@click.group()
def tokens() -> None:
    """Tokens: what programs show."""


@tokens.command("list")
@click.argument("name", required=False)
@connected
def list_(session: Session, as_json: bool, name: str | None) -> None:
    """Tokens of one person, or everybody's.

    Newest first, and never their secrets.
    """
    names = [name] if name else [person["name"] for person in session.get("/people")["items"]]
    found = [
        {"person": each} | token for each in names for token in session.get(references.path("people", each, "tokens"))
    ]
    printing.print_list({"items": found}, COLUMNS, EMPTY, as_json=as_json)


@tokens.command()
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="How long it lives.")
@reasoned(required=False)
@connected
def create(session: Session, as_json: bool, because: dict[str, Any], name: str, days: int) -> None:
    """Make a token for somebody; it is shown this once."""
    made = session.post(references.path("people", name, "tokens"), {"days": days} | because)
    printing.answer(made, as_json, lambda token: _say(name, token))


@tokens.command()
@click.argument("identity", metavar="TOKEN")  # not "token": that is the option which says in whose name
@reasoned(required=False)
@connected
def revoke(session: Session, as_json: bool, because: dict[str, Any], identity: str) -> None:
    """End a token at once, by its id."""
    ended = session.post(references.path("tokens", identity, "revoke"), because)
    printing.answer(ended, as_json, lambda one: printing.say(f"token {one['id']} works no longer"))


def _say(name: str, token: dict[str, Any]) -> None:
    # The token alone on standard output, so that a script can take it as it is.
    printing.say(token["token"])
    printing.say(f"for {name}, until {words.moment(token['expires_at'])}; it is not shown again.", err=True)
