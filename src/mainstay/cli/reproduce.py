# SPDX-License-Identifier: Apache-2.0
"""``mainstay reproduce VERSION|RUN``: the run once more from its record, without the cache; exit status 1 if it is different."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, words
from mainstay.cli.connection import connected_to_work
from mainstay.cli.printing import Cell, Column

if TYPE_CHECKING:
    from mainstay.client.session import Session
    from mainstay.engine.execution import Notice

_VERDICTS = {
    "identical": Cell("= identical", "green"),
    "equivalent": Cell("≈ equivalent", "yellow"),
    "different": Cell("≠ different", "red"),
}
STEPS = (
    Column("step", lambda step: step["name"]),
    Column("", lambda step: _VERDICTS[step["verdict"]]),
    Column("", lambda step: step["sentence"], "prose"),
)


@click.command()
@click.argument("subject")
@click.option("--env", is_flag=True, help="Rebuild the recorded environment first, with uv.")
@click.option(
    "--tolerance", type=click.FloatRange(min=0), default=1e-9, show_default=True, help="How far numbers may be apart."
)
@connected_to_work
def reproduce(session: Session, as_json: bool, subject: str, env: bool, tolerance: float) -> int:
    """Carry a run out again from its record and compare the results.

    SUBJECT is a version such as flights-late/3 or flights-late@champion, or a run. Sources, parameters, seeds and snapshots
    are those on record; nothing is taken from the cache, and nothing is written but the verdict.
    """
    from mainstay.engine.repeating import reproduction

    found = reproduction.reproduce(
        references.run_or_version(session, subject), env=env, tolerance=tolerance, session=session, notify=_tell
    )
    printing.answer(asdict(found), as_json, _show)
    return 1 if found.verdict == "different" else 0


def _tell(notice: Notice) -> None:
    took = f"  {words.seconds(notice.seconds)}" if notice.seconds is not None else ""
    printing.say(f"  {notice.label}{took}" if notice.what == "done" else f"  {notice.label}: {notice.text}", err=True)


def _show(found: dict[str, Any]) -> None:
    printing.print_table(found["steps"], STEPS)
    for note in found["notes"]:
        printing.say(f"▲ {note}", "yellow")
    printing.say(words.one_line(found["sentence"]), _VERDICTS[found["verdict"]].style)
