# SPDX-License-Identifier: Apache-2.0
"""``mainstay runs``: what was carried out, with what, and what came of it; and what is still on its way here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay import settings
from mainstay.cli import comparing, printing, references, words
from mainstay.cli.connection import connected, connected_to_work
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No run yet. A run is one recorded execution: its parameters, metrics, code, environment and data.",
    "mainstay run FILE.py:FUNCTION",
)
COLUMNS = (
    Column("run", lambda run: run["id"]),
    Column("kind", lambda run: run["kind"]),
    Column("name", lambda run: run["name"]),
    Column("state", lambda run: printing.state(run["state"])),
    Column("started", lambda run: words.ago(run["started_at"])),
    Column("took", lambda run: words.seconds(run["seconds"]), "number"),
    Column("by", lambda run: run["actor"]),
    Column("metrics", lambda run: words.numbers(_own(run["metrics"])), "prose"),
)
SYNCED = (
    Column("run", lambda each: each["run"]),
    Column("delivered", lambda each: words.count(each["requests"] - each["refused"]), "number"),
    Column("refused", lambda each: words.count(each["refused"]), "number"),
    Column("left, for", lambda each: each["elsewhere"] or "", "prose"),
)
STEPS = (
    Column("step", lambda step: step["name"]),
    Column("state", lambda step: printing.state(step["state"])),
    Column("why", lambda step: step["why"]),
    Column("took", lambda step: words.seconds(step["seconds"]), "number"),
    Column("made", lambda step: _made(step), "prose"),
)
ENDS = (
    Column("", lambda end: end[0]),
    Column("kind", lambda end: end[1]["kind"]),
    Column("name", lambda end: end[1]["name"]),
    Column("which", lambda end: _which(end[1]["ref"])),
)


@click.group()
def runs() -> None:
    """Recorded executions of pipelines, steps and scripts."""


runs.add_command(comparing.compare)
runs.add_command(comparing.candidate)


@runs.command("list")
@click.option("--kind", type=click.Choice(["run", "pipeline", "step", "sweep"]), help="Only of this kind.")
@click.option("--experiment", help="Only of this experiment.")
@click.option("--state", help="Only in this state: running, succeeded, failed, cached.")
@click.option("--filter", "only", help='Such as "metrics.auc > 0.7 and params.depth = 6".')
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(
    session: Session,
    as_json: bool,
    kind: str | None,
    experiment: str | None,
    state: str | None,
    only: str | None,
    limit: int,
) -> None:
    """Runs, newest first."""
    found = session.get("/runs", kind=kind, experiment=experiment, state=state, filter=only, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@runs.command()
@click.argument("run")
@connected
def show(session: Session, as_json: bool, run: str) -> None:
    """One run, with all that is known of it.

    RUN is an id, or a name: the newest run of that name.
    """
    found = session.get(references.path("runs", references.run(session, run)))
    printing.answer(found, as_json, _show)
    if not as_json and found["kind"] in ("run", "sweep"):
        inside = session.get("/runs", parent=found["id"], limit=references.MOST)
        printing.print_table(inside["items"], COLUMNS, title="runs inside")


@runs.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--elsewhere", is_flag=True, help="Also what was meant for another address than this one.")
@connected_to_work
def sync(session: Session, as_json: bool, folder: Path | None, elsewhere: bool) -> None:
    """Deliver what was recorded offline, or by a script that died before it could.

    FOLDER holds it, or is a workspace that does; by default, this one. What is being recorded now is left alone, and what was
    delivered before is not delivered twice.
    """
    from mainstay.client import delivery

    root = delivery.root_of(folder or session.workspace or settings.workspace())
    found = [asdict(each) for each in delivery.sync(session, root, elsewhere=elsewhere)]
    if as_json:
        printing.print_json({"items": found})
    elif not found:
        printing.say("Nothing waits here: every run of a script has told all it had to say.")
    else:
        printing.print_table(found, SYNCED)


def _show(run: dict[str, Any]) -> None:
    code, environment = run["code"] or {}, run["environment"] or {}
    printing.print_facts(
        [
            ("run", run["id"]),
            ("name", f"{run['kind']} {run['name']}, of experiment {run['experiment']}"),
            ("state", printing.state(run["state"])),
            ("started", f"{words.when(run['started_at'])} by {run['actor']}"),
            ("took", words.seconds(run["seconds"])),
            ("reason", run["reason"] or "none given"),
            ("entry", words.value(code.get("entry"))),
            ("commit", words.value(code.get("commit"))),
            ("python", words.value(environment.get("python"))),
            *((f"param {name}", words.value(value)) for name, value in run["params"].items()),
            *((f"metric {name}", words.value(value)) for name, value in run["metrics"].items()),
            *((f"tag {name}", value) for name, value in run["tags"].items()),
            *([("error", printing.Cell(run["error"], "red"))] if run["error"] else []),
        ]
    )
    printing.print_table(run["steps"], STEPS, title="steps")
    ends = [("in", end) for end in run["inputs"]] + [("out", end) for end in run["outputs"]]
    printing.print_table(ends, ENDS, title="read and made")
    printing.print_table(run["artifacts"], ARTIFACTS, title="artifacts")


ARTIFACTS = (
    Column("path", lambda artifact: artifact["path"]),
    Column("size", lambda artifact: words.size(artifact["size"]), "number"),
    Column("type", lambda artifact: artifact["media_type"]),
    Column("digest", lambda artifact: printing.digest(artifact["digest"])),
)


def _made(step: dict[str, Any]) -> str:
    names = [each["name"] for each in step["outputs"]]
    return step["error"] or words.listed(names)


def _which(ref: str) -> printing.Cell | str:
    return printing.digest(ref) if len(ref) == 64 else ref


def _own(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without how the machine fared, which would hide what the run was about."""
    return {key: value for key, value in metrics.items() if not key.startswith("system/")}
