# SPDX-License-Identifier: Apache-2.0
"""``mainstay alerts``: verdicts that ask for somebody, each with an owner.

An alert is named by its id, by MONITOR:KEY (one at most is not resolved), or by MONITOR where that has only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty
from mainstay.domain.clock import from_wire, to_wire

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No alert. An alert is a verdict of a monitor that asks for somebody: it has an owner until it is resolved.",
    "mainstay monitors list",
)
COLUMNS = (
    Column("alert", lambda alert: alert["id"]),
    Column("name", lambda alert: f"{alert['monitor']}:{alert['key']}"),
    Column("severity", lambda alert: printing.state(alert["severity"])),
    Column("state", lambda alert: printing.state(alert["state"])),
    Column("opened", lambda alert: words.ago(alert["opened_at"])),
    Column("times", lambda alert: words.count(alert["count"]), "number"),
    Column("owner", lambda alert: alert["owner"]),
    Column("title", lambda alert: alert["title"], "prose"),
)
HISTORY = (
    Column("event", lambda event: str(event["seq"]), "number"),
    Column("when", lambda event: words.ago(event["at"])),
    Column("what", lambda event: event["kind"]),
    Column("by", lambda event: event["actor"]),
    Column("reason", lambda event: event["reason"] or "", "prose"),
)
_WHICH = "ALERT is an id, MONITOR:KEY, or MONITOR if it has only one."


@click.group()
def alerts() -> None:
    """Verdicts that ask for somebody."""


@alerts.command("list")
@click.option(
    "--state",
    type=click.Choice(["open", "acknowledged", "muted", "resolved", "unresolved"]),
    help="Only in this state; unresolved is any of the first three.",
)
@click.option("--monitor", help="Only of this monitor.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, state: str | None, monitor: str | None, limit: int) -> None:
    """Alerts, newest first."""
    found = session.get("/alerts", state=state, monitor=monitor, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@alerts.command(help=f"One alert, with what happened to it. {_WHICH}")
@click.argument("alert")
@connected
def show(session: Session, as_json: bool, alert: str) -> None:
    printing.answer(session.get(references.path("alerts", references.alert(session, alert))), as_json, _show)


@alerts.command(help=f"Say that you take care of it. {_WHICH}")
@click.argument("alert")
@reasoned(required=False)
@connected
def ack(session: Session, as_json: bool, because: dict[str, Any], alert: str) -> None:
    _act(session, alert, "acknowledge", because, as_json)


@alerts.command(help=f"Say that it is over, and why. {_WHICH}")
@click.argument("alert")
@click.option("--cause", default="", help="What caused it, in a word or two.")
@reasoned(required=True)
@connected
def resolve(session: Session, as_json: bool, because: dict[str, Any], alert: str, cause: str) -> None:
    _act(session, alert, "resolve", because | {"cause": cause}, as_json)


@alerts.command(help=f"Keep it silent until a moment to come. {_WHICH}")
@click.argument("alert")
@click.option("--until", required=True, help="A date or a time, such as 2026-07-01.")
@reasoned(required=True)
@connected
def mute(session: Session, as_json: bool, because: dict[str, Any], alert: str, until: str) -> None:
    _act(session, alert, "mute", because | {"until": to_wire(from_wire(until, what="--until"))}, as_json)


def _act(session: Session, text: str, act: str, body: dict[str, Any], as_json: bool) -> None:
    done = session.post(references.path("alerts", references.alert(session, text), act), body)
    printing.answer(done, as_json, _say)


def _say(alert: dict[str, Any]) -> None:
    printing.say(f"{alert['monitor']}:{alert['key']} is {alert['state']}: {words.one_line(alert['title'])}")


def _show(alert: dict[str, Any]) -> None:
    decision = alert["decision"]
    printing.print_facts(
        [
            ("alert", alert["id"]),
            ("name", f"{alert['monitor']}:{alert['key']}"),
            ("severity", printing.state(alert["severity"])),
            ("state", printing.state(alert["state"])),
            ("title", alert["title"]),
            ("says", alert["sentence"]),
            ("owner", alert["owner"]),
            ("opened", words.when(alert["opened_at"])),
            ("fired in", f"{words.counted(alert['count'], 'window')}: {words.listed(alert['windows'])}"),
            ("release", f"{alert['release']} = {alert['version']}" if alert["release"] else "none"),
            ("muted until", words.when(alert["muted_until"]) if alert["muted_until"] else "not muted"),
            ("decision", f"{decision['outcome']}: {decision['sentence']}" if decision else "none"),
        ]
    )
    printing.print_table(alert["history"], HISTORY, title="history")
