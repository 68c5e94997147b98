# SPDX-License-Identifier: Apache-2.0
"""``mainstay datasets``: named sources of rows, each state taken in, and the contract that the next must meet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import diffs as differences
from mainstay.cli import printing, progress, references, storage, words
from mainstay.cli.connection import connected, reasoned, require_reason
from mainstay.cli.printing import Column, Empty
from mainstay.domain.errors import Invalid, NotFound

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No dataset yet. A dataset is a named source; each file taken in becomes a snapshot: immutable, digested, "
    "profiled, and held to the contract.",
    "mainstay datasets add NAME FILE.parquet",
)
COLUMNS = (
    Column("dataset", lambda dataset: dataset["name"]),
    Column("owner", lambda dataset: dataset["owner"]),
    Column("snapshots", lambda dataset: words.count(len(dataset["snapshots"])), "number"),
    Column("rows", lambda dataset: _held(dataset)[1], "number"),
    Column("newest", lambda dataset: _newest(dataset["snapshots"])),
    Column("description", lambda dataset: dataset["description"], "prose"),
)
SNAPSHOTS = (
    Column("snapshot", lambda snapshot: snapshot["id"]),
    Column("rows", lambda snapshot: _amount(snapshot), "number"),
    Column("size", lambda snapshot: words.size(snapshot["size"]), "number"),
    Column("period", lambda snapshot: words.period(snapshot["period"])),
    Column("taken", lambda snapshot: words.ago(snapshot["created_at"])),
    Column("by", lambda snapshot: snapshot["actor"]),
    Column("digest", lambda snapshot: printing.digest(snapshot["digest"])),
    Column("source", lambda snapshot: snapshot["source"] or "unknown", "prose"),
)
CONTRACT = (
    Column("column", lambda column: column["name"]),
    Column("type", lambda column: column["type"]),
    Column("missing values", lambda column: "allowed" if column["nullable"] else "refused"),
    Column("range", lambda column: _range(column["minimum"], column["maximum"])),
    Column("aliases", lambda column: words.listed(column["aliases"])),
    Column("further", lambda column: _further(column)),
    Column("categories", lambda column: _some(column["categories"]), "prose"),
)
REFUSALS = (
    Column("refused", lambda refusal: words.ago(refusal["at"])),
    Column("since then", lambda refusal: f"is {refusal['resolved_by']}" if refusal["resolved_by"] else "unresolved"),
    Column("what was wrong", lambda refusal: refusal["sentence"], "prose"),
)
USERS = (
    Column("user", lambda user: user["subject"]),
    Column("as", lambda user: user["role"]),
    Column("of", lambda user: user["snapshot"]),
    Column("answers now", lambda user: {True: "yes", False: "no", None: ""}[user["is_live"]]),
)
PROFILE = (
    Column("column", lambda column: column["name"]),
    Column("kind", lambda column: column["kind"]),
    Column("missing", lambda column: words.share(column.get("null_share")), "number"),
    Column("mean", lambda column: _number(column.get("mean")), "number"),
    Column("sd", lambda column: _number(column.get("sd")), "number"),
    Column("range", lambda column: _range(column.get("minimum"), column.get("maximum"))),
    Column("most frequent", lambda column: _top(column.get("top")), "prose"),
)


@click.group()
def datasets() -> None:
    """Named sources, and each immutable state that was taken in."""


@datasets.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@connected
def list_(session: Session, as_json: bool, limit: int) -> None:
    """Datasets, by name."""
    printing.print_list(session.get("/datasets", limit=limit), COLUMNS, EMPTY, as_json=as_json)


@datasets.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """A dataset with its contract, or one of its snapshots.

    NAME is a dataset; NAME@3, NAME@current and NAME@latest are snapshots.
    """
    if "@" in name:
        printing.answer(session.get(references.path("snapshots", name)), as_json, _show_snapshot)
    else:
        printing.answer(session.get(references.path("datasets", name)), as_json, _show)


@datasets.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--files", "as_files", is_flag=True, help="Keep a Parquet or CSV file as it is, unread.")
@click.option("--owner", help="Who answers for a dataset that is new; default: you.")
@click.option("--description", default="", help="What a dataset that is new holds.")
@click.option("--source", help="Where the rows come from; default: the file's name.")
@click.option("--since", help="Begin of the period that the rows are about.")
@click.option("--until", help="Its end, not included.")
@reasoned(required=False)
@connected
def add(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    path: Path,
    as_files: bool,
    owner: str | None,
    description: str,
    source: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """Take a file or a folder in as a snapshot of a dataset.

    A Parquet or CSV file is a table, and is refused if it breaks the contract. A folder, or any other file, is kept
    as files. A dataset that is new is made.
    """
    from mainstay.client import datasets as bringing

    if (since is None) != (until is None):
        raise click.UsageError("a period has two ends: give --since and --until, or neither.")
    _ensure(session, name, owner, description, because)
    body = {
        "source": source or path.resolve().name,
        "period": {"since": since, "until": until} if since else None,
    }
    try:
        with progress.doing(f"reading {path.name or path}", err=as_json):
            taken = bringing.add(session, name, path, body | because, as_files=as_files)
    except Invalid as refusal:
        raise Invalid(refusal.message + _next_step(name, refusal.facts), **refusal.facts) from refusal
    printing.answer(taken, as_json, _say_taken)


@datasets.command()
@click.argument("name")
@click.argument("column")
@click.argument("alias")
@reasoned(required=False)
@connected
def alias(session: Session, as_json: bool, because: dict[str, Any], name: str, column: str, alias: str) -> None:
    """From now on COLUMN may also arrive under the name ALIAS."""
    body = {"column": column, "alias": alias}
    found = session.post(references.path("datasets", name, "aliases"), body | because)
    printing.answer(
        found,
        as_json,
        lambda contract: printing.say(
            f"contract of {name} is now version {contract['version']}: {column} may arrive as {alias}"
        ),
    )


@datasets.command()
@click.argument("name")
@click.argument("address")
@click.option("--as", "system", type=click.Choice(["delta", "iceberg", "source"]), required=True, help="Who keeps it.")
@click.option("--version", type=click.IntRange(0), help="Delta's version, or Iceberg's snapshot; default: the newest.")
@reasoned(required=False)
@connected
def refer(
    session: Session, as_json: bool, because: dict[str, Any], name: str, address: str, system: str, version: int | None
) -> None:
    """Take a table that stays where it is in as a snapshot, by reference.

    ADDRESS is the place of a Delta table, the name of an Iceberg table in the default catalogue, or a Parquet or CSV file,
    which nothing keeps: whatever comes of that carries a warning.
    """
    from mainstay.engine import references as systems
    from mainstay.engine import snapshots

    manifest = session.put_blob(systems.pin(system, address, version).manifest())
    _ensure(session, name, None, "", because)
    with progress.doing(f"reading {address}", err=as_json):
        examined = snapshots.examine(session, name, manifest)
    body = {"blob": manifest, "format": "reference", "source": address, "examined": examined}
    taken = session.post(references.path("datasets", name, "snapshots"), body | because)
    printing.answer(taken, as_json, _say_taken)


@datasets.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--key", "keys", multiple=True, metavar="COLUMN[,…]", help="Columns that name a row; default: the contract's."
)
@connected
def diff(session: Session, as_json: bool, before: str, after: str, keys: tuple[str, ...]) -> None:
    """What is different between two snapshots: schema, rows, values.

    BEFORE and AFTER are snapshots such as flights@2 and flights@current. With a key, rows are paired by it.
    """
    path = references.path("snapshots", before, "diff", after)
    printing.answer(session.get(path, key=list(keys) or None), as_json, differences.show)


@datasets.command()
@click.argument("snapshot")
@connected
def users(session: Session, as_json: bool, snapshot: str) -> None:
    """Who uses a snapshot downstream, up to what is live."""
    printing.answer(session.get(references.path("snapshots", snapshot, "users")), as_json, _show_users)


@datasets.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(1), required=True, help="Number of the snapshot.")
@click.option("--preview", is_flag=True, help="Only say what would follow.")
@reasoned(required=False)
@connected
def rollback(session: Session, as_json: bool, because: dict[str, Any], name: str, to: int, preview: bool) -> None:
    """Let a dataset's `current` name an earlier snapshot again.

    Nothing is deleted, and what is live stays as it is; the next snapshot moves `current` forward again.
    """
    path = references.path("datasets", name, "rollback")
    follows = session.get(path, to=to)
    if preview:
        printing.answer(follows, as_json, _show_preview)
        return
    if not as_json:
        _show_preview(follows)
    done = session.post(path, {"to": to} | require_reason(because))
    printing.answer(done, as_json, lambda ref: printing.say(f"{name}@current is {name}@{ref['number']}, from now on"))


@datasets.command()
@click.argument("snapshot")
@reasoned(required=False)
@connected
def drop(session: Session, as_json: bool, because: dict[str, Any], snapshot: str) -> None:
    """Say that a snapshot is not wanted any more; `mainstay gc` frees it.

    It stays on record, and its bytes stay while a run, a version or another snapshot needs them. Until gc took them,
    `mainstay datasets restore` brings it back.
    """
    done = session.post(references.path("snapshots", snapshot, "drop"), because)
    printing.answer(
        done, as_json, lambda found: printing.say(f"{found['id']} is dropped; `mainstay gc` shows what goes")
    )


@datasets.command()
@click.argument("snapshot")
@reasoned(required=False)
@connected
def restore(session: Session, as_json: bool, because: dict[str, Any], snapshot: str) -> None:
    """Bring back a snapshot that was dropped."""
    done = session.post(references.path("snapshots", snapshot, "restore"), because)
    printing.answer(done, as_json, lambda found: printing.say(f"{found['id']} is back"))


for _command in (storage.verify, storage.checkout, storage.export):
    datasets.add_command(_command)


def _ensure(session: Session, name: str, owner: str | None, description: str, because: dict[str, Any]) -> None:
    try:
        session.get(references.path("datasets", name))
    except NotFound:
        made = {"name": name, "owner": owner or session.get("/me")["actor"], "description": description}
        session.post("/datasets", made | because)


def _next_step(name: str, facts: dict[str, Any]) -> str:
    """The command that would let a renamed column in, if that is what is wrong."""
    renamed = [(p["column"], p["likely_alias"]["column"]) for p in facts.get("problems", []) if p.get("likely_alias")]
    commands = [f"`mainstay datasets alias {name} {column} {found} -m WHY`" for column, found in renamed]
    return f" To accept it: {', '.join(commands)}." if commands else ""


def _say_taken(snapshot: dict[str, Any]) -> None:
    known = " was there before: the very same content" if snapshot["is_known"] else ""
    amount = words.counted(snapshot["rows"], "file" if snapshot["kind"] == "files" else "row")
    printing.say(f"snapshot {snapshot['id']}{known}: {amount}, digest {snapshot['digest']}")
    for warning in snapshot["warnings"]:
        printing.say(f"  {words.one_line(warning['sentence'])}", "yellow")


def _show(dataset: dict[str, Any]) -> None:
    contract = dataset["contract"]
    printing.print_facts(
        [
            ("dataset", dataset["name"]),
            ("owner", dataset["owner"]),
            ("about", dataset["description"] or "not described"),
            ("made", words.when(dataset["created_at"])),
            _held(dataset),
            ("names", words.value(dataset["refs"])),
            ("contract", f"version {contract['version']}" if contract else _no_contract(dataset)),
            *_whole(contract),
            ("used by", words.listed(dataset["used_by"])),
        ]
    )
    printing.print_table(dataset["snapshots"], SNAPSHOTS, title="snapshots")
    printing.print_table(contract["columns"] if contract else [], CONTRACT, title="contract")
    printing.print_table(dataset["refusals"], REFUSALS, title="refused")


def _held(dataset: dict[str, Any]) -> tuple[str, str]:
    """What a dataset holds, and how much: the rows of all its snapshots, or the files of the newest."""
    if _is_of_files(dataset):
        return "files", _amount(dataset["snapshots"][0])
    return "rows", words.count(dataset["rows_total"])


def _amount(snapshot: dict[str, Any]) -> str:
    rows = snapshot["rows"]
    return words.counted(rows, "file") if snapshot["kind"] == "files" else words.count(rows)


def _no_contract(dataset: dict[str, Any]) -> str:
    return "none: files have no columns" if _is_of_files(dataset) else "none yet: the first snapshot makes it"


def _is_of_files(dataset: dict[str, Any]) -> bool:
    return bool(dataset["snapshots"]) and dataset["snapshots"][0]["kind"] == "files"


def _whole(contract: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What a contract asks of a batch as a whole."""
    if contract is None:
        return []
    low, high = words.count(contract["rows_low"]), words.count(contract["rows_high"])
    keys = [("keys", "; ".join(words.listed(key) for key in contract["keys"]))] if contract["keys"] else []
    return [("rows of a batch", f"{low} to {high}, else {contract['on_rows']}"), *keys]


def _show_snapshot(snapshot: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("snapshot", snapshot["id"]),
            ("files" if snapshot["kind"] == "files" else "rows", words.count(snapshot["rows"])),
            ("size", words.size(snapshot["size"])),
            ("period", words.period(snapshot["period"])),
            ("source", snapshot["source"] or "unknown"),
            ("taken", f"{words.when(snapshot['created_at'])} by {snapshot['actor']}"),
            *([("dropped", words.when(snapshot["dropped_at"]))] if snapshot["dropped_at"] else []),
            ("run", snapshot["run_id"] or "none"),
            ("made of", words.listed(snapshot["parents"])),
            (
                "contract",
                f"version {snapshot['contract_version']}"
                if snapshot["contract_version"]
                else f"none: {snapshot['kind']}",
            ),
            *_reference(snapshot["reference"]),
            ("used by", words.listed(snapshot["used_by"])),
            ("digest", snapshot["digest"]),
            *((f"warning {n}", warning["sentence"]) for n, warning in enumerate(snapshot["warnings"], 1)),
        ]
    )
    if snapshot["profile"]:
        counted, rows = snapshot["profile"]["rows"], snapshot["rows"]
        title = "profile" if counted == rows else f"profile of a sample: {words.count(counted)} of its rows"
        printing.print_table(snapshot["profile"]["columns"], PROFILE, title=title)
    else:
        printing.say(f"profile unknown: {snapshot['profile_unknown']}")


def _reference(reference: dict[str, Any] | None) -> list[tuple[str, str]]:
    if reference is None:
        return []
    pinned = "which keeps it" if reference["is_pinned"] else "which nothing keeps as it was"
    return [("stays at", f"{reference['uri']} ({reference['system']}, version {reference['version']}, {pinned})")]


def _show_users(found: dict[str, Any]) -> None:
    printing.print_table(found["items"], USERS)
    if not found["items"]:
        printing.say(f"nobody has used {found['snapshot']} yet")
    printing.say(f"live on {words.listed(found['deployments'])}")


def _show_preview(preview: dict[str, Any]) -> None:
    printing.say(f"current goes from {preview['before']} back to {preview['after']}; nothing is deleted")
    printing.say(f"passed over: {words.listed(preview['passed'])}")
    printing.print_table(preview["users"], USERS, title="their users, who keep them")
    printing.say(f"live on {words.listed(preview['deployments'])}, and stays so")


def _newest(snapshots: list[dict[str, Any]]) -> str:
    return words.ago(snapshots[0]["created_at"]) if snapshots else "none"


def _range(low: Any, high: Any) -> str:
    return "any" if low is None and high is None else f"{words.value(low)} to {words.value(high)}"


def _further(column: dict[str, Any]) -> str:
    said = [name for name in ("unique",) if column[name]]
    said += [f"{name} {column[name]}" for name in ("pattern", "freshness") if column[name]]
    said += [f"else {column['on_violation']}"] if column["on_violation"] else []
    return ", ".join(said)


def _some(categories: list[str] | None, most: int = 8) -> str:
    if categories is None:
        return "any"
    more = f" and {len(categories) - most} more" if len(categories) > most else ""
    return words.listed(categories[:most]) + more


def _number(found: Any) -> str:
    return "" if found is None else words.value(found)


def _top(found: list[dict[str, Any]] | None) -> str:
    return "" if not found else ", ".join(f"{each['value']} ({words.count(each['count'])})" for each in found[:4])
