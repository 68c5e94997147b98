# SPDX-License-Identifier: Apache-2.0
"""``mainstay explain A B`` and ``mainstay diff A B``: why the results of two runs or versions differ, and in what.

``explain`` begins with the causes, each with its lines; ``diff`` tells the same record part by part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Cell, Column

if TYPE_CHECKING:
    from mainstay.client.session import Session

Found = dict[str, Any]

_STATES: dict[str, Cell] = {
    "same": Cell("= equal", "green"),
    "caught": Cell("≈ equal", "green"),
    "differs": Cell("≠ differs", "yellow"),
    "only_a": Cell("− gone", "red"),
    "only_b": Cell("+ new", "cyan"),
}
STEPS = (
    Column("step", lambda step: step["name"]),
    Column("", lambda step: _STATES[step["state"]]),
    Column("", lambda step: step["sentence"], "prose"),
    Column("hit of", lambda step: _hit_of(step)),
)
MOVED = (
    Column("", lambda row: row["name"]),
    Column("first", lambda row: words.value(row["before"]), "number"),
    Column("second", lambda row: words.value(row["after"]), "number"),
)
COLUMNS = (
    Column("column", lambda row: row["name"]),
    Column("what moved", lambda row: row["sentence"], "prose"),
)


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@connected
def explain(session: Session, as_json: bool, a: str, b: str) -> None:
    """Say why the results of two runs or versions differ.

    A and B are runs, by id or by name (the newest of that name), or versions such as flights-late/3 or
    flights-late@champion. The graphs are walked backwards from what came out to the first thing that differs.
    """
    found = _asked(session, a, b)
    printing.answer(found, as_json, _show_causes)


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@connected
def diff(session: Session, as_json: bool, a: str, b: str) -> None:
    """Set two runs or versions beside each other.

    Data, steps, parameters, environment and metrics, as far as they differ; A and B are named as for `explain`.
    """
    found = _asked(session, a, b)
    printing.answer(found, as_json, _show_parts)


def _asked(session: Session, a: str, b: str) -> Found:
    found: Found = session.get(
        "/diff", a=references.run_or_version(session, a), b=references.run_or_version(session, b)
    )
    return found


def _show_causes(found: Found) -> None:
    printing.say(words.one_line(found["sentence"]), "bold")
    for cause in found["causes"]:
        printing.print_title(f"{cause['step']}: {cause['sentence']}{_told_of(cause)}")
        printing.print_diff(cause["diff"])
        printing.print_table(cause["columns"], COLUMNS)
    if found["without_effect"] and not found["is_same"]:
        printing.print_title("without effect on any result that differs")
        for cause in found["without_effect"]:
            printing.say(f"{cause['step']}: {cause['sentence']}", "dim")
    printing.print_table(found["steps"], STEPS, title="steps, in the order of work")
    for step in found["steps"]:
        for output in step["outputs"]:
            printing.print_table(output["columns"], COLUMNS, title=f"columns of {step['name']} {_named(output)}")
    printing.print_table(found["metrics"], MOVED, title="metrics")


def _show_parts(found: Found) -> None:
    printing.say(words.one_line(found["sentence"]), "bold")
    data = [
        cause for cause in [*found["causes"], *found["without_effect"]] if cause["kind"] in ("data", "file", "source")
    ]
    printing.print_table(
        data, (Column("", lambda row: row["step"]), Column("", lambda row: row["sentence"], "prose")), title="data"
    )
    steps = [step for step in found["steps"] if step["state"] != "same"]
    printing.print_table(steps, STEPS, title="steps that differ")
    for part, title in (("params", "parameters"), ("packages", "environment"), ("metrics", "metrics")):
        printing.print_table(found[part], MOVED, title=title)


def _told_of(cause: Found) -> str:
    """What else is to be said of a cause."""
    if cause["is_idle"]:
        return ", which nothing that the step names leads to"
    return f", and {words.listed(cause['also'])}" if cause["also"] else ""


def _named(output: Found) -> str:
    return "" if output["name"] == "value" else output["name"]


def _hit_of(step: Found) -> Cell:
    before, after = step["hit_of"]
    both = [f"{side} {run[: printing.SHORT]}" for side, run in (("first:", before), ("second:", after)) if run]
    return Cell(", ".join(both), "dim", ", ".join(run for run in (before, after) if run))
