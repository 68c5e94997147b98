# SPDX-License-Identifier: Apache-2.0
"""``mainstay predict``: ask a deployment about a few rows, or answer a whole file offline into the same log."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing, progress, references, words
from mainstay.cli.connection import connected_to_work
from mainstay.cli.printing import Column
from mainstay.domain import strict_json
from mainstay.domain.errors import Conflict, Invalid

if TYPE_CHECKING:
    from mainstay.client.session import Session
    from mainstay.gateway.batch import Batch

IN_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
OUT_FILE = click.Path(path_type=Path, dir_okay=False)
ANSWERS = (
    Column("prediction", lambda answer: answer["id"]),
    Column("value", lambda answer: words.value(answer["value"])),
)


@click.command()
@click.argument("deployment")
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option("--row", "fields", multiple=True, metavar="COLUMN=VALUE", help="One column of a row; once for each.")
@click.option("--input", "source", type=IN_FILE, help="A Parquet or Arrow file of rows.")
@click.option("--output", "destination", type=OUT_FILE, help="Where the answers go (Parquet).")
@click.option("--key", help="The row's key; with --input the name of the column that holds it.")
@click.option("--at", help="With --input: the column that holds the event time.")
@click.option("--no-log", is_flag=True, help="With --input: leave the predictions out of the prediction log.")
@click.option("--gateway-url", help="The gateway; default: the one that the server names.")
@connected_to_work
def predict(
    session: Session,
    as_json: bool,
    deployment: str,
    rows: tuple[str, ...],
    fields: tuple[str, ...],
    source: Path | None,
    destination: Path | None,
    key: str | None,
    at: str | None,
    no_log: bool,
    gateway_url: str | None,
) -> None:
    """Ask a deployment about a few rows, or about a whole file.

    A ROW is a JSON object, or an array of them; --row x=1 --row y=2 makes one row. With --input and --output a file is
    answered offline by the live release, into the same prediction log.
    """
    if (source is None) != (destination is None):
        raise click.UsageError("a file is answered into a file: give --input and --output together.")
    if source is not None and destination is not None:
        if rows or fields:
            raise click.UsageError("rows are given either here or by --input, not both.")
        _answer_file(session, deployment, source, destination, key=key, at=at, log=not no_log, as_json=as_json)
        return
    if at or no_log:
        raise click.UsageError("--at and --no-log go with --input.")
    asked = [row for text in rows for row in _read(text)]
    if fields:
        asked.append(_typed(session, deployment, parameters.pairs(fields)))
    if not asked:
        raise click.UsageError("there is no row to ask about; give one as JSON, with --row, or a file with --input.")
    _ask(session, deployment, asked, key=key, gateway_url=gateway_url, as_json=as_json)


def _ask(
    session: Session,
    deployment: str,
    rows: list[dict[str, Any]],
    *,
    key: str | None,
    gateway_url: str | None,
    as_json: bool,
) -> None:
    from mainstay.client import sdk
    from mainstay.client import session as sessions

    session.gateway_url = gateway_url or session.gateway_url
    sessions.use(session)
    try:
        found = sdk.predict(references.path(deployment)[1:], rows, key=key)
        printing.answer(found, as_json, lambda answer: _show(deployment, answer))
    finally:
        sessions.use(None)


def _show(deployment: str, answer: dict[str, Any]) -> None:
    printing.print_table(answer["predictions"], ANSWERS)
    release = f"{deployment}#{answer['release']} = {answer['version']}"
    printing.say(f"answered by {release} ({answer['variant']})", "dim")


def _answer_file(
    session: Session,
    deployment: str,
    source: Path,
    destination: Path,
    *,
    key: str | None,
    at: str | None,
    log: bool,
    as_json: bool,
) -> None:
    from mainstay.gateway.batch import score_file

    if not destination.resolve().parent.is_dir():
        raise Invalid(f"there is no folder {destination.parent.name!r} to put {destination.name} into; make it first.")
    with progress.doing(f"answering the rows of {source.name} by deployment {deployment}", err=as_json):
        done = score_file(session, deployment, source, destination, key=key, at=at, log=log)
    document = {"release": done.release, "version": done.version, "part": done.part, "output": str(destination)}
    printing.answer(document | asdict(done.scored), as_json, lambda _: _say_scored(done, destination))


def _say_scored(done: Batch, destination: Path) -> None:
    scored = done.scored
    printing.say(
        f"{words.counted(scored.rows, 'row')} answered by {done.release} = {done.version} "
        f"in {words.seconds(scored.seconds)} → {destination}"
    )
    if scored.flagged:
        printing.say(f"  {words.counted(scored.flagged, 'row')} outside of what training saw", "yellow")
    if scored.invalid:
        printing.say(f"  {words.counted(scored.invalid, 'row')} without a valid answer", "red")
    if scored.ignored:
        printing.say(f"  columns that the model does not take: {words.listed(list(scored.ignored))}", "dim")
    printing.say("  in the prediction log" if done.part else "  not in the prediction log", "dim")


def _read(text: str) -> list[dict[str, Any]]:
    """The row, or rows, of one argument."""
    found = strict_json.loads(text, what=f"row {text[:60]!r}")
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise Invalid(f'row {text[:60]!r} is no JSON object; one such as {{"carrier": "UA"}} is expected.')
    return rows


def _typed(session: Session, deployment: str, given: dict[str, str]) -> dict[str, Any]:
    """Texts as values of the types that the live version's signature asks for; an empty text is a missing value."""
    from mainstay.features import transforms

    live = session.get(references.path("deployments", deployment))
    if not live["version"]:
        raise Conflict(f"nothing is live on {deployment!r}; release a version to it first: `mainstay release`.")
    model, number = references.version(session, live["version"])
    signature = session.get(references.path("models", model, "versions", number))["signature"]
    type_by_name = transforms.carried(signature) | {column["name"]: column["type"] for column in signature["inputs"]}
    return {name: _value(name, text, type_by_name.get(name, "str")) for name, text in given.items()}


def _value(name: str, text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind not in ("float", "int", "bool"):
        return text
    try:
        found = json.loads(text.lower() if kind == "bool" else text)
    except ValueError:
        found = None
    if isinstance(found, bool) == (kind == "bool") and isinstance(found, (bool, int, float)):
        return found
    raise Invalid(f"column {name} is {text!r}; a value of type {kind} is expected.")
