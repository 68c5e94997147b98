# SPDX-License-Identifier: Apache-2.0
"""``mainstay policy``: what must hold before something goes live. Each change is a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No policy yet. A policy names the gates that a release must pass, and how many people must approve it.",
    "mainstay policy put NAME --gate EXPRESSION",
)
COLUMNS = (
    Column("policy", lambda policy: policy["name"]),
    Column("version", lambda policy: str(policy["version"]), "number"),
    Column("approvals", lambda policy: _approvals(policy)),
    Column("changed", lambda policy: words.ago(policy["created_at"])),
    Column("by", lambda policy: policy["actor"]),
    Column("digest", lambda policy: printing.digest(policy["digest"])),
    Column("gates", lambda policy: " · ".join(policy["gates"]) or "none", "prose"),
)


@click.group()
def policy() -> None:
    """What must hold before a release goes live."""


@policy.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Each policy in its newest version."""
    printing.print_list(session.get("/policies"), COLUMNS, EMPTY, as_json=as_json)


@policy.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="An earlier version of it.")
@connected
def show(session: Session, as_json: bool, name: str, version: int | None) -> None:
    """One policy: its gates, and who must agree."""
    printing.answer(session.get(references.path("policies", name), version=version), as_json, _show)


@policy.command()
@click.argument("name")
@click.option("--gate", "gates", multiple=True, metavar="EXPRESSION", help="A condition in CEL; once for each.")
@click.option("--approvals", type=click.IntRange(0, 10), default=1, show_default=True, help="How many must say yes.")
@click.option("--author-may-approve", is_flag=True, help="Let also those approve who trained or asked for it.")
@reasoned(required=False)
@connected
def put(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    gates: tuple[str, ...],
    approvals: int,
    author_may_approve: bool,
) -> None:
    """Write a policy down, whole.

    Changed content is a new version; releases that were judged before keep theirs.
    """
    body = {"gates": list(gates), "approvals": {"count": approvals, "not_author": not author_may_approve}}
    printing.answer(session.post(references.path("policies", name), body | because), as_json, _show)


def _show(policy: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("policy", f"{policy['name']}, version {policy['version']}"),
            ("approvals", _approvals(policy)),
            ("changed", f"{words.when(policy['created_at'])} by {policy['actor']}"),
            ("digest", policy["digest"]),
            *((f"gate {number}", gate) for number, gate in enumerate(policy["gates"], 1)),
        ]
    )


def _approvals(policy: dict[str, Any]) -> str:
    asked = policy["approvals"]
    whose = " by others than its authors" if asked["not_author"] else ""
    return f"{asked['count']}{whose}" if asked["count"] else "none"
