# SPDX-License-Identifier: Apache-2.0
"""Figures of traces by MLflow's client: counted, spread, grouped and cut into stretches as it asks."""

from __future__ import annotations

from typing import Any

import pytest

from ..conftest import Served, talk

MADE = """
import json
from dataclasses import asdict
import mlflow
from mlflow.entities import TraceInfo, TraceLocation, TraceState
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
c = mlflow.MlflowClient()
e = c.create_experiment("figures")
tell = c._tracing_client.start_trace
for n, (name, state, took, tokens) in enumerate([
    ("ask", TraceState.OK, 100, 10), ("ask", TraceState.OK, 200, 20), ("ask", TraceState.ERROR, 400, 70),
    ("sum", TraceState.OK, 50, 0),
]):
    usage = {"mlflow.trace.tokenUsage": json.dumps({"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1})}
    tell(TraceInfo(
        trace_id=f"tr-figures-{n}", trace_location=TraceLocation.from_experiment_id(e), request_time=1000 + n * 60_000,
        execution_duration=took, state=state, tags={"mlflow.traceName": name, "team": "a" if n < 3 else "b"},
        trace_metadata=usage if tokens else {},
    ))
store = c._tracing_client.store
def ask(metric, *sums, view=MetricViewType.TRACES, **more):
    wanted = [MetricAggregation(*((AggregationType.PERCENTILE, s) if s == 50.0 else (AggregationType(s),))) for s in sums]
    found = store.query_trace_metrics(experiment_ids=[e], view_type=view, metric_name=metric, aggregations=wanted, **more)
    return [[p.dimensions, p.values] for p in found]
print(json.dumps({
    "experiment": e,
    "states": ask("trace_count", "COUNT", dimensions=["trace_status"]),
    "took": ask("latency", "AVG", "MAX", 50.0, dimensions=["trace_name"]),
    "tokens": ask("input_tokens", "SUM", "MIN"),
    "minutes": ask("trace_count", "COUNT", time_interval_seconds=120, start_time_ms=1000, end_time_ms=130_000),
    "team": ask("trace_count", "COUNT", filters=["trace.tag.team = 'a'", "trace.status = 'OK'"]),
    "none": ask("trace_count", "COUNT", filters=["trace.metadata.`k` = 'x'"]),
}))
"""


@pytest.fixture(scope="module")
def told(served: Served) -> dict[str, Any]:
    return talk(served.url, MADE)


def test_traces_are_counted_by_state(told: dict[str, Any]) -> None:
    assert told["states"] == [[{"trace_status": "ERROR"}, {"COUNT": 1}], [{"trace_status": "OK"}, {"COUNT": 3}]]


def test_durations_are_spread_by_name(told: dict[str, Any]) -> None:
    [[ask, spread], [total, alone]] = told["took"]

    assert (ask, total) == ({"trace_name": "ask"}, {"trace_name": "sum"})
    assert spread == {"AVG": pytest.approx(700 / 3), "MAX": 400, "P50.0": 200}
    assert alone == {"AVG": 50, "MAX": 50, "P50.0": 50}


def test_a_trace_without_tokens_counts_nowhere(told: dict[str, Any]) -> None:
    assert told["tokens"] == [[{}, {"SUM": 100, "MIN": 10}]]


def test_time_is_cut_into_stretches_within_the_time_asked_for(told: dict[str, Any]) -> None:
    assert [(by["time_bucket"], sums["COUNT"]) for by, sums in told["minutes"]] == [
        ("1970-01-01T00:00:00+00:00", 2),
        ("1970-01-01T00:02:00+00:00", 1),
    ]


def test_filters_choose_the_traces(told: dict[str, Any]) -> None:
    assert (told["team"], told["none"]) == ([[{}, {"COUNT": 2}]], [])


SPANS = """
import json
import mlflow
from mlflow.entities import AssessmentSource
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
mlflow.set_experiment("figures of spans")
@mlflow.trace(name="root")
def root():
    for _ in range(2):
        with mlflow.start_span("tool", span_type="TOOL"):
            pass
root()
trace = mlflow.get_last_active_trace_id()
mlflow.log_feedback(trace_id=trace, name="good", value=4, source=AssessmentSource("HUMAN", "ana"))
mlflow.log_feedback(trace_id=trace, name="good", value=2, source=AssessmentSource("HUMAN", "bo"))
c = mlflow.MlflowClient()
e = c.get_experiment_by_name("figures of spans").experiment_id
def ask(view, metric, sum, **more):
    found = c._tracing_client.store.query_trace_metrics(
        experiment_ids=[e], view_type=view, metric_name=metric, aggregations=[MetricAggregation(AggregationType(sum))], **more)
    return [[p.dimensions, p.values] for p in found]
V = MetricViewType
print(json.dumps({
    "spans": ask(V.SPANS, "span_count", "COUNT", dimensions=["span_name"]),
    "tools": ask(V.SPANS, "span_count", "COUNT", filters=["span.type = 'TOOL'"]),
    "took": ask(V.SPANS, "latency", "MIN", filters=["span.name = 'root'"])[0][1]["MIN"] >= 0,
    "good": ask(V.ASSESSMENTS, "assessment_value", "AVG", dimensions=["assessment_name"]),
    "given": ask(V.ASSESSMENTS, "assessment_count", "COUNT", filters=["assessment.type = 'FEEDBACK'"]),
}))
"""


def test_spans_and_assessments_are_counted_themselves_and_not_their_traces(served: Served) -> None:
    told = talk(served.url, SPANS, MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false")

    assert told["spans"] == [[{"span_name": "root"}, {"COUNT": 1}], [{"span_name": "tool"}, {"COUNT": 2}]]
    assert told["tools"] == [[{}, {"COUNT": 2}]] and told["took"]
    assert told["good"] == [[{"assessment_name": "good"}, {"AVG": 3}]]
    assert told["given"] == [[{}, {"COUNT": 2}]]


@pytest.mark.parametrize(
    "odd",
    [
        {"view_type": "ROWS"},
        {"metric_name": "nothing"},
        {"aggregations": []},
        {"aggregations": [{"aggregation_type": "SUM"}]},
        {"dimensions": ["span_name"]},
        {"filters": ["trace.status != 'OK'"]},
        {"filters": ["nothing.at = 'all'"]},
        {"time_interval_seconds": 0},
    ],
)
def test_what_cannot_be_figured_is_refused(served: Served, odd: dict[str, Any]) -> None:
    asked = {
        "experiment_ids": ["0"],
        "view_type": "TRACES",
        "metric_name": "trace_count",
        "aggregations": [{"aggregation_type": "COUNT"}],
    }

    reply = served.ask("POST", "/api/3.0/mlflow/traces/metrics", json=asked | odd)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
