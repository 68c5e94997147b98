# SPDX-License-Identifier: Apache-2.0
"""``mainstay releases``: what went live, what was refused, and what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No release yet. A release puts a model version, with its data, configuration and policy, behind a deployment: "
    "gates judge it, a second person approves, the traffic moves in steps.",
    "mainstay release MODEL@candidate --to DEPLOYMENT",
)
COLUMNS = (
    Column("release", lambda release: release["id"]),
    Column("state", lambda release: printing.state(release["state"])),
    Column("version", lambda release: f"{release['model']}/{release['version']}"),
    Column("requested", lambda release: words.ago(release["requested_at"])),
    Column("by", lambda release: release["requested_by"]),
    Column("reason", lambda release: release["reason"] or "none given", "prose"),
)
GATES = (
    Column("verdict", lambda gate: printing.state(gate["verdict"])),
    Column("rows", lambda gate: words.count(gate["rows"]), "number"),
    Column("gate", lambda gate: gate["gate"], "prose"),
    Column("says", lambda gate: gate["sentence"], "prose"),
)
APPROVALS = (
    Column("who", lambda given: given["actor"]),
    Column("said", lambda given: printing.state(given["decision"])),
    Column("when", lambda given: words.ago(given["at"])),
    Column("counts", lambda given: "yes" if given["valid"] else "no"),
    Column("digest", lambda given: printing.digest(given["digest"])),
    Column("reason", lambda given: given["reason"], "prose"),
)


@click.group()
def releases() -> None:
    """What was asked to go live, and what became of it."""


@releases.command("list")
@click.option("--deployment", help="Only of this deployment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, deployment: str | None, limit: int) -> None:
    """Releases, newest first."""
    found = session.get("/releases", deployment=deployment, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@releases.command()
@click.argument("release")
@connected
def show(session: Session, as_json: bool, release: str) -> None:
    """One release: what it fixes, the gates, who agreed.

    RELEASE is such as flights#7, or a deployment: its newest release.
    """
    printing.answer(references.release(session, release), as_json, print_release_and_next)


def print_release_and_next(release: dict[str, Any]) -> None:
    """A release whole, and what it waits for."""
    print_release(release)
    if release["state"] == "waiting":
        authors = words.listed(release["authors"])
        printing.say()
        printing.say(f"It waits for somebody other than {authors}: mainstay approve '{release['id']}' -m WHY")


def print_release(release: dict[str, Any]) -> None:
    """A release whole: what it fixes, what the gates said, who agreed."""
    manifest, rollout = release["manifest"], release["rollout"]
    policy = manifest["policy"]
    printing.print_facts(
        [
            ("release", release["id"]),
            ("state", printing.state(release["state"])),
            ("version", f"{release['model']}/{release['version']}, digest {manifest['version_digest']}"),
            ("data", words.listed(manifest["snapshots"])),
            ("feature views", words.listed([each["view"] for each in manifest["features"]])),
            ("policy", f"{policy['name']}, version {policy['version']}"),
            ("requested", f"{words.when(release['requested_at'])} by {release['requested_by']}"),
            ("reason", release["reason"] or "none given"),
            *([("failed", release["error"])] if release["error"] else []),
            ("judged", words.when(release["judged_at"]) if release["judged_at"] else "not yet"),
            ("rollout", f"{rollout['state']} at {words.share(rollout['share'])}" if rollout else "none yet"),
            ("digest", release["digest"]),
        ]
    )
    printing.print_table(release["gates"], GATES, title="gates")
    printing.print_table(release["approvals"], APPROVALS, title="approvals")
