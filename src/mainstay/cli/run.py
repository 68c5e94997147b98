# SPDX-License-Identifier: Apache-2.0
"""``mainstay run FILE.py:FUNCTION``: carry a pipeline out, recorded, and tell each step as it happens."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import parameters, printing, progress
from mainstay.cli.connection import connected_to_work, reasoned
from mainstay.domain.errors import MainstayError

if TYPE_CHECKING:
    from mainstay.client.session import Session
    from mainstay.engine.execution import Execution

ENTRY = "FILE.py:FUNCTION"
PASSES_ON = {"ignore_unknown_options": True}


@click.command(context_settings=PASSES_ON)
@click.argument("entry", metavar=ENTRY)
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
@click.option("-p", "--param", "named", multiple=True, metavar="NAME=VALUE", help="A parameter, however it is called.")
@click.option("--executor", metavar="NAME", help="Where steps run: inline, processes or ray.")
@click.option("--workers", type=click.IntRange(1), help="How many steps at once; by default one a processor.")
@click.option("--traceback", "with_traceback", is_flag=True, help="If a step fails, show where in its code.")
@reasoned(required=False)
@connected_to_work
def run(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    entry: str,
    rest: tuple[str, ...],
    named: tuple[str, ...],
    executor: str | None,
    workers: int | None,
    with_traceback: bool,
) -> None:
    """Run a pipeline and record it.

    Its parameters are options, such as --until 2013-02-01 --depth 8, and become values by its annotations.
    """
    from mainstay.engine import execution, executors, project

    given = parameters.read(rest, named)
    with stopped_by_sigterm(), output_for_people(as_json):
        pipeline = project.load(entry)
        params = project.parameters(pipeline, parameters.negated(given, list(pipeline.signature.parameters)))
        chosen = executors.make(executor or pipeline.executor, workers=workers)
        with shown(with_traceback), progress.Steps() as steps:
            done = execution.execute(
                pipeline,
                session,
                params=params,
                reason=because["reason"] or None,
                because=because.get("because"),
                notify=steps.tell,
                executor=chosen,
            )
    printing.answer(document(done), as_json, lambda told: printing.say(str(told["summary"])))


@contextlib.contextmanager
def shown(with_traceback: bool) -> Iterator[None]:
    """If asked for, where in its code a step failed, before its one sentence."""
    try:
        yield
    except MainstayError as error:
        if with_traceback and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        raise


def document(done: Execution) -> dict[str, Any]:
    """An execution as ``--json`` prints it."""
    return {
        "run_id": done.run_id,
        "pipeline": done.pipeline,
        "summary": done.summary(),
        "seconds": round(done.seconds, 3),
        "steps": [
            {
                "name": step.label,
                "state": step.state,
                "why": step.why,
                "sentence": step.sentence,
                "seconds": round(step.seconds, 3),
                "run_id": step.run_id,
            }
            for step in done.steps
        ],
        "snapshots": list(done.snapshots),
        "versions": list(done.versions),
        "new_versions": [name for name, was_known in done.versions.items() if not was_known],
        "warnings": list(done.warnings),
    }


@contextlib.contextmanager
def output_for_people(as_json: bool) -> Iterator[None]:
    """Where standard output is for a document, whatever the steps print goes to standard error."""
    if not as_json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """End by an exception, so that the run is recorded as interrupted and not left running for ever."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
