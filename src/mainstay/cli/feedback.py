# SPDX-License-Identifier: Apache-2.0
"""``mainstay feedback``: what turned out to be true of a prediction, or of many."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, words
from mainstay.cli.connection import connected
from mainstay.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from mainstay.client.session import Session

LINES_AT_ONCE = 50_000
SHAPE = '{"id": "…", "label": 1}'
COUNTS = ("accepted", "revised", "duplicate")


@click.command()
@click.argument("prediction", required=False)
@click.argument("label", required=False)
@click.option("--at", help="When it became known; default: now.")
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"Many at once: a file of lines such as {SHAPE}.",
)
@connected
def feedback(
    session: Session, as_json: bool, prediction: str | None, label: str | None, at: str | None, source: Path | None
) -> int:
    """Tell what turned out to be true of a prediction.

    PREDICTION is its id, LABEL a number or a class. The same twice changes nothing; another label is a revision, and the last
    counts.
    """
    if (source is None) == (prediction is None) or (prediction is not None and label is None):
        raise click.UsageError("give the id of a prediction and its label, or a file of them with --input.")
    if source is not None:
        told = _tell_many(session, source)
    else:
        body = {"id": prediction, "label": _label(label or "")} | ({"at": at} if at else {})
        told = _tell(session, json.dumps(body).encode(), "application/json")
    printing.answer(told, as_json, _say)
    return 1 if told["refused"] else 0


def _label(text: str) -> float | str:
    """A number where it is one; any other text is a class."""
    try:
        found = float(text)
    except ValueError:
        return text
    return found if math.isfinite(found) else text


def _tell_many(session: Session, source: Path) -> dict[str, Any]:
    lines = [line for line in source.read_bytes().splitlines() if line.strip()]
    if not lines:
        raise Invalid(f"{source.name} has no lines; {SHAPE} is expected, one a prediction.")
    total: dict[str, Any] = {name: 0 for name in COUNTS} | {"refused": []}
    for first in range(0, len(lines), LINES_AT_ONCE):
        content = b"\n".join(lines[first : first + LINES_AT_ONCE])
        told = _tell(session, content, "application/x-ndjson")
        total = {name: total[name] + told[name] for name in total}
    return total


def _tell(session: Session, content: bytes, content_type: str) -> dict[str, Any]:
    """Through the gateway where there is one: it hands over first what only its own log has, such as this prediction."""
    from mainstay.client.wire import Wire

    if session.gateway_url is not None:
        gateway = Wire(session.gateway_url, session.wire.token, retry_s=0)
        try:
            told: dict[str, Any] = gateway.ask("POST", "/feedback", content=content, content_type=content_type).json()
            return told
        except Unavailable:
            pass  # the control plane takes it as well
        finally:
            gateway.close()
    told = session.post_bytes("/feedback", content, content_type=content_type)
    return told


def _say(told: dict[str, Any]) -> None:
    said = {"accepted": "taken in", "revised": "changed what was said before", "duplicate": "known already"}
    counts = [f"{words.counted(told[name], 'label')} {said[name]}" for name in COUNTS if told[name]]
    printing.say(words.listed(counts))
    for refused in told["refused"][:10]:
        printing.say(f"  refused: {words.one_line(refused['reason'])}", "red")
    if len(told["refused"]) > 10:
        printing.say(f"  and {len(told['refused']) - 10} more were refused", "red")
