# SPDX-License-Identifier: Apache-2.0
"""Experiments and runs, over HTTP. ``log`` is the hot path: decoded straight into typed points, no event, one
transaction."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

import msgspec
import numpy as np

from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import Invalid
from mainstay.domain.pipelines import Input, Output, Step
from mainstay.domain.search import page_token, read_token
from mainstay.domain.tracking import Artifact, Experiment, Link, Point, Run, Series
from mainstay.lifecycle.data import lineage, references
from mainstay.lifecycle.pipelines import executions
from mainstay.lifecycle.tracking import experiments, logs, runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.search import pages
from mainstay.server.routes import Body, Repeated, Routes, encode
from mainstay.store import Change, Ingest, View, requests

routes = Routes("tracking")

Infinite = Literal["Infinity", "-Infinity"]
NotFinite = Literal["NaN", "Infinity", "-Infinity"]
"""JSON has no number for these. In answers what is no number is null; requests may say so too."""


class ExperimentIn(Body):
    name: str
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class NameIn(Body):
    name: str


class TagsIn(Body):
    tags: dict[str, str]


class RunLeaseIn(Body):
    worker: str
    seconds: float
    executor: str
    params: dict[str, str] | None = None


class RunIn(Body):
    name: str
    id: str | None = None
    experiment: str = experiments.DEFAULT
    kind: str = "run"
    parent: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    code: dict[str, Any] | None = None
    environment: dict[str, Any] | None = None
    seeds: dict[str, Any] | None = None
    hardware: dict[str, Any] | None = None
    lease: RunLeaseIn | None = None  # of a pipeline: who carries it out
    blobs: list[bytes] = msgspec.field(
        default_factory=list
    )  # base64; small ones that the record names, to be kept first


class MetricIn(Body):
    key: str
    value: float | NotFinite | None  # null: not a number
    step: int | None = None
    at: str | None = None

    def point(self, now: datetime) -> Point:
        """As the station takes it; ``now``, if no time is told."""
        at = now if self.at is None else from_wire(self.at, what=f"time of metric {self.key!r}")
        value = math.nan if self.value is None else float(self.value)
        return Point(key=self.key, value=value, step=self.step or 0, at=at)


class LogIn(Body):
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: list[MetricIn] = msgspec.field(default_factory=list)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class SeriesIn(Body):
    key: str
    steps: list[int]
    at_us: list[int]
    values: list[float | NotFinite]


class PointsIn(Body):
    series: list[SeriesIn]


class ArtifactIn(Body):
    path: str
    digest: str
    size: int
    media_type: str = "application/octet-stream"

    def named(self) -> Artifact:
        """As the station takes it."""
        return Artifact(path=self.path, digest=self.digest, size=self.size, media_type=self.media_type)


class LinksIn(Body):
    inputs: list[Input] = msgspec.field(default_factory=list)
    outputs: list[Output] = msgspec.field(default_factory=list)


class FinishIn(Body):
    state: str
    error: str | None = None
    ended_at: str | None = None


class End(msgspec.Struct):
    """One end of a link."""

    kind: str
    ref: str
    name: str


class RunBrief(msgspec.Struct, kw_only=True):
    id: str
    experiment: str
    name: str
    kind: str
    parent: str | None
    state: str
    actor: str
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None
    reason: str
    because: int | None
    params: dict[str, Any]
    metrics: dict[str, float | Infinite | None]
    tags: dict[str, str]
    code: dict[str, Any] | None
    error: str | None
    user: str
    closed_at: datetime | None
    deleted_at: datetime | None


class RunState(msgspec.Struct, kw_only=True):
    """Enough for whoever began or ended it; the whole of it, which may have thousands of steps, is there for those who ask."""

    id: str
    name: str
    kind: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    closed_at: datetime | None


class RunOut(RunBrief, kw_only=True):
    environment: dict[str, Any] | None
    seeds: dict[str, Any] | None
    hardware: dict[str, Any] | None
    artifacts: list[Artifact]
    inputs: list[End]
    outputs: list[End]
    steps: list[Step]
    step: Step | None  # what this run was, if it was a step
    warnings: list[str]  # of what it used or made: read from a place that may change


class Runs(msgspec.Struct):
    items: list[RunBrief]
    next: str | None


class ExperimentOut(msgspec.Struct, kw_only=True):
    id: int
    name: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    deleted_at: datetime | None
    tags: dict[str, str]


class Experiments(msgspec.Struct):
    items: list[ExperimentOut]
    next: int | None


class PointOut(msgspec.Struct):
    step: int
    at: datetime
    value: float | Infinite | None


class SeriesOut(msgspec.Struct):
    key: str
    steps: list[int]
    at_us: list[int]
    values: list[float | Infinite | None]


class History(msgspec.Struct):
    points: list[PointOut]
    next: str | None


@routes.post("/experiments", permission="write", status=201)
def create_experiment(change: Change, body: ExperimentIn) -> ExperimentOut:
    """Name a question that runs will answer."""
    return _experiment(change, experiments.create(change, name=body.name, tags=body.tags))


@routes.get("/experiments", permission="read")
def list_experiments(view: View, after: int = -1, limit: int = 100) -> Experiments:
    """Experiments that are not put away, in the order in which they were made."""
    found = experiments.listed(view, after=after, limit=limit)
    tags = experiments.tags(view, [each.id for each in found])
    items = [ExperimentOut(**asdict(each), tags=tags[each.id]) for each in found]
    return Experiments(items=items, next=found[-1].id if len(found) == limit else None)


@routes.get("/experiments/{number:int}", permission="read")
def show_experiment(view: View, number: int) -> ExperimentOut:
    """One experiment, also when it is put away."""
    return _experiment(view, experiments.get(view, number))


@routes.post("/experiments/{number:int}/rename", permission="write")
def rename_experiment(change: Change, number: int, body: NameIn) -> ExperimentOut:
    """Give an experiment another name; its number and its runs stay."""
    return _experiment(change, experiments.rename(change, number, name=body.name))


@routes.post("/experiments/{number:int}/delete", permission="write")
def delete_experiment(change: Change, number: int) -> ExperimentOut:
    """Put an experiment and its runs away; nothing is lost."""
    experiments.delete(change, number)
    return _experiment(change, experiments.get(change, number))


@routes.post("/experiments/{number:int}/restore", permission="write")
def restore_experiment(change: Change, number: int) -> ExperimentOut:
    """Bring an experiment back, with the runs that were put away with it."""
    experiments.restore(change, number)
    return _experiment(change, experiments.get(change, number))


@routes.ingest("/experiments/{number:int}/tags", permission="write")
def tag_experiment(ingest: Ingest, number: int, body: TagsIn) -> ExperimentOut:
    """Set tags of an experiment."""
    experiments.put_tags(ingest, number, body.tags)
    return _experiment(ingest, experiments.get(ingest, number))


@routes.post("/runs", permission="write", status=201)
def start(change: Change, body: RunIn) -> RunState:
    """Begin a run. An experiment that is new is made; a pipeline that is new becomes known.

    With an ``id`` that was made by the one who asks (a UUID of version 7) a repetition is answered with the run there is.
    """
    if before := runs.same(change, body.id, name=body.name, kind=body.kind, actor=change.actor):
        raise Repeated(requests.Answer(200, encode(_state(before))))
    change.blobs.put_all(body.blobs)
    run = executions.start(
        change,
        name=body.name,
        identity=body.id,
        experiment=body.experiment,
        kind=body.kind,
        parent=body.parent,
        params=body.params,
        tags=body.tags,
        code=body.code,
        environment=body.environment,
        seeds=body.seeds,
        hardware=body.hardware,
        lease=None if body.lease is None else msgspec.structs.asdict(body.lease),
    )
    return _state(run)


@routes.get("/runs", permission="read")
def list_runs(
    view: View,
    kind: str = "",
    experiment: str = "",
    state: str = "",
    parent: str = "",
    filter: str = "",
    order_by: str = "",
    deleted: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> Runs:
    """Runs, the newest first or in the order of ``order_by``, such as ``metrics.auc desc, name``. ``filter``: comparisons
    joined by ``and``, such as ``metrics.auc > 0.7 and params.depth = 6``. ``after`` is the ``next`` of the page before."""
    found = pages.find(
        view,
        kind=kind or None,
        experiment=experiment or None,
        state=state or None,
        parent=parent or None,
        filter=filter,
        order_by=order_by,
        deleted=deleted,
        after=read_token(after) if after else None,
        limit=limit,
    )
    logged = logs.of_runs(view, [run.id for run in found.runs])
    names = experiments.names(view, {run.experiment for run in found.runs})
    items = [RunBrief(**_brief(run, names[run.experiment], logged[run.id])) for run in found.runs]
    return Runs(items=items, next=page_token(found.next) if found.next else None)


@routes.get("/runs/{run_id}", permission="read")
def show(view: View, run_id: str) -> RunOut:
    """One run with all that is known of it."""
    return _run(view, runs.get(view, run_id))


@routes.ingest("/runs/{run_id}/log", permission="write")
def log(ingest: Ingest, run_id: str, body: LogIn) -> dict[str, int]:
    """Parameters, points of metrics and tags: all of them are kept, or none."""
    now = ingest.now()
    points = [metric.point(now) for metric in body.metrics]
    logs.log(ingest, run_id, params=body.params, metrics=points, tags=body.tags)
    return {"params": len(body.params), "metrics": len(points), "tags": len(body.tags)}


@routes.ingest("/runs/{run_id}/points", permission="write")
def log_points(ingest: Ingest, run_id: str, body: PointsIn) -> dict[str, int]:
    """Many points of metrics, column by column; ``at_us`` counts microseconds since 1970. All are kept, or none."""
    return {"points": logs.put_series(ingest, run_id, [_series(each) for each in body.series])}


@routes.ingest("/runs/{run_id}/artifacts", permission="write", status=201)
def add_artifact(ingest: Ingest, run_id: str, body: ArtifactIn) -> Artifact:
    """Name an uploaded blob as a file of the run."""
    return logs.add_artifact(ingest, run_id, body.named())


@routes.ingest("/runs/{run_id}/links", permission="write")
def link(ingest: Ingest, run_id: str, body: LinksIn) -> dict[str, int]:
    """Say what the run read and made: snapshots and versions by id, anything else by digest."""
    executions.link(ingest, run_id, inputs=body.inputs, outputs=body.outputs)
    return {"inputs": len(body.inputs), "outputs": len(body.outputs)}


@routes.post("/runs/{run_id}/finish", permission="write")
def finish(change: Change, run_id: str, body: FinishIn) -> RunState:
    """End a run; its record is closed, and the digests of all it logged enter the ledger."""
    ended_at = None if body.ended_at is None else from_wire(body.ended_at, what="end of the run")
    return _state(runs.finish(change, run_id, state=body.state, error=body.error, ended_at=ended_at))


@routes.post("/runs/{run_id}/reopen", permission="write")
def reopen(change: Change, run_id: str) -> RunOut:
    """Let a run that has ended go on; the ledger says so, and its next end closes it again."""
    return _run(change, runs.reopen(change, run_id))


@routes.post("/runs/{run_id}/delete", permission="write")
def delete(change: Change, run_id: str) -> RunOut:
    """Put a run away; it can still be read by its id, and be restored."""
    runs.delete(change, run_id)
    return _run(change, runs.get(change, run_id))


@routes.post("/runs/{run_id}/restore", permission="write")
def restore(change: Change, run_id: str) -> RunOut:
    """Bring a run back that was put away."""
    runs.restore(change, run_id)
    return _run(change, runs.get(change, run_id))


@routes.get("/runs/{run_id}/metrics/{key:path}", permission="read")
def show_metric(
    view: View,
    run_id: str,
    key: str,
    after: str | None = None,
    limit: int = 1000,
    points: int | None = None,
    since: int | None = None,
    until: int | None = None,
) -> History:
    """Every point of one metric, by step. ``after`` is the ``next`` of the page before. ``points``: that many at most, of
    the steps from ``since`` to ``until``: the least and the greatest of each stretch."""
    if points is not None:
        found = logs.drawn(view, run_id, key, most=points, since=since, until=until)
        return History(points=_told(found), next=None)
    found = logs.history(view, run_id, key, after=_place(after) if after else None, limit=limit)
    return History(points=_told(found), next=_token(found[-1]) if len(found) == limit else None)


@routes.get("/runs/{run_id}/points/{key:path}", permission="read")
def show_points(view: View, run_id: str, key: str, since: int | None = None, until: int | None = None) -> SeriesOut:
    """Every point of one metric at once, column by column; ``at_us`` counts microseconds since 1970. ``since`` and ``until`` are
    steps, both included."""
    found = logs.curve(view, run_id, key, since=since, until=until)
    values: list[Any] = found.values.tolist()
    if not np.isfinite(found.values).all():
        values = [_value(value) for value in values]
    return SeriesOut(key=key, steps=found.steps.tolist(), at_us=found.at.tolist(), values=values)


def _told(found: list[Point]) -> list[PointOut]:
    return [PointOut(step=point.step, at=point.at, value=_value(point.value)) for point in found]


def _value(value: float) -> Any:
    """A metric's value as JSON: what it has no number for is said in a word, and what is no number is null."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return None if math.isnan(value) else value


def _experiment(view: View, found: Experiment) -> ExperimentOut:
    return ExperimentOut(**asdict(found), tags=experiments.tags(view, [found.id])[found.id])


def _series(given: SeriesIn) -> Series:
    # JSON has no word for these three, so they come as texts.
    values = [float(value) for value in given.values]
    return Series(key=given.key, steps=given.steps, at_us=given.at_us, values=values)


def _token(point: Point) -> str:
    return f"{point.step}~{to_wire(point.at)}~{point.value!r}"


def _place(token: str) -> tuple[int, datetime, float]:
    try:
        step, at, value = token.split("~")
        return int(step), from_wire(at), float(value)
    except ValueError as error:
        raise Invalid(f"'after' is {token[:80]!r}; the 'next' of an earlier answer is expected.") from error


def _state(run: Run) -> RunState:
    return RunState(
        id=run.id,
        name=run.name,
        kind=run.kind,
        state=run.state,
        started_at=run.started_at,
        ended_at=run.ended_at,
        closed_at=run.closed_at,
    )


def _run(view: View, run: Run) -> RunOut:
    linked = links.of(view, run.id)
    made = [End("snapshot", each.id, each.id) for each in lineage.made_by(view, run.id)]
    outputs = [_end(each) for each in linked if each.way == "out"]
    inputs = [_end(each) for each in linked if each.way == "in"]
    used = [end.ref for end in (*inputs, *outputs, *made) if end.kind == "snapshot"]
    return RunOut(
        **_brief(run, experiments.get(view, run.experiment).name, logs.of(view, run.id)),
        environment=runs.environment_of(view, run),
        seeds=run.seeds,
        hardware=run.hardware,
        artifacts=logs.artifacts_of(view, run.id),
        inputs=inputs,
        outputs=outputs + [end for end in made if end.ref not in {each.ref for each in outputs}],
        steps=executions.steps_of(view, run.id),
        step=executions.find(view, run.id),
        warnings=references.warning_of(view, dict.fromkeys(used)),
    )


def _brief(run: Run, experiment: str, logged: logs.Logged) -> dict[str, Any]:
    return {
        "id": run.id,
        "experiment": experiment,
        "name": run.name,
        "kind": run.kind,
        "parent": run.parent,
        "state": run.state,
        "actor": run.actor,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": run.seconds,
        "reason": run.reason,
        "because": run.because,
        "params": logged.params,
        "metrics": {key: _value(logged.metrics[key]) for key in sorted(logged.metrics, key=_is_of_machine)},
        "tags": logged.tags,
        "code": run.code,
        "error": run.error,
        "user": run.claimed_by or run.actor,
        "closed_at": run.closed_at,
        "deleted_at": run.deleted_at,
    }


def _is_of_machine(metric: str) -> bool:
    """How the machine fared comes last: it is seldom what somebody looks for."""
    return metric.startswith("system/")


def _end(link: Link) -> End:
    return End(link.kind, link.ref, link.name)
