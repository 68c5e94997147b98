# SPDX-License-Identifier: Apache-2.0
"""Traces: told, got, searched, tagged, linked and deleted, in MLflow's versions 3 and 2. Spans come by OTLP."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.search import Comparison
from mainstay.domain.traces import Trace
from mainstay.lifecycle.tracking.traces import assessments, search, spans, stories
from mainstay.server.protocols.mlflow import artifacts, wire, wire_assessments, wire_trace_search
from mainstay.server.protocols.mlflow import wire_traces as words
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import Ingest, Store, View

calls = Calls()

MOST_RESULTS = 500
_SPANS_WITHIN_S = 3.0


class TraceIn(msgspec.Struct, kw_only=True):
    trace_info: words.InfoIn


class Tell(wire.Request):
    trace: TraceIn


class Begin(wire.Request):
    experiment_id: str = "0"
    timestamp_ms: int = 0
    request_metadata: list[words.Label] = msgspec.field(default_factory=list)
    tags: list[words.Label] = msgspec.field(default_factory=list)


class End(wire.Request):
    timestamp_ms: int = 0
    status: str | int = "STATE_UNSPECIFIED"
    request_metadata: list[words.Label] = msgspec.field(default_factory=list)
    tags: list[words.Label] = msgspec.field(default_factory=list)


class Get(wire.Request):
    trace_id: str
    allow_partial: bool = False


class GetMany(wire.Request):
    trace_ids: list[str]
    experiment_ids: list[str] | None = None


class GetManyByQuery(wire.Request):
    trace_ids: list[str] = msgspec.field(default_factory=list)
    experiment_ids: list[str] = msgspec.field(default_factory=list)


class Search(wire.Request):
    locations: list[words.Place]
    filter: str | None = None
    max_results: int = 100
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str | None = None


class SearchV2(wire.Request):
    experiment_ids: list[str]
    filter: str | None = None
    max_results: int = 100
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str | None = None


class Delete(wire.Request):
    experiment_id: str
    max_timestamp_millis: int | None = None
    max_traces: int | None = None
    request_ids: list[str] = msgspec.field(default_factory=list)


class SetTag(wire.Request):
    key: str
    value: str = ""


class DeleteTag(wire.Request):
    key: str


class LinkToRun(wire.Request):
    trace_ids: list[str]
    run_id: str


class PromptVersion(msgspec.Struct, kw_only=True):
    name: str = ""
    version: str = ""


class LinkPrompts(wire.Request):
    trace_id: str
    prompt_versions: list[PromptVersion]


class Correlate(wire.Request):
    experiment_ids: list[str]
    filter_string1: str
    filter_string2: str
    base_filter: str | None = None


@calls.ingest("POST", "traces", versions=("3.0",))
def tell(ingest: Ingest, body: Tell) -> Any:
    """Tell a trace as a whole; clients do so when its root has ended. Its spans may still be on their way, so the answer
    says already that they are kept here, or the client would put them into a file as well."""
    said = body.trace.trace_info
    trace = stories.tell(ingest, words.told(said))
    stories.link_prompts(ingest, trace.id, words.prompts(said.tags))
    for each in said.assessments:
        new = wire_assessments.given(trace.id, each, ingest.now())
        if not assessments.has(ingest, new.id):
            assessments.give(ingest, new, session=wire_assessments.session(new.metadata))
    given = assessments.of_traces(ingest, [trace.id])[trace.id]
    return {"trace": {"trace_info": words.info(trace, given, has_spans=True)}}


@calls.ingest("POST", "traces")
def begin_v2(ingest: Ingest, body: Begin) -> Any:
    """Begin a trace, as clients of version 2 do; it gets its id here."""
    tags, metadata = _labels(body.tags), _labels(body.request_metadata)
    new = Trace(
        id=uuid.uuid4().hex,
        experiment=words.experiment(body.experiment_id),
        state="in_progress",
        requested_at=wire.moment(body.timestamp_ms) or ingest.now(),
        **words.labelled(tags, metadata),
    )
    return {"trace_info": words.info_v2(stories.tell(ingest, new), has_spans=False)}


@calls.ingest("PATCH", "traces/{request_id}")
def end_v2(ingest: Ingest, request_id: str, body: End) -> Any:
    """End a trace, as clients of version 2 do."""
    before = stories.get(ingest, request_id)
    said = words.labelled(_labels(body.tags), _labels(body.request_metadata))
    after = replace(
        before,
        state=words.state(body.status),
        duration_ms=words.ended(before.requested_at, body.timestamp_ms),
        **{name: value for name, value in said.items() if value is not None},
    )
    told = stories.tell(ingest, after)
    return {"trace_info": words.info_v2(told, has_spans=bool(spans.among(ingest, [request_id])))}


@calls.raw("GET", "traces/get", permission="read", versions=("3.0",))
async def get(request: Request, store: Store, actor: Any) -> Response:
    """One trace with its spans. A client tells a trace and sends its spans at about the same time, so that spans which
    are still on their way are waited for a moment."""
    body = wire.convert(Get, dict(request.query_params))
    found = await run_in_threadpool(_whole, store, body.trace_id, body.allow_partial)
    return Response(wire.encode({"trace": found}), media_type="application/json")


@calls.get("traces/batchGet", versions=("3.0",))
def get_many(view: View, body: GetManyByQuery) -> Any:
    """Many traces with their spans; those that are not here, or not completely, are left out."""
    if not body.trace_ids:
        raise wire.missing("trace_ids")
    found = _within(stories.of_ids(view, body.trace_ids), body.experiment_ids)
    by_trace = spans.of_traces(view, [trace.id for trace in found])
    found = [trace for trace in found if words.is_complete(trace, by_trace[trace.id])]
    infos = _infos(view, found)
    traces = [
        {"trace_info": info, "spans": [words.span(span) for span in _rooted(by_trace[trace.id])]}
        for trace, info in zip(found, infos, strict=True)
    ]
    return {"traces": traces}


@calls.get("traces/batchGetInfos", method="POST", versions=("3.0",))
def get_many_infos(view: View, body: GetMany) -> Any:
    """Many traces without their spans."""
    found = stories.of_ids(view, body.trace_ids)
    found = found if body.experiment_ids is None else _within(found, body.experiment_ids, empty_is_none=True)
    return {"trace_infos": _infos(view, found)}


@calls.get("traces/search", method="POST", versions=("3.0",))
def search_traces(view: View, body: Search) -> Any:
    """Traces without their spans, by a filter and in an order, in pages."""
    numbers = [place.mlflow_experiment.experiment_id for place in body.locations if place.mlflow_experiment]
    found, token = _found(view, numbers, body)
    return {"traces": _infos(view, found)} | token


@calls.get("traces", versions=("2.0",))
def search_traces_v2(view: View, body: SearchV2) -> Any:
    """The same in version 2."""
    found, token = _found(view, body.experiment_ids, body)
    with_spans = spans.among(view, [trace.id for trace in found])
    return {"traces": [words.info_v2(trace, has_spans=trace.id in with_spans) for trace in found]} | token


@calls.get("traces/{request_id}/info")
def get_info_v2(view: View, request_id: str) -> Any:
    """One trace without its spans, in version 2."""
    trace = _got(view, request_id)
    return {"trace_info": words.info_v2(trace, has_spans=bool(spans.among(view, [request_id])))}


@calls.ingest("POST", "traces/delete-traces", versions=("2.0", "3.0"))
def delete(ingest: Ingest, body: Delete) -> Any:
    """Delete traces of an experiment, by their ids or up to a time."""
    number = words.experiment(body.experiment_id)
    if body.request_ids:
        if body.max_timestamp_millis is not None:
            raise Invalid("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
        if body.max_traces is not None:
            raise Invalid("`max_traces` can't be specified if `trace_ids` is specified.")
        return {"traces_deleted": stories.remove(ingest, number, body.request_ids)}
    if body.max_timestamp_millis is None:
        raise Invalid("Either `max_timestamp_millis` or `trace_ids` must be specified.")
    if body.max_traces is not None and body.max_traces <= 0:
        raise Invalid(f"`max_traces` must be a positive integer, received {body.max_traces}.")
    until = words.until(body.max_timestamp_millis)
    return {"traces_deleted": stories.remove_until(ingest, number, until, body.max_traces)}


@calls.ingest("POST", "traces/link-to-run", versions=("2.0", "3.0"))
def link_to_run(ingest: Ingest, body: LinkToRun) -> Any:
    """Let traces belong to a run as well."""
    stories.link_run(ingest, body.run_id, body.trace_ids)


@calls.ingest("POST", "traces/link-prompts", versions=("2.0", "3.0"))
def link_prompts(ingest: Ingest, body: LinkPrompts) -> Any:
    """Say which prompts a trace used."""
    stories.link_prompts(ingest, body.trace_id, [f"{each.name}/{each.version}" for each in body.prompt_versions])


@calls.get("traces/calculate-filter-correlation", method="POST", versions=("3.0",))
def correlate(view: View, body: Correlate) -> Any:
    """How much two filters hold for the same traces: normalised pointwise mutual information, -1 to 1."""
    numbers = [words.experiment(each) for each in body.experiment_ids]
    base, first, second = (
        wire_trace_search.filter(text) for text in (body.base_filter, body.filter_string1, body.filter_string2)
    )

    def count(*comparisons: Comparison) -> int:
        return search.count(view, experiments=numbers, filter=[*base, *comparisons])

    total, one, other, both = count(), count(*first), count(*second), count(*first, *second)
    told = {"filter1_count": one, "filter2_count": other, "joint_count": both, "total_count": total}
    if not one or not other:
        return told | {"npmi": "NaN", "npmi_smoothed": "NaN"}
    # Half a trace in each of the four cells (Jeffreys' prior), so that a few traces do not look like certainty.
    smoothed = 1.0 if both == total else _npmi(both + 0.5, one + 1, other + 1, total + 2)
    return told | {"npmi": _npmi(both, one, other, total), "npmi_smoothed": smoothed}


@calls.get("traces/{trace_id}", versions=("3.0",))
def get_info(view: View, trace_id: str) -> Any:
    """One trace without its spans."""
    return {"trace": {"trace_info": _infos(view, [_got(view, trace_id)])[0]}}


@calls.ingest("PATCH", "traces/{trace_id}/tags", versions=("2.0", "3.0"))
def set_tag(ingest: Ingest, trace_id: str, body: SetTag) -> Any:
    """Set a tag; the one that holds a trace's name renames it."""
    _check_tag(body.key, "set")
    if body.key == words.NAME:
        stories.rename(ingest, trace_id, body.value)
    else:
        stories.tag(ingest, trace_id, {body.key: body.value})


@calls.ingest("DELETE", "traces/{trace_id}/tags", versions=("2.0", "3.0"))
def delete_tag(ingest: Ingest, trace_id: str, body: DeleteTag) -> Any:
    """Take a tag away."""
    _check_tag(body.key, "deleted")
    if body.key == words.NAME:
        stories.rename(ingest, trace_id, None)
    else:
        stories.untag(ingest, trace_id, body.key)


@calls.raw("GET", "get-trace-artifact", permission="read", versions=("2.0", "3.0"))
async def get_file(request: Request, store: Store, actor: Any) -> Response:
    """A trace's spans as a file, as MLflow's page downloads them."""
    trace = request.query_params.get("request_id")
    if not trace:
        raise wire.missing("request_id")
    if path := request.query_params.get("path"):
        place = artifacts.Place(trace, artifacts.checked(f"attachments/{path}"), is_trace=True)
        return await run_in_threadpool(artifacts.sent, store, place)
    found = await run_in_threadpool(_in_file, store, trace)
    headers = {"Content-Disposition": f"attachment; filename={words.FILE}"}
    return Response(wire.encode(found), headers=headers, media_type="application/octet-stream")


def _whole(store: Store, trace: str, is_partial_enough: bool) -> dict[str, Any]:
    end = time.monotonic() + _SPANS_WITHIN_S
    while True:
        seen = store.commits
        with store.view() as view:
            found = _got(view, trace)
            there = spans.of(view, trace)
            if is_partial_enough or words.is_complete(found, there):
                return {"trace_info": _infos(view, [found])[0], "spans": [words.span(each) for each in _rooted(there)]}
        if (left := end - time.monotonic()) <= 0:
            raise NotFound(f"Trace with ID {trace[:80]} is not fully exported yet, please try again later.")
        store.wait_for_commit(seen, left)


def _in_file(store: Store, trace: str) -> dict[str, Any]:
    with store.view() as view:
        _got(view, trace)
        return {"spans": [words.span_in_file(each) for each in _rooted(spans.of(view, trace))]}


def _got(view: View, trace: str) -> Trace:
    try:
        return stories.get(view, trace)
    except NotFound as error:
        raise NotFound(f"Trace with ID '{trace[:80]}' not found.") from error


def _found(view: View, experiments: Iterable[str], body: Search | SearchV2) -> tuple[list[Trace], dict[str, str]]:
    if not 1 <= body.max_results <= MOST_RESULTS:
        raise wire.unusable("max_results", body.max_results, f"from 1 to {MOST_RESULTS} are possible")
    found = search.find(
        view,
        experiments=[words.experiment(each) for each in experiments],
        filter=wire_trace_search.filter(body.filter),
        order=wire_trace_search.order(body.order_by),
        after=wire_trace_search.behind(body.page_token),
        limit=body.max_results,
    )
    return found, {"next_page_token": wire_trace_search.token(found[-1].id)} if len(found) == body.max_results else {}


def _infos(view: View, found: Sequence[Trace]) -> list[dict[str, Any]]:
    identities = [trace.id for trace in found]
    said = assessments.of_traces(view, identities)
    with_spans = spans.among(view, identities)
    return [words.info(trace, said[trace.id], has_spans=trace.id in with_spans) for trace in found]


def _within(found: list[Trace], experiments: Sequence[str], *, empty_is_none: bool = False) -> list[Trace]:
    """Those of the experiments that a client restricts itself to, if it does."""
    if not experiments and not empty_is_none:
        return found
    numbers = {words.experiment(each) for each in experiments}
    return [trace for trace in found if trace.experiment in numbers]


def _rooted(there: Sequence[Any]) -> list[Any]:
    """Roots first, as MLflow's clients expect; the rest by time."""
    return sorted(there, key=lambda span: span.parent is not None)


def _labels(labels: Iterable[words.Label]) -> dict[str, str]:
    return {label.key: label.value for label in labels}


def _check_tag(key: str, what: str) -> None:
    if key in words.OURS:
        raise Invalid(f"Tag '{key}' is immutable and cannot be {what} on a trace.")


def _npmi(both: float, one: float, other: float, total: float) -> float:
    """G. Bouma, "Normalized (Pointwise) Mutual Information in Collocation Extraction", GSCL 2009."""
    if not both:
        return -1.0
    if both == total:
        return 1.0
    information = math.log(both * total / (one * other))
    return max(-1.0, min(1.0, information / math.log(total / both)))
