# SPDX-License-Identifier: Apache-2.0
"""MLflow's words for traces and spans, in both of its versions.

Names that MLflow keeps among tags and metadata (a trace's name, its session, its run …) are columns here; they turn into
each other in this file, so that both sides see them where they expect them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mainstay.domain import strict_json
from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import MainstayError, Malformed
from mainstay.domain.traces import SPAN_STATES, Assessment, Span, Trace
from mainstay.server.protocols.mlflow import wire, wire_assessments
from mainstay.server.protocols.mlflow.wire_assessments import SESSION, AssessmentIn, there

NAME = "mlflow.traceName"
PROMPTS = "mlflow.linkedPrompts"
SPANS_PLACE = "mlflow.trace.spansLocation"
FILES_PLACE = "mlflow.artifactLocation"
#: Tags that say where a trace is kept: told by us, and by nobody else.
OURS = frozenset({SPANS_PLACE, FILES_PLACE, "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure"})

RUN = "mlflow.sourceRun"
PERSON = "mlflow.trace.user"
USAGE = "mlflow.trace.tokenUsage"
COST = "mlflow.trace.cost"
SIZES = "mlflow.trace.sizeStats"
INPUTS_V2, OUTPUTS_V2 = "mlflow.traceInputs", "mlflow.traceOutputs"

SPAN_INPUTS, SPAN_OUTPUTS, SPAN_KIND = "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.spanType"
SPAN_USAGE, SPAN_COST = "mlflow.chat.tokenUsage", "mlflow.llm.cost"
SPAN_TRACE = "mlflow.traceRequestId"
#: The file into which clients before 3.4 write a trace's spans.
FILE = "traces.json"

_STATE_BY_WORD = {"STATE_UNSPECIFIED": "unspecified", "OK": "ok", "ERROR": "error", "IN_PROGRESS": "in_progress"}
_WORD_BY_STATE = {state: word for word, state in _STATE_BY_WORD.items()}
# By number, as an enum of protocol buffers may be written too.
_WORDS = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
_SPAN_CODES = dict(zip(SPAN_STATES, ("STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"), strict=True))
_DURATION = re.compile(r"(-?\d{1,12})(?:\.(\d{1,9}))?s")


class ExperimentPlace(msgspec.Struct, kw_only=True):
    experiment_id: str = ""


class Place(msgspec.Struct, kw_only=True):
    """Where a trace is: only in an experiment, here."""

    mlflow_experiment: ExperimentPlace | None = None


class InfoIn(msgspec.Struct, kw_only=True):
    trace_id: str = ""
    client_request_id: str | None = None
    trace_location: Place | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    request_time: str | None = None
    execution_duration: str | None = None
    state: str | int = "STATE_UNSPECIFIED"
    trace_metadata: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    assessments: list[AssessmentIn] = msgspec.field(default_factory=list)


class Label(msgspec.Struct, kw_only=True):
    """A tag, or a piece of metadata, as version 2 writes it."""

    key: str = ""
    value: str = ""


# Traces


def told(info: InfoIn) -> Trace:
    """A trace as a client tells it.

    Raises:
        Invalid: it names no experiment, or has an unusable time, duration or state.
    """
    if not info.trace_id:
        raise wire.missing("trace.trace_info.trace_id")
    place = info.trace_location and info.trace_location.mlflow_experiment
    requested = from_wire(info.request_time or "", what="request_time")
    return Trace(
        id=info.trace_id,
        experiment=experiment(place.experiment_id if place else ""),
        state=state(info.state),
        requested_at=requested,
        duration_ms=_milliseconds(info.execution_duration),
        request_preview=info.request_preview,
        response_preview=info.response_preview,
        client_request_id=info.client_request_id or None,
        **labelled(info.tags, info.trace_metadata),
    )


def labelled(tags: Mapping[str, str], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Tags and metadata as a trace has them here: what is a column there stands by its name."""
    usage, cost = (_numbers(metadata.get(key)) for key in (USAGE, COST))
    read = {RUN, SESSION, PERSON} | ({USAGE} if usage else set()) | ({COST} if cost else set())
    return {
        "name": tags.get(NAME),
        "run": metadata.get(RUN),
        "session": metadata.get(SESSION),
        "person": metadata.get(PERSON),
        "usage": usage,
        "cost": cost,
        "tags": {key: value for key, value in tags.items() if key != NAME and key not in OURS},
        "metadata": {key: value for key, value in metadata.items() if key not in read},
    }


def state(word: str | int) -> str:
    """A state by MLflow's word for it, or by its number.

    Raises:
        Invalid: there is none.
    """
    found = _WORDS[word] if isinstance(word, int) and 0 <= word < len(_WORDS) else str(word)
    if found not in _STATE_BY_WORD:
        raise wire.unusable("state", word, f"{', '.join(_WORDS)} are known")
    return _STATE_BY_WORD[found]


def experiment(text: str) -> int:
    """The number of an experiment.

    Raises:
        Invalid: it is no number.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise wire.unusable("experiment_id", text, "the id of an experiment is a whole number")
    return int(text)


def tags_of(trace: Trace, *, has_spans: bool) -> dict[str, str]:
    """All tags of a trace, with those in which MLflow looks for a name and a place."""
    named = {} if trace.name is None else {NAME: trace.name}
    spans = {SPANS_PLACE: "TRACKING_STORE"} if has_spans else {}
    files = f"mlflow-artifacts:/{trace.experiment}/traces/{trace.id}/artifacts"
    return {**trace.tags, **named, **spans, FILES_PLACE: files}


def metadata_of(trace: Trace) -> dict[str, str]:
    """All metadata of a trace, with what is a column here."""
    told = {
        RUN: trace.run,
        SESSION: trace.session,
        PERSON: trace.person,
        USAGE: json.dumps(trace.usage) if trace.usage else None,
        COST: json.dumps(trace.cost) if trace.cost else None,
    }
    return {**trace.metadata, **{key: value for key, value in told.items() if value is not None}}


def info(trace: Trace, said: Sequence[Assessment], *, has_spans: bool) -> dict[str, Any]:
    """A trace without its spans, in version 3."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": str(trace.experiment)}}
    return there(
        {
            "trace_id": trace.id,
            "client_request_id": trace.client_request_id,
            "trace_location": place,
            "request_preview": trace.request_preview,
            "response_preview": trace.response_preview,
            "request_time": to_wire(trace.requested_at),
            "execution_duration": None if trace.duration_ms is None else _seconds(trace.duration_ms),
            "state": _WORD_BY_STATE[trace.state],
            "trace_metadata": metadata_of(trace),
            "tags": tags_of(trace, has_spans=has_spans),
            "assessments": [wire_assessments.assessment(each) for each in said],
        }
    )


def info_v2(trace: Trace, *, has_spans: bool) -> dict[str, Any]:
    """A trace without its spans, in version 2."""
    previews = {INPUTS_V2: trace.request_preview, OUTPUTS_V2: trace.response_preview}
    metadata = {key: value for key, value in previews.items() if value is not None} | metadata_of(trace)
    return there(
        {
            "request_id": trace.id,
            "experiment_id": str(trace.experiment),
            "timestamp_ms": wire.millis(trace.requested_at),
            "execution_time_ms": trace.duration_ms,
            "status": _WORD_BY_STATE[trace.state],
            "request_metadata": [{"key": key, "value": value} for key, value in metadata.items()],
            "tags": [{"key": k, "value": v} for k, v in tags_of(trace, has_spans=has_spans).items()],
        }
    )


def is_complete(trace: Trace, spans: Sequence[Span]) -> bool:
    """Whether as many spans are here as the client said that there are."""
    sizes = _parsed(trace.metadata.get(SIZES))
    expected = sizes.get("num_spans") if isinstance(sizes, dict) else None
    return bool(spans) and (not isinstance(expected, int) or len(spans) >= expected)


def prompts(tags: Mapping[str, str]) -> list[str]:
    """The prompts that a client names in a tag, as ``name/version``."""
    listed = _parsed(tags.get(PROMPTS))
    return [
        f"{each['name']}/{each['version']}"
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and {"name", "version"} <= each.keys()
    ]


# Spans


def span(found: Span) -> dict[str, Any]:
    """A span as OTLP's JSON of protocol buffers: ids as bytes, attributes typed."""
    return there(
        {
            "trace_id": _bytes(found.trace.removeprefix("tr-")),
            "span_id": _bytes(found.id),
            "parent_span_id": found.parent and _bytes(found.parent),
            "name": found.name,
            "start_time_unix_nano": found.started_ns,
            "end_time_unix_nano": found.ended_ns,
            "status": {"code": _SPAN_CODES[found.state], "message": found.message or ""},
            "attributes": _attributes(_complete(found)),
            "events": [
                {"name": each["name"], "time_unix_nano": each["at_ns"], "attributes": _attributes(each["attributes"])}
                for each in found.details.get("events", [])
            ],
            "links": [
                {
                    "trace_id": _bytes(each["trace"].removeprefix("tr-")),
                    "span_id": _bytes(each["span"]),
                    "attributes": _attributes(each["attributes"]),
                }
                for each in found.details.get("links", [])
            ],
        }
    )


def span_in_file(found: Span) -> dict[str, Any]:
    """A span as it stands in a downloaded trace: attributes are texts of JSON."""
    attributes = {SPAN_TRACE: found.trace, **_complete(found)}
    return {
        "trace_id": _bytes(found.trace.removeprefix("tr-")),
        "span_id": _bytes(found.id),
        "parent_span_id": _bytes(found.parent) if found.parent else "",
        "name": found.name,
        "start_time_unix_nano": found.started_ns,
        "end_time_unix_nano": found.ended_ns,
        "status": {"code": _SPAN_CODES[found.state], "message": found.message or ""},
        "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        "events": [
            {"name": each["name"], "time_unix_nano": each["at_ns"], "attributes": each["attributes"]}
            for each in found.details.get("events", [])
        ],
    }


def spans_in(trace: str, data: bytes) -> list[Span]:
    """The spans of a trace in a file that a client wrote, in either of its forms; none if it cannot be read."""
    try:
        listed = strict_json.loads(data)["spans"]
        return [_span_in_file(trace, each) for each in listed]
    except (MainstayError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _span_in_file(trace: str, said: dict[str, Any]) -> Span:
    old = "context" in said  # version 2
    identity, parent = (
        (said["context"]["span_id"], said["parent_id"]) if old else (said["span_id"], said["parent_span_id"])
    )
    status = {"code": said["status_code"], "message": said["status_message"]} if old else said["status"]
    ended = said["end_time"] if old else said["end_time_unix_nano"]
    attributes = {str(key): _read(value) for key, value in said["attributes"].items() if key != SPAN_TRACE}
    kind, usage = attributes.get(SPAN_KIND), attributes.get(SPAN_USAGE)
    state = str(status["code"]).removeprefix("STATUS_CODE_").lower()
    return Span(
        trace=trace,
        id=_digits(identity),
        parent=_digits(parent) if parent else None,
        name=str(said["name"]),
        kind=kind if isinstance(kind, str) else None,
        state=state if state in SPAN_STATES else "unset",
        message=str(status.get("message") or "") or None,
        started_ns=int(said["start_time"] if old else said["start_time_unix_nano"]),
        ended_ns=int(ended) if ended else None,
        inputs_in=SPAN_INPUTS if SPAN_INPUTS in attributes else None,
        outputs_in=SPAN_OUTPUTS if SPAN_OUTPUTS in attributes else None,
        usage=_numbers(json.dumps(usage)) if usage else None,
        details={
            "events": [
                {
                    "name": str(each["name"]),
                    "at_ns": int(each["timestamp"] if old else each["time_unix_nano"]),
                    "attributes": dict(each.get("attributes") or {}),
                }
                for each in said.get("events") or []
            ]
        },
        attributes=attributes,
    )


def _digits(identity: str) -> str:
    """A span's id as 16 hexadecimal digits; a file has it so, with 0x before it, or as base64.

    Raises:
        ValueError: it is none.
    """
    plain = identity.removeprefix("0x")
    if re.fullmatch(r"[0-9a-f]{16}", plain):
        return plain
    found = base64.b64decode(identity, validate=True)
    if len(found) != 8:
        raise ValueError(identity)
    return found.hex()


def _read(value: Any) -> Any:
    """An attribute, which a file has as a text of JSON."""
    try:
        return strict_json.loads(value) if isinstance(value, str) else value
    except Malformed:
        return value


def _complete(found: Span) -> dict[str, Any]:
    """A span's attributes, and where another convention was used, what MLflow reads beside them."""
    read = {
        SPAN_KIND: found.kind,
        SPAN_INPUTS: found.inputs,
        SPAN_OUTPUTS: found.outputs,
        SPAN_USAGE: found.usage,
        SPAN_COST: found.cost,
    }
    return {**{key: value for key, value in read.items() if value is not None}, **found.attributes}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _typed(value)} for key, value in values.items()]


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int):
        return {"int_value": value}
    if isinstance(value, float):
        return {"double_value": value}
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, list):
        return {"array_value": {"values": [_typed(each) for each in value]}}
    if isinstance(value, dict):
        return {"kvlist_value": {"values": _attributes(value)}}
    return {}


def _bytes(digits: str) -> str:
    """Hexadecimal digits as bytes in base64; an id of version 2 that is no such digits stands as the zero it was."""
    try:
        return base64.b64encode(bytes.fromhex(digits)).decode()
    except ValueError:
        return base64.b64encode(bytes(16)).decode()


def _milliseconds(duration: str | None) -> int | None:
    if duration is None:
        return None
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise wire.unusable("execution_duration", duration, "seconds such as '1.5s' are expected")
    whole = int(found[1]) * 1000
    part = int((found[2] or "0").ljust(9, "0")) // 1_000_000
    return whole - part if duration.startswith("-") else whole + part


def _seconds(milliseconds: int) -> str:
    sign = "-" if milliseconds < 0 else ""
    return f"{sign}{abs(milliseconds) // 1000}.{abs(milliseconds) % 1000:03d}s"


def _parsed(text: str | None) -> Any:
    try:
        return strict_json.loads(text or "null")
    except Malformed:
        return None


def _numbers(text: str | None) -> dict[str, float] | None:
    found = _parsed(text)
    if not isinstance(found, dict) or not found:
        return None
    numbers = [isinstance(each, int | float) and abs(each) < 1e300 for each in found.values()]
    return found if all(numbers) else None


def ended(began: datetime, ended_ms: int) -> int:
    """How many milliseconds lie between a trace's beginning and its end."""
    return ended_ms - (wire.millis(began) or 0)


def until(milliseconds: int) -> datetime:
    """The moment up to which traces are meant; for what no calendar has, its end."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=max(0, min(milliseconds, 253_000_000_000_000)))
