# SPDX-License-Identifier: Apache-2.0
"""``mainstay experiments``: the named questions that runs answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty("No experiment yet. An experiment is a named question; it groups runs.", "mainstay run FILE.py:FUNCTION")
COLUMNS = (
    Column("id", lambda experiment: str(experiment["id"]), "number"),
    Column("name", lambda experiment: experiment["name"]),
    Column("made", lambda experiment: words.ago(experiment.get("created_at"))),
)


@click.group()
def experiments() -> None:
    """Named questions; each groups runs."""


@experiments.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@connected
def list_(session: Session, as_json: bool, limit: int) -> None:
    """Experiments, in the order in which they were made."""
    printing.print_list(session.get("/experiments", limit=limit), COLUMNS, EMPTY, as_json=as_json)
