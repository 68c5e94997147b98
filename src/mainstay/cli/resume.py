# SPDX-License-Identifier: Apache-2.0
"""``mainstay resume RUN``: carry on a pipeline's run where it stood, as the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mainstay.cli import printing, progress, references
from mainstay.cli.connection import connected_to_work
from mainstay.cli.run import document, output_for_people, shown, stopped_by_sigterm

if TYPE_CHECKING:
    from mainstay.client.session import Session


@click.command()
@click.argument("run")
@click.option("--edited", is_flag=True, help="Go on although the code has changed since.")
@click.option("--executor", metavar="NAME", help="Where steps run: inline, processes or ray; by default as before.")
@click.option("--workers", type=click.IntRange(1), help="How many steps at once; by default one a processor.")
@click.option("--traceback", "with_traceback", is_flag=True, help="If a step fails, show where in its code.")
@connected_to_work
def resume(
    session: Session,
    as_json: bool,
    run: str,
    edited: bool,
    executor: str | None,
    workers: int | None,
    with_traceback: bool,
) -> None:
    """Carry on a run that failed, was interrupted, or lost its process.

    It stays the same run, with the parameters it had; its finished steps are taken as they are. Say it in the project's folder.
    """
    from mainstay.engine.repeating import resumption

    identity = references.run(session, run)
    with stopped_by_sigterm(), output_for_people(as_json), shown(with_traceback), progress.Steps() as steps:
        done = resumption.carry_on(
            session,
            identity,
            executor=executor,
            workers=workers,
            allow_edited=edited,
            notify=steps.tell,
        )
    printing.answer(document(done), as_json, lambda told: printing.say(str(told["summary"])))
