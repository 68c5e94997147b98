# SPDX-License-Identifier: Apache-2.0
"""``mainstay people``: who may act here, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty
from mainstay.domain.governance import PERMISSIONS_BY_ROLE

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "Nobody is named yet. Roles say who may look, contribute, approve and administer.",
    "mainstay people add NAME --role approver",
)
COLUMNS = (
    Column("name", lambda person: person["name"]),
    Column("kind", lambda person: person["kind"]),
    Column("roles", lambda person: words.listed(person["roles"])),
    Column("state", lambda person: printing.state("disabled" if person["disabled_at"] else "active")),
    Column("added", lambda person: words.ago(person["created_at"])),
)


@click.group()
def people() -> None:
    """People and services, and what each may do."""


@people.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Everybody who can act here."""
    printing.print_list(session.get("/people"), COLUMNS, EMPTY, as_json=as_json)


@people.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, type=click.Choice(list(PERMISSIONS_BY_ROLE)), help="Once for each.")
@click.option("--service", is_flag=True, help="It is a program.")
@reasoned(required=False)
@connected
def add(
    session: Session, as_json: bool, because: dict[str, Any], name: str, roles: tuple[str, ...], service: bool
) -> None:
    """Let somebody act here, or give somebody other roles.

    Without --role it is viewer.
    """
    body = {"name": name, "kind": "service" if service else "user", "roles": list(roles) or ["viewer"]}
    added = session.post("/people", body | because)
    printing.answer(added, as_json, lambda one: printing.say(f"{one['name']} is {words.listed(one['roles'])}"))
