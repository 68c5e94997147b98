# SPDX-License-Identifier: Apache-2.0
"""``mainstay models``: names, their numbered versions, and the aliases that move between these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    'No model yet. A model is a name; a pipeline registers its first version with ms.register("NAME", model).',
    "mainstay run FILE.py:FUNCTION",
)
COLUMNS = (
    Column("model", lambda model: model["name"]),
    Column("owner", lambda model: model["owner"]),
    Column("tier", lambda model: model["tier"]),
    Column("versions", lambda model: words.count(len(model["versions"])), "number"),
    Column("aliases", lambda model: _aliases(model)),
    Column("newest", lambda model: words.ago(_newest(model)["created_at"]) if model["versions"] else "none"),
    Column("its metrics", lambda model: words.numbers(_newest(model)["metrics"]) if model["versions"] else "", "prose"),
)
VERSIONS = (
    Column("version", lambda version: version["id"]),
    Column("state", lambda version: printing.state(version["state"])),
    Column("registered", lambda version: words.ago(version["created_at"])),
    Column("by", lambda version: version["actor"]),
    Column("releases", lambda version: words.listed(version["releases"])),
    Column("digest", lambda version: printing.digest(version["digest"])),
    Column("metrics", lambda version: words.numbers(version["metrics"]), "prose"),
)
FILES = (
    Column("file", lambda file: file[0]),
    Column("size", lambda file: words.size(file[1]["size"]), "number"),
    Column("digest", lambda file: printing.digest(file[1]["digest"])),
)
INPUTS = (
    Column("input", lambda column: column["name"]),
    Column("type", lambda column: column["type"]),
    Column("missing values", lambda column: "allowed" if column.get("nullable") else "refused"),
)


@click.group()
def models() -> None:
    """Models and their versions."""


@models.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@connected
def list_(session: Session, as_json: bool, limit: int) -> None:
    """Models, by name."""
    printing.print_list(session.get("/models", limit=limit), COLUMNS, EMPTY, as_json=as_json)


@models.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """A model, or one of its versions.

    NAME is a model; NAME@3, NAME@champion and NAME@candidate (the newest not released yet,
    unless an alias says otherwise) are versions.
    """
    if "@" not in name and references.numbered(name) is None:
        printing.answer(session.get(references.path("models", name)), as_json, _show)
        return
    model, number = references.version(session, name)
    printing.answer(session.get(references.path("models", model, "versions", number)), as_json, _show_version)


@models.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version", type=click.IntRange(1))
@click.option("--expected", type=click.IntRange(0), help="The version it names now; 0 for none.")
@reasoned(required=False)
@connected
def alias(
    session: Session, as_json: bool, because: dict[str, Any], name: str, alias: str, version: int, expected: int | None
) -> None:
    """Point ALIAS of model NAME at a version."""
    body = {"version": version} | ({} if expected is None else {"expected": expected})
    found = session.post(references.path("models", name, "aliases", alias), body | because)
    printing.answer(found, as_json, lambda moved: printing.say(f"{name}@{alias} is now {name}/{moved['version']}"))


def _show(model: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("model", model["name"]),
            ("owner", model["owner"]),
            ("tier", model["tier"]),
            ("about", model["description"] or "not described"),
            ("made", f"{words.when(model['created_at'])} by {model['created_by']}"),
            ("aliases", _aliases(model)),
        ]
    )
    printing.print_table(model["versions"], VERSIONS, title="versions")


def _show_version(version: dict[str, Any]) -> None:
    used = [f"{each['id']} ({each['role']})" for each in version["snapshots"]]
    printing.print_facts(
        [
            ("version", version["id"]),
            ("state", printing.state(version["state"])),
            ("aliases", words.listed(version["aliases"])),
            ("registered", f"{words.when(version['created_at'])} by {version['actor']}"),
            ("run", version["run_id"]),
            ("data", words.listed(used)),
            ("releases", words.listed(version["releases"])),
            ("format", version["format"]),
            ("digest", version["digest"]),
            ("evaluation", version["evaluation_blob"] or "none: no gate can judge it"),
            ("output", words.value(version["signature"].get("output"))),
            *((f"metric {name}", words.value(value)) for name, value in version["metrics"].items()),
        ]
    )
    printing.print_table(version["files"].items(), FILES, title="files")
    printing.print_table(version["signature"].get("inputs", []), INPUTS, title="signature")


def _newest(model: dict[str, Any]) -> dict[str, Any]:
    newest: dict[str, Any] = model["versions"][0]
    return newest


def _aliases(model: dict[str, Any]) -> str:
    return ", ".join(f"{name} → {number}" for name, number in model["aliases"].items()) or "none"
