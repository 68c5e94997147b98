# SPDX-License-Identifier: Apache-2.0
"""``mainstay runs compare`` and ``mainstay runs candidate``: runs beside each other, and the act that ends the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column
from mainstay.domain.errors import NotFound

if TYPE_CHECKING:
    from mainstay.client.session import Session

Run = dict[str, Any]

ALIAS = "candidate"
MODEL_FILE = "MLmodel"
PARTS = ("metrics", "params", "tags")
_MISSING = object()


@click.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="Also what is the same everywhere.")
@connected
def compare(session: Session, as_json: bool, run: tuple[str, ...], everything: bool) -> None:
    """Runs beside each other: where they differ.

    In metrics, parameters, tags, code and packages.

    RUN is an id, or a name: the newest run of that name. The first one is what the others are compared to.
    """
    found = [session.get(references.path("runs", references.run(session, each))) for each in dict.fromkeys(run)]
    if as_json:
        printing.print_json({"items": found, "differing": {part: differing(found, part) for part in PARTS}})
        return
    heads = [Column("", lambda row: row[0]), *(_column(place, each) for place, each in enumerate(found, start=1))]
    printing.print_table([_named("state", found), _named("actor", found), _code(found, "commit")], heads)
    for part in PARTS:
        keys = _keys(found, part) if everything else differing(found, part)
        rows = [(key, *(_told(each[part].get(key, _MISSING)) for each in found)) for key in keys]
        printing.print_table(rows, heads, title=part)
    packages = [(each["environment"] or {}).get("packages", {}) for each in found]
    keys = sorted(key for key in set().union(*packages) if len({each.get(key) for each in packages}) > 1)
    rows = [(key, *(each.get(key, "not there") for each in packages)) for key in keys]
    printing.print_table(rows, heads, title="packages that differ")


@click.command()
@click.argument("run")
@click.option("--model", help="Register the model that the run kept as the next version of this model.")
@click.option("--path", help="Which model folder of the run, if it kept several.")
@reasoned(required=False)
@connected
def candidate(
    session: Session, as_json: bool, because: dict[str, Any], run: str, model: str | None, path: str | None
) -> None:
    """Move the alias `candidate` of its model to what RUN made.

    If the run registered a version, that is it; if it only kept a model among its artifacts, --model says which model
    gets a new version. If somebody moves the alias at the same moment, one of the two is refused.
    """
    made = session.get(references.path("runs", references.run(session, run)))
    named = None if model else version_of(session, made["id"])
    if named is None:
        named = _register(session, made, model, path, because)
    name, number = named
    before = session.get(references.path("models", name))["aliases"].get(ALIAS, 0)
    body = {"version": number, "expected": before} | because
    found = session.post(references.path("models", name, "aliases", ALIAS), body)
    printing.answer(found, as_json, lambda moved: printing.say(f"{name}@{ALIAS} is now {name}/{moved['version']}"))


def version_of(session: Session, run: str) -> tuple[str, int] | None:
    """The version that a run, or a step of it, registered."""
    for station in session.get("/about", subject=f"run:{run}")["ribbon"]:
        if station["station"] == "version" and station.get("subject"):
            return references.numbered(station["subject"].removeprefix("version:"))
    return None


def differing(runs: list[Run], part: str) -> list[str]:
    """The keys of a part (metrics, params, tags) that not all runs have, or not with the same value."""
    return [key for key in _keys(runs, part) if len({repr(run[part].get(key, _MISSING)) for run in runs}) > 1]


def _register(
    session: Session, run: Run, model: str | None, path: str | None, because: dict[str, Any]
) -> tuple[str, int]:
    folders = [
        each["path"].removesuffix(MODEL_FILE).rstrip("/") for each in run["artifacts"] if _is_model(each["path"])
    ]
    if model is None or not folders:
        lack = "registered no version and kept no model" if not folders else "registered no version"
        step = "register one with ms.register(name, model)" if not folders else "say with --model which model gets one"
        raise NotFound(f"run {run['name']} ({run['id']}) {lack}; {step}.", run=run["id"])
    if path is None and len(folders) > 1:
        raise NotFound(f"run {run['name']} kept {len(folders)} models; name one of {', '.join(folders)} with --path.")
    body = {"run_id": run["id"], "path": folders[0] if path is None else path} | because
    made = session.post(references.path("models", model, "folders"), body)
    return model, int(made["number"])


def _is_model(path: str) -> bool:
    return path == MODEL_FILE or path.endswith(f"/{MODEL_FILE}")


def _keys(runs: list[Run], part: str) -> list[str]:
    return sorted(set().union(*(run[part] for run in runs)))


def _column(place: int, run: Run) -> Column:
    return Column(f"{run['name']} {run['id'][-6:]}", lambda row: row[place])


def _named(key: str, runs: list[Run]) -> tuple[str, ...]:
    return (key, *(str(run[key]) for run in runs))


def _code(runs: list[Run], key: str) -> tuple[str, ...]:
    return (key, *(str((run["code"] or {}).get(key) or words.UNKNOWN)[:12] for run in runs))


def _told(value: Any) -> str:
    return "–" if value is _MISSING else words.value(value)
