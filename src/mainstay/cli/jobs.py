# SPDX-License-Identifier: Apache-2.0
"""``mainstay jobs``: work for a worker: a pipeline to run or to plan, a release to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected, reasoned
from mainstay.cli.printing import Column, Empty

if TYPE_CHECKING:
    from mainstay.client.session import Session

EMPTY = Empty(
    "No job yet. A job is work for a worker: a pipeline that a trigger starts, a release to be judged.",
    "mainstay release MODEL@candidate --to DEPLOYMENT",
)
COLUMNS = (
    Column("job", lambda job: job["id"]),
    Column("kind", lambda job: job["kind"]),
    Column("about", lambda job: job["subject"] or ""),
    Column("state", lambda job: printing.state(job["state"])),
    Column("asked", lambda job: words.ago(job["created_at"])),
    Column("by", lambda job: job["created_by"]),
    Column("where it stands", lambda job: _standing(job), "prose"),
)


@click.group()
def jobs() -> None:
    """Work for workers: asked for, under way, done."""


@jobs.command("list")
@click.option("--state", type=click.Choice(["queued", "leased", "done", "failed"]), help="Only in this state.")
@click.option("--kind", help="Only of this kind, such as plan.")
@click.option("--about", metavar="SUBJECT", help="Only about this, such as pipeline:flights_late.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, state: str | None, kind: str | None, about: str | None, limit: int) -> None:
    """Jobs, newest first."""
    found = session.get("/jobs", state=state, kind=kind, subject=about, limit=limit)
    printing.print_list(found, COLUMNS, EMPTY, as_json=as_json)


@jobs.command()
@click.argument("job")
@connected
def show(session: Session, as_json: bool, job: str) -> None:
    """One job, by id."""
    printing.answer(session.get(references.path("jobs", job)), as_json, _show)


@jobs.command()
@click.argument("job")
@reasoned(required=False)
@connected
def cancel(session: Session, as_json: bool, because: dict[str, Any], job: str) -> None:
    """Call a job off: not begun if it waits, stopped if it is under way."""
    session.post(references.path("jobs", job, "cancel"), because)
    printing.answer(session.get(references.path("jobs", job)), as_json, _show)


def _show(job: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("job", job["id"]),
            ("kind", job["kind"]),
            ("state", printing.state(job["state"])),
            ("asked", f"{words.when(job['created_at'])} by {job['created_by']}"),
            ("tried", f"{words.counted(job['attempt'], 'time')}, last by {job['worker'] or 'nobody'}"),
            ("stands", _standing(job)),
            ("ended", words.when(job["finished_at"]) if job["finished_at"] else "not yet"),
            *((f"asked {name}", words.value(value)) for name, value in job["body"].items()),
            *((f"result {name}", words.value(value)) for name, value in (job["result"] or {}).items()),
            *([("error", printing.Cell(job["error"], "red"))] if job["error"] else []),
        ]
    )


def _standing(job: dict[str, Any]) -> str:
    """What it waits for, how far it is, or how it ended."""
    if job["state"] == "queued":
        return f"waits for a worker; {_waits_for(job)}"
    if job["state"] == "leased":
        since = f"taken by {job['worker']} {words.ago(job['leased_at'])}"
        return f"{since}, {_far(job['progress'])}" if job["progress"] else since
    return job["error"] or f"ended {words.ago(job['finished_at'])}"


def _waits_for(job: dict[str, Any]) -> str:
    ahead = f"{words.counted(job['ahead'], 'job')} before it" if job["ahead"] else ""
    busy = f"{' and '.join(job['busy'])} at work" if job["busy"] else "none is at work: `mainstay up` starts one"
    return ", ".join(filter(None, [ahead, busy]))


def _far(progress: dict[str, Any]) -> str:
    total = f" of {progress['total']}" if progress.get("total") is not None else ""
    now = f", {' and '.join(progress['now'])} under way" if progress.get("now") else ""
    return f"{progress.get('done', 0)}{total} steps done{now}"
