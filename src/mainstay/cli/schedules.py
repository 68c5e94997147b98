# SPDX-License-Identifier: Apache-2.0
"""``mainstay schedules``: pipelines that run because it is time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Cell, Column, Empty
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.scheduling import CATCH_UP

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No schedule yet. A schedule runs a pipeline at its times, in a time zone, each time once.",
    'mainstay schedules add NAME FILE.py:FUNCTION --cron "0 3 * * *" --timezone Europe/Berlin',
)
COLUMNS = (
    Column("schedule", lambda schedule: schedule["name"]),
    Column("", lambda schedule: _state(schedule)),
    Column("due", lambda schedule: _timing(schedule)),
    Column("next", lambda schedule: _next(schedule)),
    Column("catch-up", lambda schedule: schedule["catch_up"]),
    Column("owner", lambda schedule: schedule["owner"]),
    Column("pipeline", lambda schedule: schedule["pipeline"]),
)
FIRINGS = (
    Column("logical time", lambda firing: words.moment(firing["logical_time"])),
    Column("job", lambda firing: printing.state(firing["state"])),
    Column("fired", lambda firing: words.ago(firing["fired_at"])),
    Column("run", lambda firing: firing["run_id"] or "none yet"),
    Column("error", lambda firing: firing["error"] or "", "prose"),
)


@click.group()
def schedules() -> None:
    """Pipelines that run because it is time."""


@schedules.command("list")
@connected
def list_(session: Session, as_json: bool) -> None:
    """Every schedule, with its next time."""
    printing.print_list(session.get("/schedules"), COLUMNS, EMPTY, as_json=as_json)


@schedules.command()
@click.argument("name")
@connected
def show(session: Session, as_json: bool, name: str) -> None:
    """One schedule, its next times, and what it fired last."""
    printing.answer(session.get(references.path("schedules", name)), as_json, _show_whole)


@schedules.command("next")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@connected
def next_(session: Session, as_json: bool, name: str, limit: int) -> None:
    """The next times of a schedule, also of one that is paused."""
    found = session.get(references.path("schedules", name, "next"), limit=limit)
    printing.answer(found, as_json, lambda told: _say_times(told["items"]))


@schedules.command()
@click.argument("name")
@click.argument("pipeline", metavar="FILE.py:FUNCTION")
@click.option("--cron", help='Five fields, such as "0 3 * * *".')
@click.option("--every", help="In place of --cron: an interval, such as 6h.")
@click.option("--timezone", default="UTC", show_default=True, help="Whose clocks cron is read by.")
@click.option("--catch-up", type=click.Choice(CATCH_UP), default="latest", show_default=True, help="If times went by.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="May contain {logical_time}, {date}, {since}, {until}.",
)
@click.option("--owner", help="Who answers for it; default: you.")
@reasoned(required=False)
@connected
def add(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    name: str,
    pipeline: str,
    cron: str | None,
    every: str | None,
    timezone: str,
    catch_up: str,
    params: tuple[str, ...],
    owner: str | None,
) -> None:
    """Say when a pipeline is to run; said again, the schedule is another."""
    body = {
        "name": name,
        "pipeline": pipeline,
        "cron": cron,
        "every": every,
        "timezone": timezone,
        "catch_up": catch_up,
        "params": parameters.read([], params),
        "owner": owner,
    }
    printing.answer(session.post("/schedules", body | because), as_json, _show)


@schedules.command()
@click.option(
    "--project", type=click.Path(path_type=Path, file_okay=False), default=".", help="Folder of mainstay.toml."
)
@reasoned(required=False)
@connected
def apply(session: Session, as_json: bool, because: dict[str, Any], project: Path) -> None:
    """Make the schedules of mainstay.toml so."""
    from mainstay.engine.code import roots

    root = roots.find_root(project)
    if root is None:
        raise NotFound(
            f"there is no {roots.FILE} in {project.resolve().name!r} or above it; name its folder with --project."
        )
    wanted = roots.read(root).get("schedule", {})
    if not isinstance(wanted, dict) or not all(isinstance(each, dict) for each in wanted.values()):
        raise Invalid(f"{roots.FILE} has 'schedule' that is no table of tables; write [schedule.NAME].")
    why = because if because["reason"] else because | {"reason": f"as declared in {roots.FILE}"}
    made = [session.post("/schedules", {"name": name} | body | why) for name, body in wanted.items()]
    printing.print_list({"items": made}, COLUMNS, EMPTY, as_json=as_json)


@schedules.command()
@click.argument("name")
@reasoned(required=False)
@connected
def pause(session: Session, as_json: bool, because: dict[str, Any], name: str) -> None:
    """Let a schedule run nothing until it is resumed."""
    printing.answer(session.post(references.path("schedules", name, "pause"), because), as_json, _show)


@schedules.command()
@click.argument("name")
@reasoned(required=False)
@connected
def resume(session: Session, as_json: bool, because: dict[str, Any], name: str) -> None:
    """Let a schedule go on from now; what came due meanwhile is not made up for."""
    printing.answer(session.post(references.path("schedules", name, "resume"), because), as_json, _show)


@schedules.command()
@click.argument("name")
@reasoned(required=False)
@connected
def remove(session: Session, as_json: bool, because: dict[str, Any], name: str) -> None:
    """Do away with a schedule; what it fired stays on record."""
    found = session.post(references.path("schedules", name, "remove"), because)
    printing.answer(found, as_json, lambda gone: printing.say(f"schedule {gone['name']} is removed"))


def _show_whole(found: dict[str, Any]) -> None:
    _show(found["schedule"])
    printing.print_title("next")
    _say_times(found["next"])
    printing.print_table(found["firings"], FIRINGS, title="fired")


def _say_times(moments: list[str]) -> None:
    for moment in moments:
        printing.say(words.when(moment))


def _show(schedule: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("schedule", schedule["name"]),
            ("state", _state(schedule)),
            ("due", _timing(schedule)),
            ("next", _next(schedule)),
            ("catch-up", schedule["catch_up"]),
            ("pipeline", schedule["pipeline"]),
            ("params", words.value(schedule["params"])),
            ("owner", schedule["owner"]),
            ("declared", f"{words.when(schedule['created_at'])} by {schedule['created_by']}"),
        ]
    )


def _state(schedule: dict[str, Any]) -> Cell:
    return printing.state(schedule["state"])


def _timing(schedule: dict[str, Any]) -> str:
    return f"{schedule['cron']} {schedule['timezone']}" if schedule["cron"] else f"every {schedule['every']}"


def _next(schedule: dict[str, Any]) -> str:
    if schedule["state"] == "paused":
        return "not while paused"
    return words.when(schedule["next_at"]) if schedule["next_at"] else "never again"
