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
NOTHING = Empty("Nothing meets that filter.", "mainstay models list")
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
@click.argument("filter")
@click.option("--versions", "of_versions", is_flag=True, help="Look among versions instead of models.")
@click.option("--order", default="", help="Such as 'updated_at desc'.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@connected
def search(session: Session, as_json: bool, filter: str, of_versions: bool, order: str, limit: int) -> None:
    """Models or versions that meet FILTER.

    Comparisons joined by 'and', such as: name ilike '%late%' and tags.team = 'ops'.
    """
    columns = VERSIONS if of_versions else COLUMNS
    found = session.get(f"/search/{'versions' if of_versions else 'models'}", filter=filter, order=order, limit=limit)
    printing.print_list(found, columns, NOTHING, as_json=as_json)


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


@models.command()
@click.argument("name")
@click.option("--owner", help="Who answers for it; whoever asks, if nobody is named.")
@click.option("--tier", default="medium", show_default=True, help="How much harm a wrong answer can do.")
@click.option("--description", default="", help="What it is.")
@reasoned(required=False)
@connected
def create(
    session: Session, as_json: bool, because: dict[str, Any], name: str, owner: str | None, tier: str, description: str
) -> None:
    """Name a model, before its first version."""
    body = {"name": name, "owner": owner, "tier": tier, "description": description} | because
    printing.answer(session.post("/models", body), as_json, _show)


@models.command()
@click.argument("version", metavar="MODEL@VERSION")
@connected
def card(session: Session, as_json: bool, version: str) -> None:
    """A draft of a version's model card, in Markdown.

    What the record knows is written out; what only people know is a heading with a question under it.
    """
    model, number = references.version(session, version)
    found = session.get(references.path("models", model, "versions", number, "card"))
    printing.answer(found, as_json, lambda drafted: click.echo(drafted["markdown"], nl=False))


@models.command()
@click.argument("name")
@click.option("--run", "run_id", required=True, metavar="ID", help="The run that logged it.")
@click.option("--path", default="model", show_default=True, help="Its folder among the run's artifacts.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@reasoned(required=False)
@connected
def register(
    session: Session, as_json: bool, because: dict[str, Any], name: str, run_id: str, path: str, tags: tuple[str, ...]
) -> None:
    """Give a model folder that a run logged the next number of model NAME."""
    body = {"run_id": run_id, "path": path, "tags": _pairs(tags)}
    printing.answer(session.post(references.path("models", name, "folders"), body | because), as_json, _show_version)


@models.command()
@click.argument("name")
@click.argument("source")
@reasoned(required=False)
@connected
def refer(session: Session, as_json: bool, because: dict[str, Any], name: str, source: str) -> None:
    """Give bytes elsewhere, at the address SOURCE, the next number of model NAME.

    Such a version can be looked up, and never be released.
    """
    found = session.post(references.path("models", name, "references"), {"source": source} | because)
    printing.answer(found, as_json, _show_version)


@models.command()
@click.argument("name")
@click.option("--description", help="What it is.")
@click.option("--owner", help="Who answers for it (a model's only).")
@click.option("--tier", help="How much harm a wrong answer can do (a model's only).")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Without '=', the tag is taken away.")
@reasoned(required=False)
@connected
def describe(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    description: str | None,
    owner: str | None,
    tier: str | None,
    tags: tuple[str, ...],
) -> None:
    """Say something else of a model NAME, or of a version NAME@3."""
    given = {"description": description, "owner": owner, "tier": tier}
    body = {key: value for key, value in given.items() if value is not None} | {"tags": _pairs(tags)} | because
    if known := _version_named(session, name):
        printing.answer(
            session.post(references.path("models", known[0], "versions", known[1], "change"), body),
            as_json,
            _show_version,
        )
        return
    printing.answer(session.post(references.path("models", name, "change"), body), as_json, _show)


@models.command()
@click.argument("name")
@click.argument("new_name")
@reasoned(required=False)
@connected
def rename(session: Session, as_json: bool, because: dict[str, Any], name: str, new_name: str) -> None:
    """Give a model another name, if no release or deployment counts on this one."""
    found = session.post(references.path("models", name, "rename"), {"name": new_name} | because)
    printing.answer(found, as_json, lambda model: printing.say(f"{name} is now {model['name']}"))


@models.command()
@click.argument("name")
@reasoned(required=True)
@connected
def delete(session: Session, as_json: bool, because: dict[str, Any], name: str) -> None:
    """Delete model NAME with its versions, or version NAME@3, if nothing counts on it."""
    known = _version_named(session, name)
    path = references.path("models", known[0], "versions", known[1]) if known else references.path("models", name)
    found = session.post(f"{path}/delete", because)
    printing.answer(found, as_json, lambda gone: printing.say(f"{gone['deleted']} is deleted; its number stays taken"))


@models.command()
@click.argument("version", metavar="MODEL@VERSION")
@reasoned(required=False)
@connected
def retire(session: Session, as_json: bool, because: dict[str, Any], version: str) -> None:
    """Say that a version is not to be released any more."""
    model, number = references.version(session, version)
    found = session.post(references.path("models", model, "versions", number, "state"), {"state": "retired"} | because)
    printing.answer(found, as_json, lambda one: printing.say(f"{one['id']} is {one['state']}"))


@models.command()
@click.argument("name")
@click.option("--withdraw", is_flag=True, help="Take the permission away; what was released under it stays.")
@reasoned(required=True)
@connected
def allow(session: Session, as_json: bool, because: dict[str, Any], name: str, withdraw: bool) -> None:
    """Allow NAME@3, or every version of model NAME, to be loaded by unpickling.

    That runs whatever is in its files, in worker and gateway. It takes an admin, and a reason.
    """
    known = _version_named(session, name)
    model, number = known or (name, None)
    path = references.path("models", model, "permissions") + ("/remove" if withdraw else "")
    found = session.post(path, {"permission": "allow_pickle", "version": number} | because)
    said = "may no longer be" if withdraw else "may be"
    printing.answer(found, as_json, lambda _: printing.say(f"{name} {said} loaded by unpickling"))


def _version_named(session: Session, name: str) -> tuple[str, int] | None:
    """The version that NAME@3, NAME@champion or NAME/3 means; None for a model's name."""
    return references.version(session, name) if "@" in name or references.numbered(name) else None


def _pairs(tags: tuple[str, ...]) -> dict[str, str | None]:
    """``KEY=VALUE`` as a tag; ``KEY`` alone as one to take away."""
    split = (tag.partition("=") for tag in tags)
    return {key: value if mark else None for key, mark, value in split}


def _show(model: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("model", model["name"]),
            ("owner", model["owner"]),
            ("tier", model["tier"]),
            ("about", model["description"] or "not described"),
            ("made", f"{words.when(model['created_at'])} by {model['created_by']}"),
            ("aliases", _aliases(model)),
            ("tags", _tags(model)),
            *((f"allowed {given['what']}", _allowed(given)) for given in model["permissions"]),
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
            ("about", version["description"] or "not described"),
            ("tags", _tags(version)),
            ("run", version["run_id"] or version["claims"].get("run_id", "none of this workspace")),
            *([("source", version["source"])] if version["source"] else []),
            *([("bytes", "elsewhere: it can be looked up, not released")] if version["is_reference"] else []),
            *([("unpickling", _allowed(version["permission"]))] if version["needs_pickle"] else []),
            ("data", words.listed(used)),
            ("releases", words.listed(version["releases"])),
            ("format", version["format"]),
            ("digest", version["digest"]),
            ("evaluation", version["evaluation_blob"] or "none: gates know only what was told of it"),
            ("output", words.value(version["signature"].get("output"))),
            *((f"metric {name}", words.value(value)) for name, value in version["metrics"].items()),
        ]
    )
    printing.print_table(version["files"].items(), FILES, title="files")
    printing.print_table(version["signature"].get("inputs", []), INPUTS, title="signature")


def _tags(found: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in found["tags"].items()) or "none"


def _allowed(given: dict[str, Any] | None) -> str:
    if given is None:
        return "needed to load it, and nobody has allowed it"
    what = "every version" if given["number"] is None else f"version {given['number']}"
    return f"{what}, by {given['actor']}: {given['reason']}"


def _newest(model: dict[str, Any]) -> dict[str, Any]:
    newest: dict[str, Any] = model["versions"][0]
    return newest


def _aliases(model: dict[str, Any]) -> str:
    return ", ".join(f"{name} → {number}" for name, number in model["aliases"].items()) or "none"
