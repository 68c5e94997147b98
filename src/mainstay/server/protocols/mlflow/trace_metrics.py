# SPDX-License-Identifier: Apache-2.0
"""Figures of traces, as MLflow's page and client ask for them: counts, durations, tokens, costs and assessments, in groups."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.domain.search import Comparison
from mainstay.lifecycle.tracking.traces import figures, filters
from mainstay.server.protocols.mlflow import wire, wire_trace_search
from mainstay.server.protocols.mlflow import wire_traces as words
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.store import View

calls = Calls()

MOST_POINTS = 1_000


class Known(NamedTuple):
    """What MLflow calls a figure: ours, which part of it, how it may be added up, and by what it may be grouped."""

    figure: str
    part: str
    sums: frozenset[str]
    by: frozenset[str]


_COUNT = frozenset({"COUNT"})
_SPREAD = frozenset({"AVG", "MIN", "MAX", "PERCENTILE"})
_SUMS = _SPREAD | {"SUM"}
_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COSTS = ("input_cost", "output_cost", "total_cost")
_NAMED, _SPAN_NAMED = frozenset({"trace_name"}), frozenset({"span_name", "span_type", "span_status"})
_KNOWN = {
    "traces": {
        "trace_count": Known("count", "", _COUNT, frozenset({"trace_name", "trace_status"})),
        "session_count": Known("sessions", "", _COUNT, frozenset()),
        "latency": Known("duration_ms", "", _SPREAD, _NAMED),
        **{name: Known("usage", name, _SUMS, _NAMED) for name in _TOKENS},
    },
    "spans": {
        "span_count": Known("count", "", _COUNT, _SPAN_NAMED),
        "latency": Known("duration_ms", "", _SPREAD, _SPAN_NAMED),
        **{name: Known("cost", name, _SUMS, frozenset()) for name in _COSTS},
    },
    "assessments": {
        "assessment_count": Known("count", "", _COUNT, frozenset({"assessment_name", "assessment_value"})),
        "assessment_value": Known("value", "", _SPREAD, frozenset({"assessment_name"})),
    },
}
_OURS = {"type": "kind", "status": "state"}
_OWN = {"spans": ("span", ("name", "type", "status")), "assessments": ("assessment", ("name", "type"))}
_IN_CAPITALS = {"span": ("status",), "assessment": ("type",)}
# MLflow says trace.tag.KEY here, where its search of traces says tag.KEY.
_LABEL = re.compile(r"\s*trace\.(?=(?:tag|metadata)\.)")


class Sum(msgspec.Struct):
    aggregation_type: str
    percentile_value: float | None = None

    def __str__(self) -> str:
        return f"P{self.percentile_value}" if self.aggregation_type == "PERCENTILE" else self.aggregation_type


class Ask(wire.Request):
    experiment_ids: list[str]
    view_type: str
    metric_name: str
    aggregations: list[Sum]
    dimensions: list[str] = msgspec.field(default_factory=list)
    filters: list[str] = msgspec.field(default_factory=list)
    time_interval_seconds: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    max_results: int = MOST_POINTS


@calls.get("traces/metrics", method="POST", versions=("3.0",))
def query(view: View, body: Ask) -> Any:
    """Figures of traces, spans or assessments: counts, durations, tokens, costs, in groups and stretches of time."""
    what = body.view_type.lower()
    known = _checked(what, body)
    traces, own = _filters(what, body)
    found = figures.of(
        view,
        what=what,
        figure=known.figure,
        part=known.part,
        experiments=[words.experiment(each) for each in body.experiment_ids],
        by=[_ours(each) for each in body.dimensions],
        only=own,
        filter=traces,
        every_s=body.time_interval_seconds,
    )
    shown = found[: wire.page_size(body.max_results, default=MOST_POINTS, most=MOST_POINTS)]
    return {"data_points": [_point(what, body, group) for group in shown]}


def _checked(what: str, body: Ask) -> Known:
    if what not in _KNOWN:
        raise wire.unusable("view_type", body.view_type, "one of TRACES, SPANS, ASSESSMENTS is expected")
    known = _KNOWN[what].get(body.metric_name)
    if known is None:
        raise Invalid(f"metric_name must be one of {list(_KNOWN[what])}, got {body.metric_name[:60]!r}")
    if not body.aggregations:
        raise wire.missing("aggregations")
    if odd := sorted({each.aggregation_type for each in body.aggregations} - known.sums):
        raise Invalid(f"Found invalid aggregation_type(s): {odd}. Supported aggregation types: {sorted(known.sums)}")
    if odd := sorted(set(body.dimensions) - known.by):
        raise Invalid(f"Found invalid dimension(s): {odd}. Supported dimensions: {sorted(known.by)}")
    for each in body.aggregations:
        wanted = -1.0 if each.percentile_value is None else each.percentile_value
        if each.aggregation_type == "PERCENTILE" and not 0 <= wanted <= 100:
            raise Invalid(f"Percentile value must be between 0 and 100, got {each.percentile_value}")
    return known


def _filters(what: str, body: Ask) -> tuple[list[Comparison], dict[str, str]]:
    """What must hold of the traces, and what of each span or assessment itself."""
    traces = [
        Comparison(filters.ATTRIBUTE, "at", operator, moment)
        for operator, moment in ((">=", body.start_time_ms), ("<=", body.end_time_ms))
        if moment is not None
    ]
    own: dict[str, str] = {}
    word, keys = _OWN.get(what, ("", ()))
    for text in body.filters:
        for said in filters.read(_LABEL.sub("", text)):
            if said.operator != "=" or not isinstance(said.value, str):
                raise Invalid(f"Invalid filter {text[:200]!r}: only `=` and a text behind it are possible here.")
            if word and said.kind == word and said.key in keys:
                # Names are anybody's; states and kinds are written in capitals there.
                own[_OURS.get(said.key, said.key)] = (
                    said.value.lower() if said.key in _IN_CAPITALS[word] else said.value
                )
            else:
                traces += wire_trace_search.filter(_LABEL.sub("", text))
    return traces, own


def _ours(dimension: str) -> str:
    name = dimension.partition("_")[2]
    return _OURS.get(name, name)


def _point(what: str, body: Ask, group: figures.Group) -> dict[str, Any]:
    by = {name: _said(name, value) for name, value in zip(body.dimensions, group.by, strict=True)}
    if group.since is not None:
        by = {"time_bucket": group.since.isoformat()} | by
    values = np.asarray(group.values, dtype=np.float64)
    sums = {str(each): _summed(each, values) for each in body.aggregations}
    return {"metric_name": body.metric_name, "dimensions": by, "values": sums}


def _said(dimension: str, value: str) -> str:
    if dimension not in ("trace_status", "span_status"):
        return value
    return "STATE_UNSPECIFIED" if value == "unspecified" else value.upper()


def _summed(each: Sum, values: Any) -> float:
    """Percentiles are linear between two values, as MLflow's are on SQLite and PostgreSQL."""
    by: dict[str, Any] = {"COUNT": len, "SUM": np.sum, "AVG": np.mean, "MIN": np.min, "MAX": np.max}
    if each.aggregation_type == "PERCENTILE":
        return float(np.percentile(values, each.percentile_value or 0.0))
    return float(by[each.aggregation_type](values))
