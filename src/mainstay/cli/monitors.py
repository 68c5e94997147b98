# SPDX-License-Identifier: Apache-2.0
"""``mainstay monitors``: what is watched, by whom, what was judged, and when its owner last looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Cell, Column, Empty
from mainstay.domain.clock import from_wire, to_wire

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No monitor yet. A monitor compares each window of traffic with what the model learned from, and names who must "
    "look; one is made as soon as something is live.",
    "mainstay release MODEL@candidate --to DEPLOYMENT",
)
NO_WINDOW = Empty(
    "No window has been judged yet. A window is a stretch of the calendar; it is judged once it is over.",
    "mainstay monitors judge NAME",
)
COLUMNS = (
    Column("monitor", lambda monitor: monitor["name"]),
    Column("state", lambda monitor: printing.state(monitor["state"])),
    Column("deployment", lambda monitor: monitor["deployment"]),
    Column("window", lambda monitor: monitor["window"]),
    Column("judged", lambda monitor: words.count(monitor["windows"]), "number"),
    Column("alerts", lambda monitor: words.count(monitor["alerts"]), "number"),
    Column("looked at", lambda monitor: _looked_at(monitor)),
    Column("review", lambda monitor: _review(monitor)),
    Column("owner", lambda monitor: monitor["owner"]),
)
WINDOWS = (
    Column("window", lambda window: window["name"]),
    Column("state", lambda window: printing.state(window["state"])),
    Column("n", lambda window: words.count(window["n"]), "number"),
    Column("labelled", lambda window: words.share(window["coverage"]), "number"),
    Column("release", lambda window: window["release"] or "unknown"),
    Column("measured [95 %]", lambda window: _measured(window["performance"] or {})),
    Column("drift", lambda window: printing.state((window["drift"] or {}).get("state"))),
    Column("decision", lambda window: (window["decision"] or {}).get("outcome", "none")),
    Column("worst", lambda window: _worst(window), "prose"),
)


# By what a probability, one of several classes and a number are read, and what else is told of each.
FIGURES = ("auc", "brier", "accuracy", "macro_f1", "mae", "rmse")


@click.group()
def monitors() -> None:
    """What is watched, and by whom."""


@monitors.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Monitors, their state, and whether their owner has looked."""
    printing.print_list(session.get("/monitors"), COLUMNS, EMPTY, as_json=as_json)


@monitors.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """One monitor: its rules, its windows, its reviews."""
    found = session.get(references.path("monitors", name))
    if as_json:
        printing.print_json(found)
        return
    _show(found)
    judged = session.get(references.path("monitors", name, "windows"))["items"]
    printing.print_table(judged, WINDOWS, title="windows")
    if not judged:
        printing.say()
        printing.print_empty(NO_WINDOW)


@monitors.command()
@click.argument("name")
@connected
def windows(session: Session, as_json: bool, name: str) -> None:
    """Every judged window, oldest first."""
    found = session.get(references.path("monitors", name, "windows"))
    printing.print_list(found, WINDOWS, NO_WINDOW, as_json=as_json)


@monitors.command()
@click.argument("name")
@click.option("--deployment", help="What it watches; default: the deployment of the same name.")
@click.option("--owner", help="Who must look; default: the deployment's owner.")
@click.option("--window", type=click.Choice(["1d", "7d", "1mo"]), default="1d", show_default=True)
@click.option("--review", default="30d", show_default=True, help="The owner must look at least so often.")
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="Also judge by the values of this column.")
@click.option("--label-delay", help="How long after a window's end labels may take, such as 7d.")
@click.option("--tolerance", type=float, help="How far AUC may fall below the release's evaluation.")
@click.option("--latency-limit-ms", type=float, help="The 95th percentile must stay below.")
@click.option("--error-limit", type=float, help="The share of predictions that may fail.")
@reasoned(required=False)
@connected
def put(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    deployment: str | None,
    owner: str | None,
    slices: tuple[str, ...],
    **rules: Any,
) -> None:
    """Say that a deployment is to be watched, and by which rules.

    Said again, it is watched by the new rules.
    """
    watched = session.get(references.path("deployments", deployment or name))
    body = {"name": name, "deployment": watched["name"], "owner": owner or watched["owner"], "slices": list(slices)}
    given = {rule: value for rule, value in rules.items() if value is not None}
    printing.answer(session.post("/monitors", body | given | because), as_json, _show)


@monitors.command()
@click.argument("name")
@click.option("--until", help="What ends by then is over, though nothing later came.")
@click.option("-m", "--reason", default="", help="Why, in words; it stands in the ledger.")
@connected
def judge(session: Session, as_json: bool, name: str, until: str | None, reason: str) -> None:
    """Judge every window that is over.

    Those that are not judged yet, and those whose labels have come since. Harmless to repeat.
    """
    body = {"until": to_wire(from_wire(until, what="--until"))} if until else {}
    found = session.post(references.path("monitors", name, "judge"), body | {"reason": reason})
    nothing = Empty(f"Nothing of {name} came out otherwise than before.", f"mainstay monitors show {name}")
    printing.print_list(found, WINDOWS, nothing, as_json=as_json)


@monitors.command()
@click.argument("name")
@click.option("--decision", type=click.Choice(["keep", "retrain", "retire"]), required=True, help="What follows.")
@click.option("-m", "--note", required=True, help="What you looked at.")
@connected
def review(session: Session, as_json: bool, name: str, decision: str, note: str) -> None:
    """Record that you looked at a monitor, and what follows."""
    done = session.post(references.path("monitors", name, "reviews"), {"decision": decision, "note": note})
    printing.answer(done, as_json, lambda one: printing.say(f"{one['actor']} looked at {name}: {one['decision']}"))


def _show(monitor: dict[str, Any]) -> None:
    baseline, last = monitor["baseline"], monitor["reviews"][:1]
    printing.print_facts(
        [
            ("monitor", monitor["name"]),
            ("state", printing.state(monitor["state"])),
            ("watches", monitor["deployment"]),
            ("owner", monitor["owner"]),
            ("window", monitor["window"]),
            ("slices", words.listed(monitor["slices"])),
            ("labels", f"expected within {monitor['label_delay']}" if monitor["label_delay"] else "no delay is stated"),
            ("tolerance", f"AUC may fall by {monitor['tolerance']:g}"),
            ("latency limit", f"{monitor['latency_limit_ms']:g} ms" if monitor["latency_limit_ms"] else "none"),
            ("error limit", words.share(monitor["error_limit"])),
            ("baseline", f"{baseline['version']}, {baseline['rows']:,} rows" if baseline else "unknown"),
            ("alerts", words.counted(monitor["alerts"], "unresolved alert")),
            ("review", _review(monitor)),
            ("looked at", _looked_at(monitor)),
            *((one["decision"], f"{one['actor']}: {one['note']}") for one in last),
        ]
    )


def _review(monitor: dict[str, Any]) -> Cell:
    due = words.ago(monitor["review_due_at"])
    return Cell(f"✗ was due {due}", "red") if monitor["review_overdue"] else Cell(f"due {due}")


def _looked_at(monitor: dict[str, Any]) -> str:
    return words.ago(monitor["last_reviewed_at"]) if monitor["last_reviewed_at"] else "never"


def _measured(performance: dict[str, Any]) -> str:
    told = [f"{name} {words.figure(performance[name])}" for name in FIGURES if performance.get(name)]
    return ", ".join(told) or words.UNKNOWN


def _worst(window: dict[str, Any]) -> str:
    """The verdict that makes the window's state; known performance says more than anything else."""
    found = [verdict for verdict in window["verdicts"] if verdict["state"] == window["state"]]
    found.sort(key=lambda verdict: verdict["key"] != "performance")
    return found[0]["title"] if found and window["state"] != "ok" else ""
