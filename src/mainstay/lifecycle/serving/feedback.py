# SPDX-License-Identifier: Apache-2.0
"""Feedback: what turned out to be true of a prediction, told later, by its id.

Telling the same twice changes nothing; telling otherwise is a new revision, and the last one counts. An id that is not in
the log is refused: a label for nothing would silently make the coverage look better than it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain import ids
from mainstay.domain.errors import Invalid
from mainstay.lifecycle.serving import prediction_log, tables
from mainstay.store import Ingest

MOST_AT_ONCE = 100_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """One statement: prediction ``id`` turned out as ``label``, known since ``at`` (default: now)."""

    id: str
    label: float
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
    known = prediction_log.known(ingest, [one.id for one in sound])
    before = _said_before(ingest, sound)
    rows: list[dict[str, Any]] = []
    for one in sound:
        if one.id not in known:
            outcome.refused.append(
                {"id": one.id, "reason": f"there is no prediction {one.id} in the log; check the id."}
            )
            continue
        label, revision = before.get(one.id, (None, 0))
        if label == one.label:
            outcome.duplicate += 1
            continue
        if revision:
            outcome.revised += 1
        else:
            outcome.accepted += 1
        before[one.id] = (one.label, revision + 1)
        rows.append(_row(ingest, one, revision + 1, actor, source))
    tables.put_feedback(ingest, rows)
    return outcome


def _is_sound(one: Told, outcome: Outcome) -> bool:
    if not ids.is_id(one.id):
        outcome.refused.append({"id": one.id[:80], "reason": f"{one.id[:80]!r} is not a prediction id."})
        return False
    if not math.isfinite(one.label):
        outcome.refused.append({"id": one.id, "reason": "the label is not a finite number."})
        return False
    return True


def _said_before(ingest: Ingest, told: Sequence[Told]) -> dict[str, tuple[float | None, int]]:
    if not told:
        return {}
    identities = [one.id for one in told]
    rows = tables.feedback_between(ingest, min(identities), max(identities))
    return {row.prediction: (row.label, row.revision) for row in rows}


def _row(ingest: Ingest, one: Told, revision: int, actor: str, source: str) -> dict[str, Any]:
    return {
        "prediction": one.id,
        "revision": revision,
        "label": one.label,
        "at": one.at or ingest.now(),
        "received_at": ingest.now(),
        "actor": actor,
        "source": source,
    }
