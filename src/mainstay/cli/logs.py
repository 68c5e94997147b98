# SPDX-License-Identifier: Apache-2.0
"""``mainstay logs RUN [STEP]``: what the steps of a run have written, and go on writing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected

if TYPE_CHECKING:
    from mainstay.client.session import Session

LOOKS_EVERY_S = 0.5
OPEN = ("running", "scheduled")


@click.command()
@click.argument("run")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the run has ended.")
@connected
def logs(session: Session, as_json: bool, run: str, step: str | None, follow: bool) -> None:
    """What the steps of a run have written: output, errors and logging.

    STEP is a step's name as `mainstay runs show` prints it; without it, all of them. With --json one line is one document.
    """
    identity, after, count = references.run(session, run), 0, 0
    while True:
        # Asked before the lines: those of a run that has ended by then are all there.
        is_over = session.get(references.path("runs", identity))["state"] not in OPEN
        while found := session.get(references.path("runs", identity, "lines"), step=step, after=after or None):
            for line in found["items"]:
                after, count = line["seq"], count + 1
                _print(line, as_json, with_step=step is None)
            if found["next"] is None:
                break
        if is_over or not follow:
            break
        time.sleep(LOOKS_EVERY_S)
    if not count and not as_json:
        printing.say("Nothing was written. What a step prints or logs while it runs is kept here, line by line.")


def _print(line: dict[str, Any], as_json: bool, *, with_step: bool) -> None:
    if as_json:
        printing.print_json(line)
        return
    lead = f"{line['step']}  " if with_step else ""
    click.echo(f"{lead}{'' if line['stream'] == 'out' else line['stream'] + '  '}{words.one_line(line['text'])}")
