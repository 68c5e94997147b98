# SPDX-License-Identifier: Apache-2.0
"""``mainstay live``: every environment, deployment, release and share, as reported by what is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Cell, Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "Nothing is live. A release puts a model version, with its data, configuration and policy, behind a deployment.",
    "mainstay release MODEL@candidate --to DEPLOYMENT",
)
COLUMNS = (
    Column("where", lambda line: f"{line['environment']}/{line['deployment']}"),
    Column("release", lambda line: line["release"]),
    Column("version", lambda line: line["version"]),
    Column("role", lambda line: line["role"]),
    Column("share", lambda line: words.share(line["share"]), "number"),
    Column("state", lambda line: printing.state(line["state"])),
    Column("digest", lambda line: printing.digest(line["digest"])),
    Column("loaded", lambda line: _loaded(line)),
    Column("measured [95 %]", lambda line: _measured(line["performance"])),
    Column("trained", lambda line: _trained(line)),
    Column("approved by", lambda line: words.listed(line["approved_by"])),
    Column("owner", lambda line: line["owner"]),
)


@click.command()
@connected
def live(session: Session, as_json: bool) -> None:
    """What is live, as reported by what is loaded.

    One line for each release with a part in a deployment, and whether the gateways have it, by digest.
    """
    printing.print_list(session.get("/live"), COLUMNS, EMPTY, as_json=as_json)


def _measured(performance: dict[str, Any] | None) -> str:
    found = words.figure(performance)
    return f"{performance['name']} {found}" if performance else found


def _loaded(line: dict[str, Any]) -> Cell:
    """Whether the gateways have this very version, by digest."""
    if line["agrees"] is None:
        return Cell("? unknown: no gateway speaks", "magenta")
    others = [one["gateway"] for one in line["loaded"] if not one["matches"]]
    if others:
        return Cell(f"✗ DIFFERS on {words.listed(others)}", "red")
    if not line["agrees"]:
        return Cell("✗ NOT LOADED everywhere", "red")
    return Cell(f"✓ matches on {words.counted(len(line['loaded']), 'gateway')}", "green")


def _trained(line: dict[str, Any]) -> str:
    return f"{words.ago(line['trained_at'])} by {line['trained_by']}" if line["trained_at"] else "elsewhere"
