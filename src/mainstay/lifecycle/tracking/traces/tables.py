# SPDX-License-Identifier: Apache-2.0
"""The tables of traces and the questions asked of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    and_,
    case,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)

from mainstay.domain.traces import Assessment, Span, Trace
from mainstay.domain.tracking import Artifact
from mainstay.store import Ingest, Instant, Json, View, conditions, metadata
from mainstay.store.conditions import compared as compared

traces = Table(
    "traces",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("experiment", Integer, nullable=False),
    Column("name", Text),
    Column("state", String, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("duration_ms", BigInteger),
    Column("request_preview", Text),
    Column("response_preview", Text),
    Column("client_request_id", Text),
    Column("run", String, index=True),
    Column("session", Text, index=True),
    Column("person", Text),
    Column("usage", Json),
    Column("cost", Json),
    Column("is_told", Boolean, nullable=False),
    Index(None, "experiment", "requested_at", "id"),
)

trace_tags = Table(
    "trace_tags",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

trace_metadata = Table(
    "trace_metadata",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

trace_links = Table(
    "trace_links",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("kind", String, primary_key=True),
    Column("ref", String, primary_key=True),
    Index(None, "kind", "ref"),
)

spans = Table(
    "spans",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("id", String(16), primary_key=True),
    Column("parent", String(16)),
    Column("name", Text, nullable=False),
    Column("kind", String),
    Column("state", String, nullable=False),
    Column("message", Text),
    Column("started_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("inputs_in", String),
    Column("outputs_in", String),
    Column("usage", Json),
    Column("cost", Json),
    Column("details", Json, nullable=False),
)

# An attribute is a row, so that it can be searched exactly. A text stands as it is, any other value as JSON.
span_attributes = Table(
    "span_attributes",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("span", String(16), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("is_text", Boolean, nullable=False),
)

assessments = Table(
    "assessments",
    metadata,
    Column("id", String, primary_key=True),
    Column("trace", String(64), nullable=False),
    Column("span", String(16)),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("value", Text, nullable=False),  # JSON as it came: the order of its keys is kept
    Column("number", Double),  # the value, if it is one
    Column("error", Json),
    Column("source_kind", String, nullable=False),
    Column("source", String, nullable=False),
    Column("rationale", Text),
    Column("metadata", Json, nullable=False),
    Column("session", Text, index=True),  # set: it is about the whole session
    Column("overrides", String),
    Column("is_valid", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "trace", "created_at"),
    Index(None, "kind", "name"),
)

trace_files = Table(
    "trace_files",
    metadata,
    Column("trace", String(64), primary_key=True),
    Column("path", String, primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String, nullable=False),
)

_SPAN_COLUMNS = tuple(column.name for column in spans.columns)


class Extent(NamedTuple):
    """From where to where the spans of a trace go."""

    started_ns: int
    ended_ns: int | None


def trace(view: View, identity: str) -> Trace | None:
    return traces_by_id(view, [identity]).get(identity)


def traces_by_id(view: View, identities: Sequence[str], *, with_labels: bool = True) -> dict[str, Trace]:
    rows = view.rows(select(traces).where(traces.c.id.in_(identities)))
    found = _with_labels(view, rows) if with_labels and rows else [Trace(**row._mapping) for row in rows]
    return {each.id: each for each in found}


def known(view: View, identities: Iterable[str]) -> dict[str, int]:
    """The experiments of those that exist."""
    query = select(traces.c.id, traces.c.experiment).where(traces.c.id.in_(list(identities)))
    return {row.id: row.experiment for row in view.rows(query)}


def put_traces(ingest: Ingest, new: Sequence[Trace], *, known: Iterable[str]) -> None:
    """Keep traces; those of ``known`` are replaced."""
    ingest.execute(delete(traces).where(traces.c.id.in_(list(known))))
    ingest.bulk_append(traces, (_columns_of(each) for each in new))


def put_labels(ingest: Ingest, table: Table, labels: Mapping[str, Mapping[str, str]]) -> None:
    """Set tags, or metadata, of many traces; one that is there already takes the new value."""
    keys = {key for each in labels.values() for key in each}
    there = select(table.c.trace, table.c.key).where(table.c.trace.in_(list(labels)), table.c.key.in_(keys))
    for row in ingest.rows(there) if keys else ():
        if row.key in labels[row.trace]:
            remove_labels(ingest, table, row.trace, [row.key])
    rows = ((trace, key, value) for trace, each in labels.items() for key, value in each.items())
    ingest.bulk_append(table, rows, ("trace", "key", "value"))


def remove_labels(ingest: Ingest, table: Table, identity: str, keys: Iterable[str]) -> int:
    return ingest.execute(delete(table).where(table.c.trace == identity, table.c.key.in_(list(keys))))


def put_links(ingest: Ingest, kind: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Keep (trace, ref); one that is there already stays as it is."""
    c = trace_links.c
    wanted = dict.fromkeys(pairs)
    there = select(c.trace, c.ref).where(c.kind == kind, c.trace.in_({trace for trace, _ in wanted}))
    before = {(row.trace, row.ref) for row in ingest.rows(there)}
    ingest.bulk_append(
        trace_links,
        ({"trace": trace, "kind": kind, "ref": ref} for trace, ref in wanted if (trace, ref) not in before),
    )


def links_of(view: View, identity: str) -> list[tuple[str, str]]:
    c = trace_links.c
    query = select(c.kind, c.ref).where(c.trace == identity).order_by(c.kind, c.ref)
    return [(row.kind, row.ref) for row in view.rows(query)]


def remove_traces(ingest: Ingest, identities: Sequence[str]) -> int:
    for table in (trace_tags, trace_metadata, trace_links, trace_files, span_attributes, spans, assessments):
        ingest.execute(delete(table).where(table.c.trace.in_(identities)))
    return ingest.execute(delete(traces).where(traces.c.id.in_(identities)))


def oldest(view: View, experiment: int, until: datetime, limit: int | None) -> list[str]:
    """Ids of an experiment's traces up to a time, oldest first."""
    query = select(traces.c.id).where(traces.c.experiment == experiment, traces.c.requested_at <= until)
    return [row.id for row in view.rows(query.order_by(traces.c.requested_at, traces.c.id).limit(limit))]


def of_experiment(view: View, experiment: int, identities: Sequence[str]) -> list[str]:
    query = select(traces.c.id).where(traces.c.experiment == experiment, traces.c.id.in_(identities))
    return [row.id for row in view.rows(query)]


# Spans


def known_spans(view: View, traces: Iterable[str], identities: Iterable[str]) -> dict[tuple[str, str], bool]:
    """Which of these spans are here, by (trace, id), and whether they have an end."""
    c = spans.c
    query = select(c.trace, c.id, c.ended_ns).where(c.trace.in_(list(traces)), c.id.in_(list(identities)))
    return {(row.trace, row.id): row.ended_ns is not None for row in view.rows(query)}


def remove_span(ingest: Ingest, trace: str, identity: str) -> None:
    a, c = span_attributes.c, spans.c
    ingest.execute(delete(span_attributes).where(a.trace == trace, a.span == identity))
    ingest.execute(delete(spans).where(c.trace == trace, c.id == identity))


def add_spans(ingest: Ingest, new: Sequence[Span]) -> None:
    ingest.bulk_append(spans, (tuple(getattr(span, name) for name in _SPAN_COLUMNS) for span in new), _SPAN_COLUMNS)
    rows = (row for span in new for row in _attribute_rows(span))
    ingest.bulk_append(span_attributes, rows, ("trace", "span", "key", "value", "is_text"))


def spans_of(view: View, identities: Sequence[str]) -> dict[str, list[Span]]:
    """The spans of many traces, each in the order of their beginning."""
    attributes: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    c = span_attributes.c
    for row in view.rows(select(span_attributes).where(c.trace.in_(identities)).order_by(c.trace, c.span, c.key)):
        attributes[row.trace, row.span][row.key] = row.value if row.is_text else json.loads(row.value)
    found: dict[str, list[Span]] = {identity: [] for identity in identities}
    order = (spans.c.trace, spans.c.started_ns, spans.c.id)
    for row in view.rows(select(spans).where(spans.c.trace.in_(identities)).order_by(*order)):
        found[row.trace].append(Span(**row._mapping, attributes=attributes[row.trace, row.id]))
    return found


def with_spans(view: View, identities: Sequence[str]) -> set[str]:
    query = select(spans.c.trace).where(spans.c.trace.in_(identities)).distinct()
    return {row.trace for row in view.rows(query)}


def extents(view: View, identities: Sequence[str]) -> dict[str, Extent]:
    c = spans.c
    ends = (func.min(c.started_ns).label("started_ns"), func.max(c.ended_ns).label("ended_ns"))
    query = select(c.trace, *ends).where(c.trace.in_(identities)).group_by(c.trace)
    return {row.trace: Extent(row.started_ns, row.ended_ns) for row in view.rows(query)}


def roots(view: View, identities: Sequence[str]) -> dict[str, Span]:
    """The spans without a parent, with the attributes that say what went in and came out; of several of a trace the one
    that began first."""
    c, a = spans.c, span_attributes.c
    query = select(spans).where(c.trace.in_(identities), c.parent.is_(None)).order_by(c.trace, c.started_ns, c.id)
    first = {row.trace: row for row in reversed(view.rows(query))}
    shown: dict[str, dict[str, Any]] = defaultdict(dict)
    keys = {key for row in first.values() for key in (row.inputs_in, row.outputs_in) if key}
    inner = select(span_attributes).where(
        a.trace.in_(list(first)), a.span.in_([row.id for row in first.values()]), a.key.in_(keys)
    )
    for row in view.rows(inner) if keys else ():
        if row.span == first[row.trace].id:
            shown[row.trace][row.key] = row.value if row.is_text else json.loads(row.value)
    return {trace: Span(**row._mapping, attributes=shown[trace]) for trace, row in first.items()}


def tallies(view: View, trace: str) -> list[tuple[str, str | None, dict[str, float] | None, dict[str, float] | None]]:
    """(id, parent, usage, cost) of every span."""
    c = spans.c
    rows = view.rows(select(c.id, c.parent, c.usage, c.cost).where(c.trace == trace))
    return [(row.id, row.parent, row.usage, row.cost) for row in rows]


# Files


def files_of(view: View, identity: str) -> list[Artifact]:
    c = trace_files.c
    query = select(c.path, c.digest, c.size, c.media_type).where(c.trace == identity).order_by(c.path)
    return [Artifact(**row._mapping) for row in view.rows(query)]


def put_file(ingest: Ingest, identity: str, new: Artifact) -> None:
    c = trace_files.c
    ingest.execute(delete(trace_files).where(c.trace == identity, c.path == new.path))
    ingest.insert(trace_files, trace=identity, **asdict(new))


def remove_files(ingest: Ingest, identity: str, paths: Iterable[str]) -> int:
    c = trace_files.c
    return ingest.execute(delete(trace_files).where(c.trace == identity, c.path.in_(list(paths))))


# Assessments


def put_assessment(ingest: Ingest, new: Assessment, *, number: float | None, session: str | None) -> None:
    ingest.execute(delete(assessments).where(assessments.c.id == new.id))
    value = json.dumps(new.value, ensure_ascii=False)
    ingest.insert(assessments, **(asdict(new) | {"value": value, "number": number, "session": session}))


def assessment(view: View, trace: str, identity: str) -> Assessment | None:
    row = view.first(select(assessments).where(assessments.c.trace == trace, assessments.c.id == identity))
    return row and _assessment(row)


def has_assessment(view: View, identity: str) -> bool:
    return view.first(select(assessments.c.id).where(assessments.c.id == identity)) is not None


def assessments_of(view: View, identities: Sequence[str]) -> dict[str, list[Assessment]]:
    found: dict[str, list[Assessment]] = {identity: [] for identity in identities}
    c = assessments.c
    for row in view.rows(select(assessments).where(c.trace.in_(identities)).order_by(c.trace, c.created_at, c.id)):
        found[row.trace].append(_assessment(row))
    return found


def set_validity(ingest: Ingest, trace: str, identity: str, is_valid: bool) -> int:
    same = (assessments.c.trace == trace) & (assessments.c.id == identity)
    return ingest.execute(update(assessments).where(same).values(is_valid=is_valid))


def remove_assessment(ingest: Ingest, trace: str, identity: str) -> None:
    ingest.execute(delete(assessments).where(assessments.c.trace == trace, assessments.c.id == identity))


# Search

Condition = ColumnElement[bool]


def found(view: View, wanted: Sequence[Condition], order: Sequence[tuple[Any, bool]], limit: int) -> list[Trace]:
    query = (
        select(traces).where(*wanted).order_by(*(v.desc() if descends else v.asc() for v, descends in _flagged(order)))
    )
    return _with_labels(view, view.rows(query.limit(limit)))


def count(view: View, wanted: Sequence[Condition]) -> int:
    return int(view.scalar(select(func.count()).select_from(traces).where(*wanted)))


def told_of(view: View, what: str, names: Sequence[str], wanted: Sequence[Condition], limit: int) -> Sequence[Row[Any]]:
    """When it was asked for, and ``names``, of each trace, span or assessment (``what``, in the plural) of the traces wanted."""
    table = {"traces": traces, "spans": spans, "assessments": assessments}[what]
    source = traces if table is traces else traces.join(table, table.c.trace == traces.c.id)
    query = select(traces.c.requested_at, *(table.c[name] for name in names)).select_from(source).where(*wanted)
    return view.rows(query.limit(limit))


def in_experiments(numbers: Sequence[int]) -> Condition:
    return traces.c.experiment.in_(numbers)


def field(name: str) -> Any:
    """What a trace can be compared or ordered by."""
    if name == "at":
        return traces.c.requested_at
    if name == "end":
        # An instant is stored as whole microseconds.
        return type_coerce(traces.c.requested_at, BigInteger) + func.coalesce(traces.c.duration_ms, 0) * 1000
    return traces.c[name]


def label(table: Table, key: str) -> Any:
    """The value of one tag or of one piece of metadata, to order by."""
    return select(table.c.value).where(table.c.trace == traces.c.id, table.c.key == key).scalar_subquery()


def behind(view: View, last: str, order: Sequence[tuple[Any, bool]]) -> Condition | None:
    """What comes after the trace ``last`` in this order; None: it is gone."""
    columns = _flagged(order)
    row = view.first(select(*(value for value, _ in columns)).where(traces.c.id == last))
    return None if row is None else conditions.behind(columns, list(row))


def has_label(table: Table, key: str, test: Condition | None) -> Condition:
    inner = select(table.c.trace).where(table.c.trace == traces.c.id, table.c.key == key)
    return exists(inner if test is None else inner.where(test))


def is_linked(kind: str, ref: str) -> Condition:
    c = trace_links.c
    return exists(select(c.trace).where(c.trace == traces.c.id, c.kind == kind, c.ref == ref))


def has_span(tests: Sequence[Condition]) -> Condition:
    return exists(select(spans.c.id).where(spans.c.trace == traces.c.id, *tests))


def span_attribute(key: str, test: Condition) -> Condition:
    c = span_attributes.c
    return exists(select(c.key).where(c.trace == spans.c.trace, c.span == spans.c.id, c.key == key, test))


def span_says(test_of: Any) -> Condition:
    """Any text of a span: its name, message, events, and the names and values of its attributes."""
    c = span_attributes.c
    inner = select(c.key).where(c.trace == spans.c.trace, c.span == spans.c.id, or_(test_of(c.value), test_of(c.key)))
    own = (spans.c.name, spans.c.message, type_coerce(spans.c.details, Text))
    return or_(*(test_of(column) for column in own), exists(inner))


def is_assessed(kind: str, name: str, test: Condition | None, *, only_valid: bool = True) -> Condition:
    """Assessed so itself, or within a session that as a whole is."""
    c = assessments.c
    about = [c.kind == kind, c.name == name, *([c.is_valid.is_(True)] if only_valid else [])]
    about += [] if test is None else [test]
    other = traces.alias("other")
    sessions = (
        select(other.c.experiment, c.session).join(other, other.c.id == c.trace).where(c.session.is_not(None), *about)
    )
    # Not correlated: what is said is collected once, not again for each trace.
    return or_(
        traces.c.id.in_(select(c.trace).where(*about)),
        and_(traces.c.session.is_not(None), tuple_(traces.c.experiment, traces.c.session).in_(sessions)),
    )


def either(any_of: Iterable[Condition]) -> Condition:
    return or_(*any_of)


def neither(condition: Condition) -> Condition:
    return not_(condition)


def _flagged(order: Sequence[tuple[Any, bool]]) -> list[tuple[Any, bool]]:
    """Each column behind a flag that puts what is missing last, whichever way the column goes."""
    columns: list[tuple[Any, bool]] = []
    for value, descends in order:
        if not (isinstance(value, Column) and not value.nullable):
            columns.append((case((value.is_(None), 1), else_=0), False))
        columns.append((value, descends))
    return columns


def _with_labels(view: View, rows: Sequence[Row[Any]]) -> list[Trace]:
    identities = [row.id for row in rows]
    tags, further = (_labels(view, table, identities) for table in (trace_tags, trace_metadata))
    return [Trace(**row._mapping, tags=tags[row.id], metadata=further[row.id]) for row in rows]


def _labels(view: View, table: Table, identities: Sequence[str]) -> dict[str, dict[str, str]]:
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for row in view.rows(select(table).where(table.c.trace.in_(identities)).order_by(table.c.key)):
        labels[row.trace][row.key] = row.value
    return labels


def _columns_of(new: Trace) -> dict[str, Any]:
    return {column.name: getattr(new, column.name) for column in traces.columns}


def _attribute_rows(span: Span) -> Iterable[tuple[str, str, str, str, bool]]:
    for key, value in span.attributes.items():
        is_text = isinstance(value, str)
        text = value if is_text else json.dumps(value, ensure_ascii=False)
        yield span.trace, span.id, key, text, is_text


def _assessment(row: Row[Any]) -> Assessment:
    columns = {name: value for name, value in row._mapping.items() if name not in ("number", "session")}
    return replace(Assessment(**columns), value=json.loads(row.value))
