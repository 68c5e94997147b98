# SPDX-License-Identifier: Apache-2.0
"""Spans: what a request did, as it is exported while it happens. The hot path.

Spans come late, twice, out of order, and children before their root. So nothing is added up as it comes: a span is
kept under its id, one with an end is never replaced by one without, and what a trace is (from when to when, how it
ended, what it used) is drawn each time from all the spans that are there. What somebody told of the trace as a whole
(`stories.tell`) has precedence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mainstay.domain.errors import TooLarge
from mainstay.domain.traces import LONGEST_PREVIEW, MOST_SPANS, Clues, Span, Trace, check_id
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.traces import tables
from mainstay.store import Ingest, View

Tally = dict[str, float] | None
Tallied = tuple[str, str | None, Tally, Tally]  # id, parent, usage, cost


class Node(NamedTuple):
    """A span in its tree: how deep it stands, and where on the trace's time it lies."""

    span: Span
    depth: int
    offset_ms: float
    duration_ms: float | None


def put(ingest: Ingest, experiment: int, new: Sequence[Span]) -> set[str]:
    """Keep spans, of one trace or of many; a trace that is new begins in ``experiment``. The ids of their traces.

    Raises:
        NotFound: no such experiment. Invalid: an unusable trace id, or the experiment is put away. TooLarge: more spans
            than one request may bring.
    """
    if len(new) > MOST_SPANS:
        raise TooLarge(
            f"the request brings {len(new)} spans; at most {MOST_SPANS} come in one. Send the rest in the next."
        )
    by_trace: dict[str, dict[str, Span]] = {}
    for span in new:
        same = by_trace.setdefault(check_id(span.trace), {})
        if span.ended_ns is not None or span.id not in same:
            same[span.id] = span
    before = tables.traces_by_id(ingest, list(by_trace), with_labels=False)
    if len(before) < len(by_trace):
        experiments.get_active(ingest, experiment)
    kept = _kept(ingest, before, [span for batch in by_trace.values() for span in batch.values()])
    _draw(ingest, before, experiment, kept)
    return set(by_trace)


def of(view: View, trace: str) -> list[Span]:
    """The spans of a trace, in the order of their beginning."""
    return of_traces(view, [trace])[trace]


def of_traces(view: View, traces: Sequence[str]) -> dict[str, list[Span]]:
    """The spans of many traces, in two queries."""
    return tables.spans_of(view, traces)


def among(view: View, traces: Sequence[str]) -> set[str]:
    """Those of ``traces`` that have spans here."""
    return tables.with_spans(view, traces)


def tree(spans: Sequence[Span]) -> list[Node]:
    """The spans as they are drawn: each behind its parent, siblings by time. One whose parent did not come stands at
    the top."""
    there = {span.id for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started_ns, span.id)):
        children.setdefault(span.parent if span.parent in there else None, []).append(span)
    begun = min((span.started_ns for span in spans), default=0)
    return list(_walk(children, begun))


def _walk(children: Mapping[str | None, list[Span]], begun: int) -> Iterator[Node]:
    # A stack, not recursion: how deep a trace goes is up to whoever sends it. Spans that are each other's parents
    # are reached from nowhere, so that they cannot make it endless.
    stack = [(span, 0) for span in reversed(children.get(None, []))]
    while stack:
        span, depth = stack.pop()
        took = None if span.ended_ns is None else (span.ended_ns - span.started_ns) / 1e6
        yield Node(span, depth, (span.started_ns - begun) / 1e6, took)
        stack.extend((child, depth + 1) for child in reversed(children.get(span.id, [])))


def total(tallies: Sequence[tuple[str, str | None, Tally]]) -> Tally:
    """The sum over (id, parent, tally) of a tree, or None. Where a parent has a tally, it stands for all below it.

    >>> total([("a", None, None), ("b", "a", {"in": 3}), ("c", "b", {"in": 2}), ("d", "a", {"in": 1, "out": 4})])
    {'in': 4, 'out': 4}
    """
    parent_of = {identity: parent for identity, parent, _ in tallies}
    counted = {identity for identity, _, tally in tallies if tally}
    is_below: dict[str | None, bool] = {None: False}
    summed: dict[str, float] = {}
    for _, parent, tally in tallies:
        if tally and not _is_counted_above(parent, parent_of, counted, is_below):
            for key, value in tally.items():
                summed[key] = summed.get(key, 0) + value
    return summed or None


def _is_counted_above(
    span: str | None, parent_of: Mapping[str, str | None], counted: set[str], known: dict[str | None, bool]
) -> bool:
    """Whether ``span``, or one above it, has a tally. ``known`` remembers, so that a tree is walked once."""
    way = []
    while span is not None and span not in known:
        known[span] = span in counted  # said before going up: spans that are each other's parents end here
        way.append(span)
        if known[span]:
            break
        span = parent_of.get(span)
    answer = known[span]
    known.update(dict.fromkeys(way, answer))
    return answer


def _kept(ingest: Ingest, before: Mapping[str, Trace], new: Sequence[Span]) -> dict[str, list[Span]]:
    """Keep spans, except open ones that are here with an end; those that were kept, by trace."""
    again = [span for span in new if span.trace in before]
    there = tables.known_spans(ingest, before, {span.id for span in again}) if again else {}
    fresh = [span for span in new if span.ended_ns is not None or not there.get((span.trace, span.id))]
    for span in fresh:
        if (span.trace, span.id) in there:
            tables.remove_span(ingest, span.trace, span.id)
    tables.add_spans(ingest, fresh)
    kept: dict[str, list[Span]] = {}
    for span in fresh:
        kept.setdefault(span.trace, []).append(span)
    return kept


def _draw(ingest: Ingest, before: Mapping[str, Trace], experiment: int, kept: Mapping[str, list[Span]]) -> None:
    """Bring traces to what their spans say by now. Of a trace that is new, all its spans are those just kept."""
    known = [trace for trace in kept if trace in before]
    extents = tables.extents(ingest, known) if known else {}
    roots = tables.roots(ingest, known) if known else {}
    after: list[Trace] = []
    for identity, batch in kept.items():
        trace = before.get(identity)
        if trace is None:
            begun = Trace(id=identity, experiment=experiment, state="in_progress", requested_at=_moment(0))
            after.append(_drawn(begun, batch, _extent(batch), _root(batch), _tallies(batch)))
        else:
            tallies = tables.tallies(ingest, identity) if _tallies(batch) else []
            after.append(_drawn(trace, batch, extents[identity], roots.get(identity), tallies))
    changed = [trace for trace in after if trace != before.get(trace.id)]
    tables.put_traces(ingest, changed, known=[trace.id for trace in changed if trace.id in before])
    tags = {trace: {k: v for span in batch for k, v in span.clues.tags.items()} for trace, batch in kept.items()}
    tables.put_labels(ingest, tables.trace_tags, {trace: each for trace, each in tags.items() if each})


def _drawn(
    trace: Trace, batch: Sequence[Span], extent: tables.Extent, root: Span | None, tallies: Sequence[Tallied]
) -> Trace:
    """``trace`` with what its spans say, as far as nobody has told it otherwise."""
    if not trace.is_told:
        began, ended = extent.started_ns // 1_000_000, extent.ended_ns and extent.ended_ns // 1_000_000
        took = None if ended is None else max(0, ended - began)
        trace = replace(trace, requested_at=_moment(extent.started_ns), duration_ms=took)
    if root is not None:
        trace = _with_root(trace, root)
    clues = _clues(batch)
    trace = replace(trace, session=trace.session or clues.session, person=trace.person or clues.person)
    return _with_sums(trace, tallies) if tallies else trace


def _extent(batch: Sequence[Span]) -> tables.Extent:
    ends = [span.ended_ns for span in batch if span.ended_ns is not None]
    return tables.Extent(min(span.started_ns for span in batch), max(ends, default=None))


def _root(batch: Sequence[Span]) -> Span | None:
    return min((s for s in batch if s.parent is None), key=lambda span: (span.started_ns, span.id), default=None)


def _tallies(batch: Sequence[Span]) -> list[Tallied]:
    """What each span used; nothing if none of them used anything."""
    used = any(span.usage or span.cost for span in batch)
    return [(span.id, span.parent, span.usage, span.cost) for span in batch] if used else []


def _with_sums(trace: Trace, tallies: Sequence[Tallied]) -> Trace:
    usage = total([(identity, parent, usage) for identity, parent, usage, _ in tallies])
    cost = total([(identity, parent, cost) for identity, parent, _, cost in tallies])
    if not trace.is_told:
        return replace(trace, usage=usage, cost=cost)
    return replace(trace, usage=trace.usage or usage, cost=trace.cost or cost)


def _with_root(trace: Trace, root: Span) -> Trace:
    state = trace.state
    if root.ended_ns is not None and state in ("in_progress", "unspecified"):
        state = "error" if root.state == "error" else "ok"
    return replace(
        trace,
        state=state,
        name=trace.name or root.name,
        request_preview=trace.request_preview if trace.request_preview is not None else preview(root.inputs),
        response_preview=trace.response_preview if trace.response_preview is not None else preview(root.outputs),
    )


def preview(value: Any) -> str | None:
    """The beginning of what went in or came out, as text."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_PREVIEW else text[: LONGEST_PREVIEW - 1] + "…"


def _clues(batch: Sequence[Span]) -> Clues:
    said = [span.clues for span in batch]
    return Clues(
        session=next((clues.session for clues in said if clues.session), None),
        person=next((clues.person for clues in said if clues.person), None),
    )


def _moment(nanoseconds: int) -> datetime:
    # Milliseconds, as every exporter and every reader of traces has them.
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=nanoseconds // 1_000_000)
