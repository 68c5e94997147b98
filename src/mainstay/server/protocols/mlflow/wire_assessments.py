# SPDX-License-Identifier: Apache-2.0
"""MLflow's words for assessments: feedback, expectations and references to issues, each with a value of its own form."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain import strict_json
from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.digests import canonical_json, sha256_hex
from mainstay.domain.errors import Invalid, Malformed
from mainstay.domain.traces import Assessment
from mainstay.server.protocols.mlflow import wire

SESSION = "mlflow.trace.session"


class Source(msgspec.Struct, kw_only=True):
    source_type: str | int = "SOURCE_TYPE_UNSPECIFIED"
    source_id: str = ""


class FeedbackIn(msgspec.Struct, kw_only=True):
    value: Any = None
    error: dict[str, Any] | None = None


class Serialized(msgspec.Struct, kw_only=True):
    serialization_format: str = ""
    value: str = "null"


class ExpectationIn(msgspec.Struct, kw_only=True):
    value: Any = None
    serialized_value: Serialized | None = None


class IssueIn(msgspec.Struct, kw_only=True):
    issue_name: str = ""


class AssessmentIn(msgspec.Struct, kw_only=True):
    assessment_id: str = ""
    assessment_name: str = ""
    trace_id: str = ""
    span_id: str = ""
    source: Source | None = None
    create_time: str | None = None
    last_update_time: str | None = None
    feedback: FeedbackIn | None = None
    expectation: ExpectationIn | None = None
    issue: IssueIn | None = None
    rationale: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    overrides: str = ""
    valid: bool | None = None


def given(trace: str, said: AssessmentIn, now: datetime) -> Assessment:
    """An assessment as a client gives it. Without an id it gets one of what it says, so that a repetition is the same.

    Raises:
        Invalid: it has no value, no name, or an unusable time.
    """
    if not said.assessment_name:
        raise wire.missing("assessment.assessment_name")
    kind, value, error = _value(said)
    created = from_wire(said.create_time, what="create_time") if said.create_time else now
    updated = from_wire(said.last_update_time, what="last_update_time") if said.last_update_time else created
    source = said.source or Source()
    return Assessment(
        id=said.assessment_id or _identity(trace, said),
        trace=trace,
        span=said.span_id or None,
        name=said.assessment_name,
        kind=kind,
        value=value,
        error=error,
        source_kind=str(source.source_type).lower(),
        source=source.source_id,
        rationale=said.rationale or None,
        metadata=said.metadata,
        overrides=said.overrides or None,
        is_valid=said.valid is not False,
        created_at=created,
        updated_at=updated,
    )


def revised(said: AssessmentIn, mask: Iterable[str], before: Assessment) -> dict[str, Any]:
    """What an update says otherwise, as far as its mask names it.

    Raises:
        Invalid: it gives another kind of value.
    """
    changes: dict[str, Any] = {}
    for path in mask:
        if path in ("feedback", "expectation"):
            kind, value, error = _value(said)
            if kind != before.kind or kind != path:
                raise Invalid(f"assessment {before.id} is {before.kind}, so it cannot get the value of a {path}.")
            changes |= {"value": value, "error": error}
        elif path == "assessment_name":
            changes["name"] = said.assessment_name
        elif path == "rationale":
            changes["rationale"] = said.rationale
        elif path == "metadata":
            changes["metadata"] = said.metadata
        elif path == "valid":
            changes["is_valid"] = said.valid is not False
    return changes


def mask(said: str | Mapping[str, Sequence[str]]) -> list[str]:
    """The fields that an update names: in one text with commas and in camel case, or as a list."""
    paths = said.split(",") if isinstance(said, str) else said.get("paths", [])
    return [re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", path) for path in paths if path]


def session(metadata: Mapping[str, str]) -> str | None:
    """The session that an assessment is of, if it is of a whole one."""
    return metadata.get(SESSION)


def assessment(found: Assessment) -> dict[str, Any]:
    """An assessment in MLflow's words."""
    source_type = found.source_kind.upper()
    return there(
        {
            "assessment_id": found.id,
            "assessment_name": found.name,
            "trace_id": found.trace,
            "span_id": found.span,
            "source": {"source_type": source_type, "source_id": found.source},
            "create_time": to_wire(found.created_at),
            "last_update_time": to_wire(found.updated_at),
            found.kind: _valued(found),
            "rationale": found.rationale,
            "metadata": dict(found.metadata) or None,
            "overrides": found.overrides,
            "valid": found.is_valid,
        }
    )


def _valued(found: Assessment) -> dict[str, Any]:
    if found.kind == "issue":
        return {"issue_name": found.value}
    if found.kind == "feedback":
        return {"value": found.value} | ({"error": found.error} if found.error else {})
    if isinstance(found.value, list | dict):
        return {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(found.value)}}
    return {"value": found.value}


def _value(said: AssessmentIn) -> tuple[str, Any, dict[str, Any] | None]:
    if said.feedback is not None:
        return "feedback", said.feedback.value, said.feedback.error
    if said.issue is not None:
        return "issue", said.issue.issue_name, None
    if said.expectation is None:
        raise wire.missing("assessment.value")
    serialized = said.expectation.serialized_value
    if serialized is None:
        return "expectation", said.expectation.value, None
    try:
        return "expectation", strict_json.loads(serialized.value, what="an expectation"), None
    except Malformed as error:
        raise Invalid(error.message) from error


def _identity(trace: str, said: AssessmentIn) -> str:
    if not said.create_time:
        return f"a-{uuid.uuid4().hex}"
    return f"a-{sha256_hex(trace.encode() + canonical_json(msgspec.to_builtins(said)))[:32]}"


def there(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {key: value for key, value in fields.items() if value is not None}
