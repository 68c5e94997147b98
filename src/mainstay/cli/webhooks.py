# SPDX-License-Identifier: Apache-2.0
"""``mainstay webhooks``: addresses outside that are told what happens to models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No webhook yet. One is told when models, versions, tags, aliases and prompts are made or moved.",
    "mainstay webhooks add NAME ADDRESS --event model_version.created",
)
COLUMNS = (
    Column("webhook", lambda hook: hook["id"]),
    Column("name", lambda hook: hook["name"]),
    Column("address", lambda hook: hook["url"]),
    Column("state", lambda hook: printing.state(hook["state"])),
    Column("signed", lambda hook: "yes" if hook["is_signed"] else "no"),
    Column("told of", lambda hook: words.listed(hook["events"]), "prose"),
)
DELIVERIES = (
    Column("event", lambda delivery: delivery["event"]),
    Column("state", lambda delivery: printing.state(delivery["state"])),
    Column("attempts", lambda delivery: words.count(delivery["attempts"]), "number"),
    Column("happened", lambda delivery: words.ago(delivery["at"])),
    Column("answer", lambda delivery: delivery["answer"], "prose"),
)


@click.group()
def webhooks() -> None:
    """Webhooks: who outside is told what happens to models."""


@webhooks.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@connected
def list_(session: Session, as_json: bool, limit: int) -> None:
    """Webhooks, newest first; never their secrets."""
    printing.print_list(session.get("/webhooks", limit=limit), COLUMNS, EMPTY, as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@connected
def show(session: Session, as_json: bool, webhook: str) -> None:
    """A webhook, and what it was told."""
    printing.answer(session.get(references.path("webhooks", webhook)), as_json, _show)


@webhooks.command()
@click.argument("name")
@click.argument("address")
@click.option("--event", "events", multiple=True, required=True, help="Such as model_version.created; once for each.")
@click.option("--secret", envvar="MAINSTAY_WEBHOOK_SECRET", default="", help="Signs what is sent.")
@click.option("--description", default="", help="What it is for.")
@reasoned(required=False)
@connected
def add(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    address: str,
    events: tuple[str, ...],
    secret: str,
    description: str,
) -> None:
    """Tell ADDRESS of events from now on.

    A secret on the command line stands in the shell's history; MAINSTAY_WEBHOOK_SECRET does not.
    """
    body = {"name": name, "url": address, "events": list(events), "secret": secret, "description": description}
    added = session.post("/webhooks", body | because)
    printing.answer(added, as_json, lambda hook: printing.say(f"webhook {hook['id']} tells {hook['url']} from now on"))


@webhooks.command()
@click.argument("webhook")
@reasoned(required=False)
@connected
def remove(session: Session, as_json: bool, because: dict[str, Any], webhook: str) -> None:
    """Tell it nothing more, by its id."""
    gone = session.post(references.path("webhooks", webhook, "remove"), because)
    printing.answer(gone, as_json, lambda one: printing.say(f"webhook {one['removed']} is told nothing more"))


@webhooks.command()
@click.argument("webhook")
@click.option("--event", help="Which example; the first that it is told of, if none is named.")
@connected
def test(session: Session, as_json: bool, webhook: str, event: str | None) -> None:
    """Send it an example now, and say how it went."""
    tried = session.post(references.path("webhooks", webhook, "test"), {"event": event})
    printing.answer(tried, as_json, _say)
    if not tried["is_done"]:
        raise click.exceptions.Exit(1)


def _show(hook: dict[str, Any]) -> None:
    printing.print_table([hook], COLUMNS)
    if hook["deliveries"]:
        printing.print_table(hook["deliveries"], DELIVERIES, title="what it was told")
    else:
        printing.say("It was told nothing yet.", "dim")


def _say(tried: dict[str, Any]) -> None:
    how = "was taken" if tried["is_done"] else "was not taken"
    said = tried["error"] or f"status {tried['status']}"
    printing.say(f"an example of {tried['event']} {how}: {said}")
