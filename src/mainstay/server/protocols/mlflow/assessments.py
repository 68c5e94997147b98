# SPDX-License-Identifier: Apache-2.0
"""Assessments of traces, in MLflow's words: feedback, expectations, and references to issues."""

from __future__ import annotations

from typing import Any

import msgspec

from mainstay.lifecycle.tracking.traces import assessments
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow import wire_assessments as words
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import Ingest, View

calls = Calls()

_PLACE = "traces/{trace_id}/assessments"


class Create(wire.Request):
    assessment: words.AssessmentIn


class Update(wire.Request):
    assessment: words.AssessmentIn
    update_mask: str | dict[str, list[str]] = msgspec.field(default="")


@calls.ingest("POST", _PLACE, versions=("3.0",))
def create(ingest: Ingest, trace_id: str, body: Create) -> Any:
    """Say something of a trace; the same request again finds what it said before."""
    new = words.given(trace_id, body.assessment, ingest.now())
    if not body.assessment.assessment_id and assessments.has(ingest, new.id):
        return {"assessment": words.assessment(assessments.get(ingest, trace_id, new.id))}
    return {"assessment": words.assessment(assessments.give(ingest, new, session=words.session(new.metadata)))}


@calls.get(_PLACE + "/{assessment_id}", versions=("3.0",))
def get(view: View, trace_id: str, assessment_id: str) -> Any:
    """One assessment."""
    return {"assessment": words.assessment(assessments.get(view, trace_id, assessment_id))}


@calls.ingest("PATCH", _PLACE + "/{assessment_id}", versions=("3.0",))
def update(ingest: Ingest, trace_id: str, assessment_id: str, body: Update) -> Any:
    """Say it otherwise, as far as the mask names it."""
    before = assessments.get(ingest, trace_id, assessment_id)
    changes = words.revised(body.assessment, words.mask(body.update_mask), before)
    session = words.session({**before.metadata, **changes.get("metadata", {})})
    after = assessments.change(ingest, trace_id, assessment_id, session=session, **changes)
    return {"assessment": words.assessment(after)}


@calls.ingest("DELETE", _PLACE + "/{assessment_id}", versions=("3.0",))
def delete(ingest: Ingest, trace_id: str, assessment_id: str) -> Any:
    """Take an assessment back; what it overrode is valid again."""
    assessments.remove(ingest, trace_id, assessment_id)
