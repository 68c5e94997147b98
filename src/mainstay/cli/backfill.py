# SPDX-License-Identifier: Apache-2.0
"""``mainstay backfill``: a pipeline once for each partition of a stretch of time, and ``mainstay backfills``.

A server's worker carries the runs out; where there is no server, this command does, in child processes of its own, and
is done when they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing, references, words
from mainstay.cli.connection import connected, connected_to_work, has_server, reasoned
from mainstay.cli.printing import Cell, Column, Empty
from mainstay.domain.errors import Invalid
from mainstay.domain.scheduling import FAILED, RUNNING, UNITS

if TYPE_CHECKING:
    from mainstay.client.session import Session

LOOKS_EVERY_S = 0.3
MOST_PARTITIONS = 1000
EMPTY = Empty(
    "No backfill yet. A backfill runs a pipeline once for each day, week, month or hour of a stretch of time.",
    "mainstay backfill FILE.py:FUNCTION --from 2013-01-01 --to 2013-03-01 --by month --param since",
)
COLUMNS = (
    Column("backfill", lambda each: each["backfill"]["id"]),
    Column("", lambda each: printing.state(each["backfill"]["state"])),
    Column("by", lambda each: each["backfill"]["by"]),
    Column("period", lambda each: words.period(each["backfill"])),
    Column("partitions", lambda each: _counts(each["counts"])),
    Column("asked", lambda each: words.ago(each["backfill"]["created_at"])),
    Column("pipeline", lambda each: each["backfill"]["pipeline"]),
)
PARTITIONS = (
    Column("partition", lambda each: each["partition"]),
    Column("", lambda each: printing.state(each["state"])),
    Column("run", lambda each: each["run_id"] or "none"),
    Column("", lambda each: each["sentence"], "prose"),
)
FORESEEN = (
    Column("partition", lambda each: each["partition"]),
    Column("", lambda each: Cell("✓ skipped", "green") if each["skips"] else Cell("▲ runs", "yellow")),
    Column("why", lambda each: each["why"], "prose"),
)


@click.command()
@click.argument("pipeline", metavar="FILE.py:FUNCTION")
@click.option("--from", "since", required=True, metavar="DATE", help="Where the first partition begins.")
@click.option("--to", "until", required=True, metavar="DATE", help="Where the last one ends.")
@click.option("--by", type=click.Choice(UNITS), default="day", show_default=True, help="What a partition is.")
@click.option("--timezone", default="UTC", show_default=True, help="Whose days, weeks and months.")
@click.option(
    "--param", "params", multiple=True, metavar="NAME[=VALUE]",
    help="NAME is given the partition; VALUE may contain {partition}, {since}, {until}.",
)  # fmt: skip
@click.option("--concurrency", type=click.IntRange(1, 100), default=2, show_default=True, help="Runs at a time.")
@click.option("--again", is_flag=True, help="Also partitions that are done already.")
@click.option("--dry-run", is_flag=True, help="Only say what would run, and why.")
@click.option("--no-wait", is_flag=True, help="Leave it to the server, and end at once.")
@reasoned(required=False)
@connected_to_work
def backfill(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    pipeline: str,
    since: str,
    until: str,
    by: str,
    timezone: str,
    params: tuple[str, ...],
    concurrency: int,
    again: bool,
    dry_run: bool,
    no_wait: bool,
) -> int:
    """Run a pipeline once for each partition of a stretch of time.

    A partition of which every step is a hit, or that succeeded with the same code before, is skipped. Ctrl-C ends the
    waiting; on a server the backfill goes on.
    """
    asked = {
        "pipeline": pipeline,
        "since": since,
        "until": until,
        "by": by,
        "timezone": timezone,
        "params": parameters.read([], [each if "=" in each else f"{each}={{partition}}" for each in params]),
        "concurrency": concurrency,
        "again": again,
    }
    if dry_run:
        document = {"items": list(_foreseen(session, asked))}
        printing.answer(document, as_json, lambda told: printing.print_table(told["items"], FORESEEN))
        return 0
    is_here = not has_server(session)
    if no_wait and is_here:
        raise Invalid("no server is here to leave the backfill to; `mainstay up` starts one, or leave out --no-wait.")
    found = session.post("/backfills", asked | because)
    if not no_wait:
        with _workers(session, concurrency if is_here else 0):
            found = _seen_through(session, found, quiet=as_json)
    printing.answer(found, as_json, lambda told: _say(session, told))
    return 1 if found["backfill"]["state"] == FAILED else 0


@click.group()
def backfills() -> None:
    """Pipelines run for stretches of time."""


@backfills.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@connected
def list_(session: Session, as_json: bool, limit: int) -> None:
    """Backfills, newest first."""
    printing.print_list(session.get("/backfills", limit=limit), COLUMNS, EMPTY, as_json=as_json)


@backfills.command()
@click.argument("backfill")
@connected
def show(session: Session, as_json: bool, backfill: str) -> None:
    """One backfill, by id, with its partitions."""
    printing.answer(session.get(references.path("backfills", backfill)), as_json, lambda told: _say(session, told))


@backfills.command()
@click.argument("backfill")
@reasoned(required=False)
@connected
def cancel(session: Session, as_json: bool, because: dict[str, Any], backfill: str) -> None:
    """Call a backfill off; what it has done stays."""
    found = session.post(references.path("backfills", backfill, "cancel"), because)
    printing.answer(found, as_json, lambda told: _say(session, told))


def _foreseen(session: Session, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each partition with whether its run is needless, as a worker would find."""
    from mainstay.engine import project
    from mainstay.engine.jobs import needless

    pipeline = project.load(asked["pipeline"])
    for each in session.post("/backfills/preview", asked)["items"]:
        texts = {name: value for name, value in each["params"].items() if isinstance(value, str)}
        params = project.parameters(pipeline, texts)
        known = None if asked["again"] else needless.find(pipeline, session, params, each["done_by"])
        why = known.sentence if known else pipeline.plan(session, **params).summary()
        yield each | {"skips": known is not None, "why": why}


def _seen_through(session: Session, found: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Tell each partition as it ends, until all have."""
    told: set[str] = set()
    path = references.path("backfills", found["backfill"]["id"])
    try:
        while True:
            found = session.get(path)
            if not quiet:
                _tell(session, found, told)
            if found["backfill"]["state"] != RUNNING:
                return found
            time.sleep(LOOKS_EVERY_S)
    except KeyboardInterrupt:
        identity = found["backfill"]["id"]
        click.echo(f"the backfill goes on; `mainstay backfills cancel {identity}` calls it off.", err=True)
        raise


def _tell(session: Session, found: dict[str, Any], told: set[str]) -> None:
    over = sum(number for state, number in found["counts"].items() if state not in ("waiting", "asked"))
    if over == len(told):
        return
    total = sum(found["counts"].values())
    for each in _partitions(session, found["backfill"]["id"]):
        if each["state"] not in ("waiting", "asked") and each["partition"] not in told:
            told.add(each["partition"])
            printing.say(
                f"  {len(told)}/{total}  {each['partition']}  {each['state']}  {words.one_line(each['sentence'])}"
            )


def _partitions(session: Session, identity: str) -> Iterator[dict[str, Any]]:
    after: str | None = ""
    while after is not None:
        found = session.get(references.path("backfills", identity, "partitions"), after=after, limit=MOST_PARTITIONS)
        yield from found["items"]
        after = found["next"]


@contextmanager
def _workers(session: Session, number: int) -> Iterator[None]:
    """So many workers in this process while the block lasts; each run has a child process of its own."""
    from mainstay.engine import worker

    environment = {"MAINSTAY_WORKSPACE": str(session.workspace)} if session.workspace else {}
    stopping = threading.Event()
    threads = []
    for place in range(number):
        mine = worker.Worker(
            platform=session,
            folder=Path.cwd(),
            name=f"backfill-{place + 1}",
            environment=environment,
            wait_s=0.0,
            poll_s=LOOKS_EVERY_S,
            stopping=stopping,
        )
        threads.append(threading.Thread(target=worker.work, args=(mine,), daemon=True))
        threads[-1].start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _say(session: Session, found: dict[str, Any]) -> None:
    backfill = found["backfill"]
    printing.print_facts(
        [
            ("backfill", backfill["id"]),
            ("pipeline", backfill["pipeline"]),
            ("state", printing.state(backfill["state"])),
            ("period", f"{words.period(backfill)} by {backfill['by']}, {backfill['timezone']}"),
            ("params", words.value(backfill["params"])),
            ("partitions", _counts(found["counts"])),
            ("asked", f"{words.when(backfill['created_at'])} by {backfill['created_by']}"),
        ]
    )
    printing.print_table(_partitions(session, backfill["id"]), PARTITIONS, title="partitions")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in counts.items()) or "none"
