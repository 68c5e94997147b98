# SPDX-License-Identifier: Apache-2.0
"""``mainstay decisions``: each time a trigger was asked, what it saw, what it chose, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No decision yet. Each time a trigger is asked, its answer is kept with the facts behind it, also the answer no.",
    "mainstay triggers ask NAME",
)
COLUMNS = (
    Column("decision", lambda decision: decision["id"]),
    Column("trigger", lambda decision: decision["trigger"]),
    Column("as of", lambda decision: words.moment(decision["as_of"])),
    Column("outcome", lambda decision: printing.state(decision["outcome"])),
    Column("result", lambda decision: printing.state(decision["result"])),
    Column("release", lambda decision: decision["release"] or "none"),
    Column("says", lambda decision: decision["sentence"], "prose"),
)
_WHICH = "DECISION is an id, or the name of a trigger: its newest suggestion."


@click.group()
def decisions() -> None:
    """What triggers decided, and why."""


@decisions.command("list")
@click.option("--trigger", help="Only of this trigger.")
@click.option("--deployment", help="Only about this deployment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, trigger: str | None, deployment: str | None, limit: int) -> None:
    """Decisions, newest first; those to do nothing among them."""
    found = session.get("/decisions", trigger=trigger, deployment=deployment, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@decisions.command()
@click.argument("decision")
@connected
def show(session: Session, as_json: bool, decision: str) -> None:
    """One decision: its facts, and what came of it.

    DECISION is an id, or the name of a trigger: its newest decision.
    """
    found = session.get(references.path("decisions", references.decision(session, decision)))
    printing.answer(found, as_json, print_decision)


@decisions.command(help=f"Say yes to a suggestion: its pipeline runs. {_WHICH}")
@click.argument("decision")
@reasoned(required=False)
@connected
def accept(session: Session, as_json: bool, because: dict[str, Any], decision: str) -> None:
    _answer(session, decision, "accept", because, as_json)


@decisions.command(help=f"Say no to a suggestion. {_WHICH}")
@click.argument("decision")
@reasoned(required=True)
@connected
def decline(session: Session, as_json: bool, because: dict[str, Any], decision: str) -> None:
    _answer(session, decision, "decline", because, as_json)


def _answer(session: Session, text: str, act: str, because: dict[str, Any], as_json: bool) -> None:
    done = session.post(references.path("decisions", references.suggestion(session, text), act), because)
    printing.answer(done, as_json, print_decision)


def print_decision(decision: dict[str, Any]) -> None:
    """A decision whole."""
    made = {name: decision[name] for name in ("job", "run_id", "version", "release")}
    printing.print_facts(
        [
            ("decision", decision["id"]),
            ("trigger", f"{decision['trigger']}, in mode {decision['mode']}"),
            ("as of", words.moment(decision["as_of"])),
            ("decided", f"{words.when(decision['at'])} by {decision['actor']}"),
            ("outcome", printing.state(decision["outcome"])),
            ("says", decision["sentence"]),
            ("condition", decision["condition"]),
            ("because", f"event {decision['because']}" if decision["because"] else "nothing: asked by hand"),
            ("result", printing.state(decision["result"])),
            *([("which says", decision["result_sentence"])] if decision["result_sentence"] else []),
            *((name.removesuffix("_id"), found) for name, found in made.items() if found),
            *((f"fact {name}", words.value(value)) for name, value in decision["facts"].items()),
        ]
    )
