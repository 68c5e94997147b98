# SPDX-License-Identifier: Apache-2.0
"""What a run logs through MLflow's client, and the histories of its metrics: the hot path of this protocol.

A batch is decoded straight into readings, as they are stored. A parameter is a text here; one that has another value already is
refused, as MLflow does. What is longer than MLflow keeps is cut off, as MLflow does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from mainstay.domain.errors import Conflict, Invalid
from mainstay.domain.tracking import LONGEST_KEY, LONGEST_PARAM, MOST_METRICS, MOST_PARAMS, MOST_TAGS, ModelMetric
from mainstay.lifecycle.tracking import logs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.lifecycle.tracking.metrics import series
from mainstay.lifecycle.tracking.metrics.points import Points, Reading
from mainstay.server.protocols.mlflow import wire
from mainstay.server.protocols.mlflow.calls import Calls
from mainstay.server.protocols.mlflow.runs import MetricOut, RunIn, put_tags, told
from mainstay.store import Ingest, View

calls = Calls()

MOST_IN_ALL = 1_000
MOST_HISTORY = 25_000
MOST_RUNS = 100
MOST_SAMPLED = 2_500
SAMPLED = 2_500
_INT64 = 1 << 63


class Param(msgspec.Struct):
    key: str
    value: str = ""


class Tag(msgspec.Struct):
    key: str
    value: str = ""


class Metric(msgspec.Struct):
    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class MetricIn(RunIn, kw_only=True):
    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class ParamIn(RunIn, kw_only=True):
    key: str
    value: str = ""


class BatchIn(RunIn, kw_only=True):
    metrics: list[Metric] = msgspec.field(default_factory=list)
    params: list[Param] = msgspec.field(default_factory=list)
    tags: list[Tag] = msgspec.field(default_factory=list)


class HistoryIn(RunIn, kw_only=True):
    metric_key: str
    page_token: str | None = None
    max_results: int | None = None


class BulkIn(wire.Request):
    run_id: list[str] = msgspec.field(default_factory=list)
    metric_key: str | None = None
    max_results: int = MOST_HISTORY


class IntervalIn(wire.Request):
    metric_key: str
    run_ids: list[str] = msgspec.field(default_factory=list)
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = SAMPLED


@calls.ingest("POST", "runs/log-metric")
def log_metric(ingest: Ingest, body: MetricIn) -> None:
    """One point of a metric."""
    _put_metrics(ingest, body.run, [body], path="")


@calls.ingest("POST", "runs/log-parameter")
def log_parameter(ingest: Ingest, body: ParamIn) -> None:
    """One parameter."""
    _put_params(ingest, body.run, [Param(body.key, body.value)], path="")


@calls.ingest("POST", "runs/log-batch")
def log_batch(ingest: Ingest, body: BatchIn) -> None:
    """Points, parameters and tags: all of them are kept, or none."""
    _check_counts(body)
    if body.params:
        _put_params(ingest, body.run, body.params, path="params")
    if body.metrics:
        _put_metrics(ingest, body.run, body.metrics, path="metrics")
    if body.tags:
        for n, tag in enumerate(body.tags):
            wire.checked_name(tag.key, f"tags[{n}].key")
        put_tags(ingest, body.run, {tag.key: tag.value for tag in body.tags})
    if not (body.params or body.metrics or body.tags):
        logs.must_be(ingest, body.run)


@calls.get("metrics/get-history")
def get_history(view: View, body: HistoryIn) -> dict[str, Any]:
    """Every point of a metric, by time; in pages if the client asks for some."""
    limit = None
    if body.max_results is not None:
        limit = wire.page_size(body.max_results, default=MOST_HISTORY, most=1 << 31)
    after = wire.place_of(body.page_token)
    place = _place(after, body.page_token) if after else None
    page, has_more = series.page_by_time(view, body.run, body.metric_key, after=place, limit=limit)
    answer: dict[str, Any] = {"metrics": told(body.metric_key, page)}
    if has_more:
        answer["next_page_token"] = wire.token_of(page.some(slice(-1, None)).readings()[0])
    return answer


@calls.get("metrics/get-history-bulk")
def get_history_bulk(view: View, body: BulkIn) -> dict[str, Any]:
    """The points of one metric of several runs, by run and time."""
    if not body.run_id:
        raise Invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(body.run_id) > MOST_RUNS:
        raise Invalid(
            f"GetMetricHistoryBulk request cannot specify more than {MOST_RUNS} run_ids. Received {len(body.run_id)} run_ids."
        )
    if body.metric_key is None:
        raise Invalid("GetMetricHistoryBulk request must specify a metric_key.")
    limit = min(max(body.max_results, 0), MOST_HISTORY)
    found: list[MetricOut] = []
    for run in sorted(set(body.run_id)):
        if len(found) >= limit:
            break
        page, _ = series.page_by_time(view, run, body.metric_key, limit=limit - len(found))
        found += told(body.metric_key, page, run)
    return {"metrics": found}


@calls.get("metrics/get-history-bulk-interval")
def get_history_bulk_interval(view: View, body: IntervalIn) -> dict[str, Any]:
    """A sample of the points of one metric of several runs, evenly spread over their steps, for a chart."""
    _check_interval(body)
    return {"metrics": [one for run in body.run_ids for one in told(body.metric_key, _sampled(view, run, body), run)]}


def _sampled(view: View, run: str, body: IntervalIn) -> Points:
    return series.sampled(view, run, body.metric_key, most=body.max_results, since=body.start_step, until=body.end_step)


def _check_interval(body: IntervalIn) -> None:
    if not body.run_ids:
        raise wire.missing("run_ids")
    if len(body.run_ids) > MOST_RUNS:
        raise Invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. "
            f"Received {len(body.run_ids)} run_ids."
        )
    if not 1 <= body.max_results <= MOST_SAMPLED:
        raise Invalid(f"max_results must be between 1 and {MOST_SAMPLED}.")
    if (body.start_step is None) != (body.end_step is None):
        raise Invalid("If either start step or end step are specified, both must be specified.")
    if body.start_step is not None and body.end_step is not None and body.start_step > body.end_step:
        raise Invalid(
            "end_step must be greater than start_step. "
            f"Found start_step={body.start_step} and end_step={body.end_step}."
        )


def _check_counts(body: BatchIn) -> None:
    several = (
        ("metrics", body.metrics, MOST_METRICS),
        ("params", body.params, MOST_PARAMS),
        ("tags", body.tags, MOST_TAGS),
    )
    for what, found, most in several:
        _check_count(what, len(found), most)
    _check_count("metrics, params, and tags", len(body.metrics) + len(body.params) + len(body.tags), MOST_IN_ALL)


def _check_count(what: str, found: int, most: int) -> None:
    if found > most:
        raise Invalid(
            f"A batch logging request can contain at most {most} {what}. Got {found} {what}. "
            f"Please split up {what} across multiple requests and try again."
        )


def _put_metrics(ingest: Ingest, run: str, metrics: Sequence[Metric | MetricIn], *, path: str) -> None:
    readings: dict[str, list[Reading]] = {}
    measured: list[ModelMetric] = []
    for n, one in enumerate(metrics):
        key, at, value = one.key, one.timestamp * 1000, one.value
        if value != value:
            value = None  # type: ignore[assignment]
        if key not in readings:
            _check_metric(f"{path}[{n}]." if path else "", key)
            readings[key] = []
        if not 0 <= at < _INT64:
            raise _unusable_time(f"{path}[{n}]." if path else "", one)
        readings[key].append((one.step, at, value))
        if one.model_id or one.dataset_name:
            measured.append(
                ModelMetric(
                    model=one.model_id or None,
                    run=run,
                    key=key,
                    step=one.step,
                    at=at,
                    value=value,
                    dataset_name=one.dataset_name or None,
                    dataset_digest=one.dataset_digest or None,
                )
            )
    logs.put(ingest, run, params={}, readings=readings, tags={})
    if measured:
        logged_models.put_measured(ingest, measured)


def _check_metric(path: str, key: str) -> None:
    wire.checked_name(key, f"{path}name")
    if not key:
        raise wire.missing(f"{path}key")
    if len(key) > LONGEST_KEY:
        raise Invalid(f"'Metric name' exceeds the maximum length of {LONGEST_KEY} characters; it has {len(key)}.")


def _unusable_time(path: str, one: Metric | MetricIn) -> Invalid:
    return wire.unusable(
        f"{path}timestamp",
        one.timestamp,
        f"metric '{one.key}' (value={one.value}). Timestamp must be a nonnegative long (64-bit integer)",
    )


def _put_params(ingest: Ingest, run: str, params: Sequence[Param], *, path: str) -> None:
    found: dict[str, str] = {}
    for n, param in enumerate(params):
        wire.checked_name(param.key, f"{path}[{n}].key" if path else "key")
        if len(param.key) > LONGEST_KEY:
            raise Invalid(
                f"'Param key' exceeds the maximum length of {LONGEST_KEY} characters; it has {len(param.key)}."
            )
        if param.key in found:
            raise Invalid(
                f"Duplicate parameter keys have been submitted: {[param.key]}. Please ensure the request contains only one "
                "param value per param key."
            )
        found[param.key] = param.value[:LONGEST_PARAM]
    before = logs.params_of(ingest, run, found)
    # A client of ours may have said 6 where MLflow's says "6": that is the same.
    new = {key: value for key, value in found.items() if key not in before or wire.plain_text(before[key]) != value}
    try:
        logs.put(ingest, run, params=new, readings={}, tags={}) if new else logs.must_run(ingest, run)
    except Conflict as error:
        if "key" not in error.facts:
            raise
        key = error.facts["key"]
        raise Invalid(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with "
            f"value='{wire.plain_text(before[key])[:200]}' for run ID='{run}'. Attempted logging new value '{found[key][:200]}'."
        ) from None


def _place(place: Sequence[Any], token: str | None) -> Reading:
    """The reading that the page before ended with."""
    if len(place) == 3 and all(isinstance(each, int) for each in place[:2]):
        value = place[2]
        if value is None or (isinstance(value, int | float) and not math.isnan(value)):
            return int(place[0]), int(place[1]), value
    raise wire.unusable("page_token", token, "it is not one that a history here gave.")
