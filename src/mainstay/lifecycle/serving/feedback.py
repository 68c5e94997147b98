# SPDX-License-Identifier: Apache-2.0
"""Feedback: what turned out to be true of a prediction, told later, by its id.

Telling the same twice changes nothing; telling otherwise is a new revision, and the last one counts. An id that is not in
the log is refused: a label for nothing would silently make the coverage look better than it is.

A label is a number. Of a classifier it may be told as the class itself: of two classes 1 is kept for the positive one and 0 for
the other, of several the place of the class, which is what the prediction's own value is.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain import ids
from mainstay.domain.errors import Invalid
from mainstay.formats.signature import Output
from mainstay.lifecycle.serving import prediction_log, tables
from mainstay.store import Ingest

MOST_AT_ONCE = 100_000


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One statement: prediction ``id`` turned out as ``label``, known since ``at`` (default: now)."""

    id: str
    label: float | str
    at: datetime | None = None


@dataclass(kw_only=True)
class Outcome:
    """What became of many statements."""

    accepted: int = 0
    revised: int = 0
    duplicate: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)


def give(ingest: Ingest, told: Sequence[Told], *, actor: str, source: str = "api") -> Outcome:
    """Take in statements; those that cannot be taken are listed with the reason, the others stand.

    Raises:
        Invalid: more than 100,000 at once.
    """
    if len(told) > MOST_AT_ONCE:
        raise Invalid(f"{len(told)} labels at once are too many; send at most {MOST_AT_ONCE} in a request.")
    outcome = Outcome()
    sound = [one for one in told if _is_sound(one, outcome)]
    before = _said_before(ingest, sound)
    part_by_prediction = prediction_log.known(ingest, [one.id for one in sound])
    rows: list[tuple[Any, ...]] = []
    now = ingest.now()
    for one, label in _of_the_log(ingest, sound, part_by_prediction, outcome):
        said, revision = before.get(one.id, (None, 0))
        if said == label:
            outcome.duplicate += 1
            continue
        if revision:
            outcome.revised += 1
        else:
            outcome.accepted += 1
        before[one.id] = (label, revision + 1)
        rows.append((one.id, revision + 1, label, one.at or now, now, actor, source))
    tables.put_feedback(ingest, rows, part_by_prediction)
    return outcome


def _of_the_log(
    ingest: Ingest, told: Sequence[Told], known: Container[str], outcome: Outcome
) -> Iterator[tuple[Told, float]]:
    """The statements about predictions that are known, each with its label as a number."""
    identities = [one.id for one in told]
    types = {"multiclass", "binary"} if any(isinstance(one.label, str) for one in told) else {"multiclass"}
    outputs = prediction_log.outputs(ingest, identities, types)
    for one in told:
        if one.id not in known:
            reason = f"there is no prediction {one.id} in the log; check the id."
            outcome.refused.append({"id": one.id, "reason": reason})
            continue
        try:
            yield one, _number(one.label, outputs.get(one.id))
        except Invalid as error:
            outcome.refused.append({"id": one.id, "reason": error.message})


def _number(label: float | str, output: Output | None) -> float:
    """Raises Invalid: a text, and no class of the model."""
    if output is None:
        if isinstance(label, str):
            raise Invalid(
                f"the label is the text {label[:40]!r}, and the model answers a number; a number is expected."
            )
        return label
    classes = list(output.classes or ())
    if output.type == "binary" and not isinstance(label, str):
        return label
    if label not in classes:
        shown = ", ".join(map(repr, classes))[:200]
        raise Invalid(f"the label is {str(label)[:40]!r}, which is none of the model's classes: {shown}.")
    return float(label == output.positive if output.type == "binary" else classes.index(label))


def _is_sound(one: Told, outcome: Outcome) -> bool:
    if not ids.is_id(one.id):
        outcome.refused.append({"id": one.id[:80], "reason": f"{one.id[:80]!r} is not a prediction id."})
        return False
    if not isinstance(one.label, str) and not math.isfinite(one.label):
        outcome.refused.append({"id": one.id, "reason": "the label is not a finite number."})
        return False
    return True


def _said_before(ingest: Ingest, told: Sequence[Told]) -> dict[str, tuple[float | None, int]]:
    if not told:
        return {}
    identities = [one.id for one in told]
    rows = tables.feedback_between(ingest, min(identities), max(identities))
    return {prediction: (label, revision) for prediction, label, revision in rows}
