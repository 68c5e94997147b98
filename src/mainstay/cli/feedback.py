# SPDX-License-Identifier: Apache-2.0
"""``mainstay feedback``: what turned out to be true of a prediction, or of many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected
from mainstay.domain.errors import Invalid

if TYPE_CHECKING:
    from mainstay.client.session import Session

LINES_AT_ONCE = 50_000
SHAPE = '{"id": "…", "label": 1}'
COUNTS = ("accepted", "revised", "duplicate")


@click.command()
@click.argument("prediction", required=False)
@click.argument("label", type=float, required=False)
@click.option("--at", help="When it became known; default: now.")
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"Many at once: a file of lines such as {SHAPE}.",
)
@connected
def feedback(
    session: Session, as_json: bool, prediction: str | None, label: float | None, at: str | None, source: Path | None
) -> int:
    """Tell what turned out to be true of a prediction.

    PREDICTION is its id, LABEL a number. The same twice changes nothing; another label is a revision, and the last counts.
    """
    if (source is None) == (prediction is None) or (prediction is not None and label is None):
        raise click.UsageError("give the id of a prediction and its label, or a file of them with --input.")
    if source is not None:
        told = _tell_many(session, source)
    else:
        told = session.post("/feedback", {"id": prediction, "label": label} | ({"at": at} if at else {}))
    printing.answer(told, as_json, _say)
    return 1 if told["refused"] else 0


def _tell_many(session: Session, source: Path) -> dict[str, Any]:
    lines = [line for line in source.read_bytes().splitlines() if line.strip()]
    if not lines:
        raise Invalid(f"{source.name} has no lines; {SHAPE} is expected, one a prediction.")
    total: dict[str, Any] = {name: 0 for name in COUNTS} | {"refused": []}
    for first in range(0, len(lines), LINES_AT_ONCE):
        content = b"\n".join(lines[first : first + LINES_AT_ONCE])
        told = session.post_bytes("/feedback", content, content_type="application/x-ndjson")
        total = {name: total[name] + told[name] for name in total}
    return total


def _say(told: dict[str, Any]) -> None:
    said = {"accepted": "taken in", "revised": "changed what was said before", "duplicate": "known already"}
    counts = [f"{words.counted(told[name], 'label')} {said[name]}" for name in COUNTS if told[name]]
    printing.say(words.listed(counts))
    for refused in told["refused"][:10]:
        printing.say(f"  refused: {words.one_line(refused['reason'])}", "red")
    if len(told["refused"]) > 10:
        printing.say(f"  and {len(told['refused']) - 10} more were refused", "red")
