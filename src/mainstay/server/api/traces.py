# SPDX-License-Identifier: Apache-2.0
"""Traces and assessments, over HTTP. Spans come in by OTLP (``/v1/traces``), not here."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import msgspec

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Order
from mainstay.domain.traces import Assessment, Trace
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.traces import assessments, filters, search, spans, stories
from mainstay.server.routes import Body, Routes
from mainstay.store import Ingest, View

routes = Routes("tracking")


class AssessmentIn(Body):
    name: str
    kind: str = "feedback"
    value: Any = None
    span: str | None = None
    source_kind: str = "human"
    source: str = ""
    rationale: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    overrides: str | None = None


class TagsIn(Body):
    tags: dict[str, str]


class TraceBrief(msgspec.Struct, kw_only=True):
    id: str
    experiment: str
    name: str | None
    state: str
    requested_at: datetime
    duration_ms: int | None
    request_preview: str | None
    response_preview: str | None
    client_request_id: str | None
    run: str | None
    session: str | None
    person: str | None
    usage: dict[str, float] | None
    cost: dict[str, float] | None
    tags: dict[str, str]
    metadata: dict[str, str]
    assessments: list[Assessment]


class SpanOut(msgspec.Struct, kw_only=True):
    id: str
    parent: str | None
    depth: int
    name: str
    kind: str | None
    state: str
    message: str | None
    offset_ms: float  # from the beginning of the trace
    duration_ms: float | None
    inputs: Any
    outputs: Any
    usage: dict[str, float] | None
    cost: dict[str, float] | None
    attributes: dict[str, Any]
    events: list[Any]
    links: list[Any]


class TraceOut(TraceBrief, kw_only=True):
    links: dict[str, list[str]]
    spans: list[SpanOut]


class Traces(msgspec.Struct):
    items: list[TraceBrief]
    next: str | None


@routes.get("/traces", permission="read")
def list_traces(
    view: View, experiment: str = "", filter: str = "", order: str = "", after: str | None = None, limit: int = 100
) -> Traces:
    """Traces, newest first unless ``order`` says otherwise (``duration_ms desc``). ``filter``: comparisons joined by
    ``and``, such as ``state = 'error' and span.kind = 'LLM'``."""
    number = experiments.named(view, experiment).id if experiment else None
    found = search.find(
        view,
        experiments=None if number is None else [number],
        filter=filters.parse(filter),
        order=[_order(part) for part in order.split(",") if part.strip()],
        after=after,
        limit=limit,
    )
    names = experiments.names(view, {trace.experiment for trace in found})
    said = assessments.of_traces(view, [trace.id for trace in found])
    items = [TraceBrief(**_brief(trace, names[trace.experiment], said[trace.id])) for trace in found]
    return Traces(items=items, next=found[-1].id if len(found) == limit else None)


@routes.get("/traces/{trace_id}", permission="read")
def show_trace(view: View, trace_id: str) -> TraceOut:
    """One trace with its spans, each behind its parent with its depth and its place in time, as they are drawn."""
    trace = stories.get(view, trace_id)
    nodes = spans.tree(spans.of(view, trace_id))
    name = experiments.get(view, trace.experiment).name
    return TraceOut(
        **_brief(trace, name, assessments.of_traces(view, [trace_id])[trace_id]),
        links=stories.links(view, trace_id),
        spans=[_span(node) for node in nodes],
    )


@routes.ingest("/traces/{trace_id}/assessments", permission="write", status=201)
def assess(ingest: Ingest, trace_id: str, body: AssessmentIn) -> Assessment:
    """Say how a trace, or one of its spans, was (``feedback``), or what would have been right (``expectation``)."""
    now = ingest.now()
    new = Assessment(id=f"a-{uuid.uuid4().hex}", trace=trace_id, created_at=now, updated_at=now, **_fields(body))
    return assessments.give(ingest, new)


@routes.ingest("/traces/{trace_id}/tags", permission="write")
def tag_trace(ingest: Ingest, trace_id: str, body: TagsIn) -> dict[str, str]:
    """Set tags; one that is there already takes the new value. All tags of the trace."""
    stories.tag(ingest, trace_id, body.tags)
    return dict(stories.get(ingest, trace_id).tags)


def _fields(body: AssessmentIn) -> dict[str, Any]:
    return {field: getattr(body, field) for field in body.__struct_fields__}


def _order(text: str) -> Order:
    words = text.split()
    if len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
        raise Invalid(f"'order' is {text[:80]!r}; a word such as duration_ms, and asc or desc behind it, are expected.")
    return Order(*filters.name(words[0]), words[1:] != ["asc"])


def _brief(trace: Trace, experiment: str, said: list[Assessment]) -> dict[str, Any]:
    names = set(TraceBrief.__struct_fields__) - {"experiment", "assessments"}
    return {name: getattr(trace, name) for name in names} | {"experiment": experiment, "assessments": said}


def _span(node: spans.Node) -> SpanOut:
    span = node.span
    return SpanOut(
        id=span.id,
        parent=span.parent,
        depth=node.depth,
        name=span.name,
        kind=span.kind,
        state=span.state,
        message=span.message,
        offset_ms=node.offset_ms,
        duration_ms=node.duration_ms,
        inputs=span.inputs,
        outputs=span.outputs,
        usage=span.usage,
        cost=span.cost,
        attributes=dict(span.attributes),
        events=span.details.get("events", []),
        links=span.details.get("links", []),
    )
