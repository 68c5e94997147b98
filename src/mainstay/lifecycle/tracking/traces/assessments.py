# SPDX-License-Identifier: Apache-2.0
"""Assessments: what people, judges and code say of traces.

Nothing that was said is lost: one that overrides another makes that one invalid, and deleting it makes that one valid
again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.traces import ASSESSMENT_KINDS, Assessment
from mainstay.domain.tracking import LONGEST_KEY
from mainstay.lifecycle.tracking.traces import stories, tables
from mainstay.store import Ingest, View


def give(ingest: Ingest, new: Assessment, *, session: str | None = None) -> Assessment:
    """Keep an assessment of a trace; with ``session`` it stands for every trace of that session.

    Raises:
        NotFound: no such trace, or nothing that it could override. Conflict: its id is taken. Invalid: no such kind, or
        no name.
    """
    if new.kind not in ASSESSMENT_KINDS:
        raise Invalid(f"an assessment cannot be {new.kind!r}; the kinds are {', '.join(ASSESSMENT_KINDS)}.")
    if not new.name.strip() or len(new.name) > LONGEST_KEY:
        raise Invalid(f"an assessment cannot be called {new.name[:40]!r}; 1 to {LONGEST_KEY} characters are expected.")
    stories.get(ingest, new.trace)
    if tables.has_assessment(ingest, new.id):
        raise Conflict(f"there is an assessment {new.id[:80]!r} already; leave the id out, and a new one is made.")
    if new.overrides and not tables.set_validity(ingest, new.trace, new.overrides, False):
        raise _unknown(new.trace, new.overrides)
    tables.put_assessment(ingest, new, number=_number(new.value), session=session)
    return new


def get(view: View, trace: str, identity: str) -> Assessment:
    """One assessment.

    Raises:
        NotFound: there is no such trace, or it has none of that id.
    """
    found = tables.assessment(view, trace, identity)
    if found is None:
        stories.get(view, trace)
        raise _unknown(trace, identity)
    return found


def has(view: View, identity: str) -> bool:
    """Whether an id is taken."""
    return tables.has_assessment(view, identity)


def of_traces(view: View, traces: Sequence[str]) -> dict[str, list[Assessment]]:
    """The assessments of many traces, in the order in which they were given, valid or not."""
    return tables.assessments_of(view, traces)


def change(
    ingest: Ingest,
    trace: str,
    identity: str,
    *,
    name: str | None = None,
    rationale: str | None = None,
    metadata: Mapping[str, str] | None = None,
    session: str | None = None,
    **value: Any,
) -> Assessment:
    """Say it otherwise: another name, rationale, metadata (added to what is there), ``value`` and ``error``.

    Raises:
        NotFound: no such assessment.
    """
    before = get(ingest, trace, identity)
    after = replace(
        before,
        name=before.name if name is None else name,
        rationale=before.rationale if rationale is None else rationale,
        metadata={**before.metadata, **(metadata or {})},
        updated_at=ingest.now(),
        **value,
    )
    tables.put_assessment(ingest, after, number=_number(after.value), session=session)
    return after


def remove(ingest: Ingest, trace: str, identity: str) -> None:
    """Take an assessment back, if it is there; what it overrode is valid again.

    Raises:
        NotFound: there is no such trace.
    """
    stories.get(ingest, trace)
    there = tables.assessment(ingest, trace, identity)
    if there is None:
        return
    if there.overrides:
        tables.set_validity(ingest, trace, there.overrides, True)
    tables.remove_assessment(ingest, trace, identity)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e308 and math.isfinite(value) else None


def _unknown(trace: str, identity: str) -> NotFound:
    return NotFound(f"trace {trace} has no assessment {identity[:80]!r}; it may have been deleted.", trace=trace)
