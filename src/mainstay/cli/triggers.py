# SPDX-License-Identifier: Apache-2.0
"""``mainstay triggers``: rules that say when a model should learn again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import decisions, parameters, printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty
from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import Invalid

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No trigger yet. A trigger is a rule: when a window is judged and a condition holds, a pipeline runs.",
    "mainstay triggers put NAME --deployment DEPLOYMENT --when CONDITION",
)
COLUMNS = (
    Column("trigger", lambda trigger: trigger["name"]),
    Column("deployment", lambda trigger: trigger["deployment"]),
    Column("mode", lambda trigger: trigger["mode"]),
    Column("cooldown", lambda trigger: trigger["cooldown"]),
    Column("owner", lambda trigger: trigger["owner"]),
    Column("pipeline", lambda trigger: trigger["pipeline"]),
    Column("when", lambda trigger: trigger["when"], "prose"),
)


@click.group()
def triggers() -> None:
    """When a model should learn again."""


@triggers.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Every trigger."""
    printing.print_list(session.get("/triggers"), COLUMNS, EMPTY, as_json=as_json)


@triggers.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """One trigger, with what it decided last."""
    found = session.get(references.path("triggers", name))
    if as_json:
        printing.print_json(found)
        return
    _show(found)
    decided = session.get("/decisions", trigger=name, limit=20)["items"]
    printing.print_table(decided, decisions.COLUMNS, title="decisions")


@triggers.command()
@click.argument("name")
@click.option("--deployment", required=True, help="Whose windows raise the question.")
@click.option("--when", required=True, metavar="CONDITION", help='A condition in CEL, such as "performance_drop".')
@click.option("--pipeline", metavar="FILE.py:FUNCTION", help="What to run; default: what made the newest version.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="May contain {since} and {until}.")
@click.option("--mode", type=click.Choice(["manual", "suggest", "auto"]), default="suggest", show_default=True)
@click.option("--cooldown", default="7d", show_default=True, help="From one start to the next.")
@click.option("--owner", help="Who answers for it; default: the deployment's owner.")
@reasoned(required=False)
@connected
def put(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    deployment: str,
    when: str,
    pipeline: str | None,
    params: tuple[str, ...],
    mode: str,
    cooldown: str,
    owner: str | None,
) -> None:
    """Say when a pipeline is to run for a deployment.

    Said again, the rule is another; its decisions stand.
    """
    watched = session.get(references.path("deployments", deployment))
    body = {
        "name": name,
        "deployment": deployment,
        "when": when,
        "pipeline": pipeline or _usual_pipeline(session, watched["model"]),
        "params": parameters.read([], params),
        "mode": mode,
        "cooldown": cooldown,
        "owner": owner or watched["owner"],
    }
    printing.answer(session.post("/triggers", body | because), as_json, _show)


@triggers.command()
@click.argument("name")
@click.option("--as-of", help="A moment of the stream; default: the end of the newest judged window.")
@reasoned(required=False)
@connected
def ask(session: Session, as_json: bool, because: dict[str, Any], name: str, as_of: str | None) -> None:
    """Ask a trigger now.

    Its answer is on record, also when it is no; in mode auto a yes starts the pipeline.
    """
    body = {"as_of": to_wire(from_wire(as_of, what="--as-of"))} if as_of else {}
    printing.answer(
        session.post(references.path("triggers", name, "ask"), body | because), as_json, decisions.print_decision
    )


def _usual_pipeline(session: Session, model: str) -> str:
    """The entry of the pipeline that made the model's newest version."""
    for version in session.get(references.path("models", model))["versions"]:
        code = session.get(references.path("runs", version["run_id"]))["code"] or {}
        if code.get("entry"):
            return str(code["entry"])
    raise Invalid(f"no pipeline has made a version of model {model!r} yet; name one with --pipeline FILE.py:FUNCTION.")


def _show(trigger: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("trigger", trigger["name"]),
            ("deployment", trigger["deployment"]),
            ("when", trigger["when"]),
            ("pipeline", trigger["pipeline"]),
            ("params", words.value(trigger["params"])),
            ("mode", trigger["mode"]),
            ("cooldown", trigger["cooldown"]),
            ("owner", trigger["owner"]),
            ("declared", f"{words.when(trigger['created_at'])} by {trigger['created_by']}"),
        ]
    )
