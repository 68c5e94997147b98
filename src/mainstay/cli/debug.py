# SPDX-License-Identifier: Apache-2.0
"""``mainstay debug RUN STEP``: call a step of a run again, here, on the inputs that it had."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mainstay.cli import printing, references
from mainstay.cli.connection import connected
from mainstay.cli.run import output_for_people
from mainstay.domain.errors import Invalid, MainstayError

if TYPE_CHECKING:
    from mainstay.client.session import Session


@click.command()
@click.argument("run")
@click.argument("step")
@click.option("--pdb", "with_pdb", is_flag=True, help="Where it fails, open Python's debugger.")
@connected
def debug(session: Session, as_json: bool, run: str, step: str, with_pdb: bool) -> None:
    """Call a step of a run again, here, on the inputs it had.

    Nothing is recorded. STEP is its name as `mainstay runs show` prints it. Say it in the project's folder.
    """
    from mainstay.engine.calls import step_calls
    from mainstay.engine.repeating import resumption

    identity = references.run(session, run)
    try:
        with output_for_people(as_json):
            found = resumption.call_again(session, identity, step)
    except MainstayError:
        raise
    # The step is a guest, and seeing what it raises is the purpose.
    except Exception as error:
        if with_pdb:
            import pdb

            pdb.post_mortem(error.__traceback__)
        else:
            sys.excepthook(type(error), error, error.__traceback__)
        raise Invalid(f"step {step} failed again: {step_calls.sentence(error)}") from error
    told = {"run": identity, "step": step, "returned": repr(found)[:10_000], "type": type(found).__qualname__}
    printing.answer(
        told, as_json, lambda said: printing.say(f"{said['step']} returned a {said['type']}: {said['returned']}")
    )
