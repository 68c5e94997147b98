# SPDX-License-Identifier: Apache-2.0
"""``mainstay deployments``: named endpoints, and which releases answer at each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, releases, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No deployment yet. A deployment is a named endpoint with an owner, a policy and a rollout.",
    "mainstay deployments put NAME --model MODEL --owner OWNER",
)
COLUMNS = (
    Column("deployment", lambda deployment: deployment["name"]),
    Column("environment", lambda deployment: deployment["environment"]),
    Column("model", lambda deployment: deployment["model"]),
    Column("live", lambda deployment: deployment["release"] or "nothing"),
    Column("version", lambda deployment: deployment["version"] or "none"),
    Column("gateways", lambda deployment: _agreement(deployment)),
    Column("predictions", lambda deployment: words.count(deployment["predictions"]), "number"),
    Column("policy", lambda deployment: deployment["policy"]),
    Column("owner", lambda deployment: deployment["owner"]),
)
VARIANTS = (
    Column("release", lambda variant: variant["release"]),
    Column("version", lambda variant: variant["version"]),
    Column("role", lambda variant: variant["role"]),
    Column("share", lambda variant: words.share(variant["share"]), "number"),
    Column("digest", lambda variant: printing.digest(variant["digest"])),
)
LOADED = (
    Column("gateway", lambda line: line[0]["gateway"]),
    Column("reported", lambda line: words.ago(line[0]["reported_at"])),
    Column("release", lambda line: line[1].get("release_id", str(line[1]["release"]))),
    Column("digest", lambda line: printing.digest(line[1]["digest"])),
    Column("", lambda line: printing.Cell(*(("✓ matches", "green") if line[1]["matches"] else ("✗ DIFFERS", "red")))),
)


@click.group()
def deployments() -> None:
    """Named endpoints with an owner."""


@deployments.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Deployments and what is live on each."""
    printing.print_list(session.get("/deployments"), COLUMNS, EMPTY, as_json=as_json)


@deployments.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """What should answer, what is loaded, and the releases so far."""
    printing.answer(session.get(references.path("deployments", name)), as_json, _show)


@deployments.command()
@click.argument("name")
@click.option("--model", required=True, help="The model that it serves.")
@click.option("--owner", help="Who answers for it; default: you.")
@click.option("--environment", default="prod", show_default=True)
@click.option("--policy", help="What must hold before a release goes live; default: named as the environment.")
@click.option("--strategy", type=click.Choice(["canary", "direct"]), default="canary", show_default=True)
@click.option("--step", "steps", type=click.IntRange(1, 100), multiple=True, help="Percent of a step; the last is 100.")
@click.option("--min-predictions", type=click.IntRange(1), default=500, show_default=True, help="In each step.")
@click.option("--guard", "guards", multiple=True, type=click.Choice(["errors", "latency", "quality"]))
@reasoned(required=False)
@connected
def put(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    model: str,
    owner: str | None,
    environment: str,
    policy: str | None,
    strategy: str,
    steps: tuple[int, ...],
    min_predictions: int,
    guards: tuple[str, ...],
) -> None:
    """Say that a deployment is to exist, and by which rules.

    Said again, its next releases are treated by the new rules.
    """
    rollout: dict[str, Any] = {"strategy": strategy, "min_predictions": min_predictions}
    rollout |= {"steps": list(steps)} if steps else {}
    rollout |= {"guards": list(guards)} if guards else {}
    body = {
        "name": name,
        "environment": environment,
        "model": model,
        "owner": owner or session.get("/me")["actor"],
        "policy": policy or environment,
        "rollout": rollout,
    }
    printing.answer(session.post("/deployments", body | because), as_json, _show)


def _show(deployment: dict[str, Any]) -> None:
    rules = deployment["rollout"]
    printing.print_facts(
        [
            ("deployment", f"{deployment['environment']}/{deployment['name']}"),
            ("model", deployment["model"]),
            ("owner", deployment["owner"]),
            ("policy", deployment["policy"]),
            ("live", f"{deployment['release']} = {deployment['version']}" if deployment["release"] else "nothing"),
            ("gateways", _agreement(deployment)),
            ("rollout", f"{rules['strategy']} in steps of {words.listed([f'{step} %' for step in rules['steps']])}"),
            ("guards", words.listed(list(rules["guards"]))),
            ("predictions", words.count(deployment["predictions"])),
            ("declared", words.when(deployment["created_at"])),
        ]
    )
    printing.print_table(deployment["variants"], VARIANTS, title="should answer")
    loaded = [(gateway, variant) for gateway in deployment["loaded"] for variant in gateway["variants"]]
    printing.print_table(loaded, LOADED, title="is loaded")
    printing.print_table(deployment["releases"], releases.COLUMNS, title="releases")
    if not deployment["releases"]:
        command = f"mainstay release {deployment['model']}@candidate --to {deployment['name']}"
        printing.say(f"Nothing was released here yet: {command}")


def _agreement(deployment: dict[str, Any]) -> printing.Cell:
    agrees = deployment["agrees"]
    if not deployment["release"]:
        return printing.Cell("· nothing to load")
    if agrees is None:
        return printing.Cell("? unknown: no gateway speaks", "magenta")
    return printing.Cell("✓ agree", "green") if agrees else printing.Cell("✗ DIFFER", "red")
