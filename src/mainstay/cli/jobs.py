# SPDX-License-Identifier: Apache-2.0
"""``mainstay jobs``: work that the server wants done by a worker: a pipeline to run, a release to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected
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
    Column("state", lambda job: printing.state(job["state"])),
    Column("asked", lambda job: words.ago(job["created_at"])),
    Column("by", lambda job: job["created_by"]),
    Column("try", lambda job: str(job["attempt"]), "number"),
    Column("worker", lambda job: job["worker"] or "none"),
    Column("error", lambda job: job["error"] or "", "prose"),
)


@click.group()
def jobs() -> None:
    """Work for workers: asked for, under way, done."""


@jobs.command("list")
@click.option("--state", type=click.Choice(["queued", "leased", "done", "failed"]), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, state: str | None, limit: int) -> None:
    """Jobs, newest first."""
    printing.print_list(session.get("/jobs", state=state, limit=limit), COLUMNS, EMPTY, as_json=as_json)


@jobs.command()
@click.argument("job")
@connected
def show(session: Session, as_json: bool, job: str) -> None:
    """One job, by id."""
    printing.answer(session.get(references.path("jobs", job)), as_json, _show)


def _show(job: dict[str, Any]) -> None:
    printing.print_facts(
        [
            ("job", job["id"]),
            ("kind", job["kind"]),
            ("state", printing.state(job["state"])),
            ("asked", f"{words.when(job['created_at'])} by {job['created_by']}"),
            ("tried", f"{words.counted(job['attempt'], 'time')}, last by {job['worker'] or 'nobody'}"),
            ("ended", words.when(job["finished_at"]) if job["finished_at"] else "not yet"),
            *((f"asked {name}", words.value(value)) for name, value in job["body"].items()),
            *((f"result {name}", words.value(value)) for name, value in (job["result"] or {}).items()),
            *([("error", printing.Cell(job["error"], "red"))] if job["error"] else []),
        ]
    )
