# SPDX-License-Identifier: Apache-2.0
"""``mainstay features``: feature views, what they are answered from, and whether serving agrees with training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, progress, references, words
from mainstay.cli.connection import connected, connected_to_work, has_server, reasoned
from mainstay.cli.printing import Cell, Column, Empty
from mainstay.domain.errors import Invalid

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No feature view yet. A feature view is one function whose rows are joined to labels in training and looked up in serving.",
    "mainstay run FILE.py:VIEW",
)
COLUMNS = (
    Column("view", lambda view: view["name"]),
    Column("version", lambda view: view["versions"][0]["id"]),
    Column("entity", lambda view: words.listed([each["name"] for each in view["versions"][0]["entity"]])),
    Column("features", lambda view: str(len(view["versions"][0]["columns"])), "number"),
    Column("known up to", lambda view: _known(view["versions"][0])),
    Column("entities", lambda view: _rows(view["versions"][0]), "number"),
    Column("code", lambda view: view["versions"][0]["entry"]),
)
VERSIONS = (
    Column("version", lambda version: version["id"]),
    Column("seen", lambda version: words.ago(version["created_at"])),
    Column("known up to", lambda version: _known(version)),
    Column("entities", lambda version: _rows(version), "number"),
    Column("rows kept", lambda version: words.count(version["kept_rows"]), "number"),
    Column("code", lambda version: version["entry"]),
    Column("digest", lambda version: printing.digest(version["digest"])),
)
FEATURES = (
    Column("feature", lambda column: column["name"]),
    Column("type", lambda column: column["type"]),
)
PARITY = (
    Column("feature", lambda column: column["name"]),
    Column("cells", lambda column: words.count(column["cells"]), "number"),
    Column("", lambda column: Cell("✓ the same", "green") if not column["different"] else Cell("✗ different", "red")),
    Column("different", lambda column: words.count(column["different"]), "number"),
    Column("such as", lambda column: _first(column), "prose"),
)
CELLS = (
    Column("feature", lambda cell: cell["feature"]),
    Column("entity", lambda cell: words.listed([f"{name} {value}" for name, value in cell["entity"].items()])),
    Column("asked", lambda cell: words.moment(cell["at"])),
    Column("served", lambda cell: words.value(cell["served"])),
    Column("in training", lambda cell: words.value(cell["rebuilt"])),
    Column("prediction", lambda cell: cell["id"] or words.UNKNOWN),
)


@click.group()
def features() -> None:
    """Feature views: one definition for training and serving."""


@features.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Every feature view, with what it is answered from."""
    printing.print_list(session.get("/features"), COLUMNS, EMPTY, as_json=as_json)


@features.command()
@click.argument("view")
@connected
def show(session: Session, as_json: bool, view: str) -> None:
    """One feature view with its versions."""
    printing.answer(session.get(references.path("features", view)), as_json, _show)


@features.command()
@click.argument("view")
@click.option("--as-of", metavar="TIME", help="The moment up to which its sources are known; default: now.")
@reasoned(required=False)
@connected_to_work
def materialise(session: Session, as_json: bool, because: dict[str, Any], view: str, as_of: str | None) -> None:
    """Run a view, by name or FILE.py:VIEW, so that it can be answered from.

    A view that is named by its file is run here, as `mainstay run` does; one that is named by its name by a worker.
    """
    if ":" in view:
        from mainstay.engine import execution, project

        pipeline = project.load(view)
        with progress.Steps() as steps:
            execution.execute(
                pipeline,
                session,
                params={"as_of": as_of},
                reason=because["reason"] or None,
                because=because.get("because"),
                notify=steps.tell if not as_json else None,
            )
        printing.answer(session.get(references.path("features", pipeline.name)), as_json, _show)
        return
    if not has_server(session):
        entry = session.get(references.path("features", view))["versions"][0]["entry"]
        raise Invalid(f"no worker is here to run view {view!r}; `mainstay features materialise {entry}` runs it here.")
    job = session.post(references.path("features", view, "materialise"), {"as_of": as_of} | because)
    printing.answer(job, as_json, lambda asked: printing.say(f"a worker runs it; `mainstay jobs show {asked['id']}`"))


@features.command()
@click.argument("view")
@click.argument("entity", nargs=-1, required=True, metavar="COLUMN=VALUE…")
@click.option("--version", type=int, help="Of which version; default: the newest.")
@connected
def lookup(session: Session, as_json: bool, view: str, entity: tuple[str, ...], version: int | None) -> None:
    """What is known of one entity now, how old it is and whether it counts."""
    parts = [each.partition("=") for each in entity]
    if wrong := [name for name, mark, _ in parts if not mark]:
        raise Invalid(f"{wrong[0]!r} names no value; write the entity as COLUMN=VALUE, such as customer=7.")
    body = {"entity": {name: value for name, _, value in parts}, "version": version}
    printing.answer(session.post(references.path("features", view, "lookup"), body), as_json, _show_row)


@features.command()
@click.argument("view", metavar="FILE.py:VIEW")
@click.option("--deployment", required=True, help="Whose logged predictions are asked again.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@connected_to_work
def replay(session: Session, as_json: bool, view: str, deployment: str, limit: int) -> int:
    """Ask logged predictions again by the training path, and compare each cell.

    Exit status 1 if any differs.
    """
    from mainstay.engine import execution, project
    from mainstay.engine.refreshes import Refresh
    from mainstay.engine.replays import Replay

    loaded = project.load(view)
    if not isinstance(loaded, Refresh):
        raise Invalid(f"{view!r} is a pipeline; name a feature view, a function marked @feature_view.")
    with progress.Steps() as steps:
        asked = Replay(loaded.view, deployment, limit, steps.tell if not as_json else None)
        execution.execute(asked, session, notify=steps.tell if not as_json else None)
    printing.answer(asked.report.to_json(), as_json, _show_report)
    return 1 if asked.report.different else 0


@features.command()
@click.argument("run")
@connected
def report(session: Session, as_json: bool, run: str) -> int:
    """What a replay found, with the cells that differ.

    RUN is the id of the replay's run. Exit status 1 if any cell differs.
    """
    files = session.get(references.path("runs", run))["artifacts"]
    found = next((each for each in files if each["path"] == "replay.json"), None)
    if found is None:
        raise Invalid(f"run {run} is no replay that came to its end; `mainstay features replay` makes one.")
    told = json.loads(session.get_blob(found["digest"]))
    printing.answer(told, as_json, _show_cells)
    return 1 if told["different"] else 0


def _show(view: dict[str, Any]) -> None:
    newest = view["versions"][0]
    definition = newest["definition"]
    printing.print_facts(
        [
            ("view", view["name"]),
            ("entity", words.listed([f"{each['name']} ({each['type']})" for each in newest["entity"]])),
            ("time", definition["time"]),
            ("available after", definition["available_after"]),
            ("time to live", definition["ttl"] or "for ever"),
            ("code", newest["entry"]),
        ]
    )
    printing.print_table(newest["columns"], FEATURES, title="features")
    printing.print_table(view["versions"], VERSIONS, title="versions")


def _show_row(found: dict[str, Any]) -> None:
    told = {
        "fresh": "it counts",
        "stale": "past its time to live: null, in serving as in training",
        "early": "not yet available: null, in serving as in training",
        "unknown": "there is no row of it: null",
    }
    facts = [("version", found["version"]), ("known up to", words.when(found["watermark"]))]
    for row in found["items"]:
        facts += [(name, words.value(value)) for name, value in row.items()]
        facts += [("age", words.seconds(found["age_s"])), ("counts until", _until(found["expires_at"]))]
    printing.print_facts([*facts, ("now", told[found["state"]])])


def _until(moment: str | None) -> str:
    return words.when(moment) if moment else "for ever"


def _show_report(report: dict[str, Any]) -> None:
    printing.print_table(report["columns"], PARITY)
    same = report["cells"] - report["different"]
    printing.say(
        f"{report['view']} on {report['deployment']}: {same:,} of {report['cells']:,} cells of {report['rows']:,} predictions "
        f"are the same; {words.counted(report['behind'], 'cell')} would be another had the table been made later."
    )


def _show_cells(report: dict[str, Any]) -> None:
    _show_report(report)
    cells = [cell | {"feature": column["name"]} for column in report["columns"] for cell in column["first"]]
    rows = [cell | report["predictions"][str(cell["row"])] for cell in cells]
    if rows:
        printing.print_table(rows, CELLS, title="cells that differ")


def _first(column: dict[str, Any]) -> str:
    return "; ".join(f"{words.value(cell['served'])} served, {words.value(cell['rebuilt'])} in training"
                     for cell in column["first"][:2])  # fmt: skip


def _known(version: dict[str, Any]) -> str:
    return words.when(version["online"]["watermark"]) if version["online"] else "not materialised"


def _rows(version: dict[str, Any]) -> str:
    return words.count(version["online"]["rows"]) if version["online"] else "none"
