# SPDX-License-Identifier: Apache-2.0
"""Pipelines and steps, over HTTP: what the engine asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mainstay.domain import strict_json
from mainstay.domain.clock import from_wire
from mainstay.domain.pipelines import Graph, Input, Lease, Line, Output, Pipeline, Published, Said, Step, StepDone
from mainstay.lifecycle.pipelines import (
    acceptances,
    executions,
    graphs,
    leases,
    lines,
    reproductions,
    results,
    work,
)
from mainstay.lifecycle.tracking import runs
from mainstay.server.api.tracking import ArtifactIn, MetricIn
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Change, Ingest, Store, View, jobs

routes = Routes("pipelines")

FOLLOWS_EVERY_S = 0.2


class LookupIn(Body):
    keys: list[str] = msgspec.field(default_factory=list)
    families: list[str] = msgspec.field(default_factory=list)  # what keys begin with: all that do so are asked for


class SaidIn(Body):
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: list[MetricIn] = msgspec.field(default_factory=list)
    artifacts: list[ArtifactIn] = msgspec.field(default_factory=list)

    def said(self, now: datetime) -> Said:
        """As the station takes it."""
        points = tuple(metric.point(now) for metric in self.metrics)
        return Said(params=self.params, metrics=points, artifacts=tuple(each.named() for each in self.artifacts))


class OneStepIn(Body):
    name: str
    key: str
    key_parts: dict[str, Any]
    why: str
    state: str
    seconds: float
    hit_of: str | None = None
    upstream: list[str] = msgspec.field(default_factory=list)
    inputs: list[Input] = msgspec.field(default_factory=list)
    outputs: list[Output] = msgspec.field(default_factory=list)
    error: str | None = None
    cacheable: bool = False
    renew: bool = False
    built_on: bool = False
    said: SaidIn | None = None  # what the step logged: kept with it, or not at all

    def done(self, now: datetime) -> StepDone:
        """As the station takes it."""
        facts = {name: getattr(self, name) for name in OneStepIn.__struct_fields__}
        return StepDone(**facts | {"said": self.said.said(now) if self.said else None})


class AcceptIn(Body):
    pipeline: str
    name: str
    key: str
    instead_of: str


class ReproductionIn(Body):
    verdict: str
    sentence: str
    tolerance: float
    is_rebuilt: bool = False
    steps: list[dict[str, str]] = msgspec.field(default_factory=list)
    environment: dict[str, list[str]] = msgspec.field(default_factory=dict)


class StepIn(OneStepIn, kw_only=True):
    pipeline_run: str


class StepsIn(Body):
    pipeline_run: str
    worker: str | None = None
    blobs: list[bytes] = msgspec.field(default_factory=list)  # base64; small outputs, to be kept first
    steps: list[OneStepIn] = msgspec.field(default_factory=list)
    lookup: list[str] = msgspec.field(default_factory=list)  # keys to be answered as they are after the commit


class ResumeIn(Body):
    worker: str
    seconds: float = 30.0
    executor: str | None = None
    instead_of: str | None = None


class AliveIn(Body):
    worker: str
    seconds: float = 30.0
    running: list[str] = msgspec.field(default_factory=list)
    outline: list[dict[str, Any]] | None = None


class LineIn(Body):
    step: str
    stream: str
    at: str
    text: str


class LinesIn(Body):
    lines: list[LineIn]


class OrderIn(Body):
    params: dict[str, Any] = msgspec.field(default_factory=dict)  # texts are converted as on the command line


class Hit(msgspec.Struct):
    run_id: str
    outputs: list[Output]
    at: datetime


class Hits(msgspec.Struct):
    hits: dict[str, Hit]
    unsure: dict[str, Hit]  # of families: in the index, but nobody has looked whether every byte is in place
    whole: list[str]  # families of which there is no more than that


class Committed(msgspec.Struct):
    run_id: str
    hit_of: str | None
    outputs: list[Output]


class CommittedSteps(msgspec.Struct):
    steps: list[Committed]
    hits: dict[str, Hit]


class LeaseOut(msgspec.Struct, kw_only=True):
    run_id: str
    worker: str
    leased_until: datetime | None
    executor: str
    params: dict[str, str] | None
    running: list[str]


class Lines(msgspec.Struct):
    items: list[Line]
    next: int | None


class LastRun(msgspec.Struct):
    id: str
    state: str
    started_at: datetime


class PipelineOut(msgspec.Struct, kw_only=True):
    name: str
    entry: str
    first_seen_at: datetime
    runs: int
    last_run: LastRun


class Pipelines(msgspec.Struct):
    items: list[PipelineOut]
    next: str | None


class PastRun(msgspec.Struct):
    id: str
    state: str
    sources_digest: str | None
    steps: list[Step]


class PastRuns(msgspec.Struct):
    runs: list[PastRun]


@routes.get("/pipelines", permission="read")
def list_pipelines(view: View, after: str = "", limit: int = 100) -> Pipelines:
    """Every pipeline that was run here, by name, with its newest run."""
    found = executions.seen(view, after=after, limit=limit)
    items = [_pipeline(view, each) for each in found]
    return Pipelines(items=items, next=found[-1].name if len(found) == limit else None)


@routes.get("/pipelines/{name}", permission="read")
def show_pipeline(view: View, name: str) -> PipelineOut:
    """One pipeline with its newest run."""
    return _pipeline(view, executions.named(view, name))


@routes.get("/pipelines/{name}/history", permission="read")
def history(view: View, name: str, besides: str = "") -> PastRuns:
    """The newest runs with their steps and the parts of their keys, up to the last that succeeded: what a plan compares with."""
    found = executions.history(view, name, besides=besides)
    return PastRuns(
        runs=[PastRun(run.id, run.state, (run.code or {}).get("sources_digest"), steps) for run, steps in found]
    )


@routes.post("/pipelines/{name}/run", permission="write", status=201)
def run_pipeline(change: Change, name: str, body: OrderIn) -> jobs.Job:
    """Ask a worker to run a pipeline, with the entry it was last seen with."""
    entry = executions.named(change, name).entry
    order = {"entry": entry, "params": body.params, "reason": change.reason}
    return work.ask(change, kind="run_pipeline", body=order)


@routes.raw("POST", "/pipelines/{name}/plan", permission="write")
async def plan_pipeline(*, request: Request, store: Store, actor: Principal) -> Response:
    """Ask a worker what a run would do now, and why; nothing is carried out. The answer becomes the job's result."""
    data = await read_body(request)
    body = convert(strict_json.loads(data), OrderIn) if data else OrderIn()
    job = await run_in_threadpool(_ask_for_plan, store, request.path_params["name"], body, actor)
    return Response(encode(job), 201, media_type="application/json")


def _ask_for_plan(store: Store, name: str, body: OrderIn, actor: Principal) -> jobs.Job:
    with store.ingest() as ingest:
        entry = executions.named(ingest, name).entry
        return work.ask_for_plan(ingest, entry=entry, params=body.params, by=actor.actor)


@routes.ask("/steps/lookup", permission="read")
def lookup(view: View, body: LookupIn) -> Hits:
    """The results that are there for some keys, each with every byte in place; and for all keys that begin alike."""
    told = results.lookup_with_families(view, body.keys, body.families)
    return Hits(hits=_as_hits(told.sound), unsure=_as_hits(told.unsure), whole=list(told.whole))


@routes.post("/steps/commit", permission="write", status=201)
def commit(change: Change, body: StepIn) -> Committed:
    """Put one execution of a step on record: its run, its links and its result, or nothing."""
    return _committed(
        executions.commit_steps(change, pipeline_run=body.pipeline_run, steps=[body.done(change.now())])[0]
    )


@routes.post("/steps/commit-all", permission="write", status=201)
def commit_all(change: Change, body: StepsIn) -> CommittedSteps:
    """Keep small outputs, put executions of steps of one run on record, all or none, and answer which keys have results now."""
    change.blobs.put_all(body.blobs)
    steps = [each.done(change.now()) for each in body.steps]
    made = executions.commit_steps(change, pipeline_run=body.pipeline_run, steps=steps, worker=body.worker)
    return CommittedSteps(steps=[_committed(each) for each in made], hits=_as_hits(results.lookup(change, body.lookup)))


@routes.post("/runs/{run_id}/resume", permission="write")
def resume(change: Change, run_id: str, body: ResumeIn) -> LeaseOut:
    """Let a process carry on a pipeline's run that failed, was killed, or lost its process; finished steps stay as they are."""
    leases.resume(
        change,
        run_id,
        worker=body.worker,
        seconds=body.seconds,
        executor=body.executor,
        instead_of=body.instead_of,
    )
    return _lease_out(leases.get(change, run_id))


@routes.ingest("/runs/{run_id}/alive", permission="write")
def alive(ingest: Ingest, run_id: str, body: AliveIn) -> LeaseOut:
    """A sign of life of the process that carries a pipeline's run out, with the steps that are under way."""
    held = leases.renew(
        ingest, run_id, worker=body.worker, seconds=body.seconds, running=body.running, outline=body.outline
    )
    return _lease_out(held)


@routes.get("/runs/{run_id}/lease", permission="read")
def show_lease(view: View, run_id: str) -> LeaseOut:
    """Who carries a pipeline's run out, or did, and what it was asked with."""
    return _lease_out(leases.get(view, run_id))


@routes.get("/runs/{run_id}/graph", permission="read")
def show_graph(view: View, run_id: str) -> Graph:
    """A pipeline's run as nodes and edges: states, times, reasons, rows and digests; also while it goes on."""
    return graphs.of(view, run_id)


@routes.ingest("/runs/{run_id}/lines", permission="write")
def add_lines(ingest: Ingest, run_id: str, body: LinesIn) -> dict[str, int]:
    """Keep what steps of a pipeline's run have written."""
    found = [
        Line(seq=0, step=each.step, stream=each.stream, at=from_wire(each.at, what="time of a line"), text=each.text)
        for each in body.lines
    ]
    return {"last": lines.add(ingest, run_id, found)}


@routes.get("/runs/{run_id}/lines", permission="read")
def list_lines(view: View, run_id: str, step: str = "", after: int = 0, limit: int = 1000) -> Lines:
    """What the steps of a pipeline's run have written, in order, from behind number ``after``; of one step, if it is named."""
    found = lines.of(view, run_id, step=step or None, after=after, limit=limit)
    return Lines(items=found, next=found[-1].seq if len(found) == limit else None)


@routes.raw("GET", "/runs/{run_id}/lines/stream", permission="read")
async def stream_lines(*, request: Request, store: Store, actor: Principal) -> Response:
    """Lines as server-sent events while they are written, from the first or behind ``Last-Event-ID``; ``end`` when the run
    has ended. ``step`` names one step."""
    run_id, step = request.path_params["run_id"], request.query_params.get("step") or None
    last = request.headers.get("last-event-id", "")
    after = int(last) if last.isdecimal() and len(last) < 10 else 0
    await run_in_threadpool(_written, store, run_id, step, after)  # an unknown run is refused before the stream begins
    return StreamingResponse(_followed(request, store, run_id, step, after), media_type="text/event-stream")


async def _followed(request: Request, store: Store, run_id: str, step: str | None, after: int) -> AsyncIterator[bytes]:
    seen, quiet = -1, 0.0
    yield b"retry: 1000\n\n"
    while not await request.is_disconnected():
        fresh: list[Line] = []
        is_over = False
        if seen != (seen := store.commits):
            fresh, is_over = await run_in_threadpool(_written, store, run_id, step, after)
        for line in fresh:
            after = line.seq
            yield b"event: line\nid: %d\ndata: %s\n\n" % (after, encode(line))
        if fresh:
            seen = -1  # there may be more than one look gives
        elif is_over:
            yield b"event: end\ndata: {}\n\n"
            return
        quiet = 0.0 if fresh else quiet + FOLLOWS_EVERY_S
        if quiet >= 15:
            quiet = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(FOLLOWS_EVERY_S)


def _written(store: Store, run_id: str, step: str | None, after: int) -> tuple[list[Line], bool]:
    with store.view() as view:
        return lines.of(view, run_id, step=step, after=after), lines.is_over(view, run_id)


@routes.post("/steps/accept", permission="write", status=201)
def accept(change: Change, body: AcceptIn) -> Hit:
    """Let a stored result stand for a key whose code has changed, on somebody's word; it is a hit from then on."""
    found = acceptances.accept(change, pipeline=body.pipeline, name=body.name, key=body.key, instead_of=body.instead_of)
    return Hit(found.run_id, list(found.outputs), found.at)


@routes.post("/runs/{run_id}/reproductions", permission="write", status=201)
def reproduced(change: Change, run_id: str, body: ReproductionIn) -> dict[str, str]:
    """Put on record that a run was carried out again from its record, and how alike the results were."""
    reproductions.record(
        change,
        run=run_id,
        verdict=body.verdict,
        sentence=body.sentence,
        tolerance=body.tolerance,
        is_rebuilt=body.is_rebuilt,
        steps=body.steps,
        environment=body.environment,
    )
    return {"verdict": body.verdict}


def _as_hits(found: Mapping[str, Published]) -> dict[str, Hit]:
    return {key: Hit(each.run_id, list(each.outputs), each.at) for key, each in found.items()}


def _committed(step: Step) -> Committed:
    return Committed(run_id=step.run_id, hit_of=step.hit_of, outputs=list(step.outputs))


def _lease_out(lease: Lease) -> LeaseOut:
    return LeaseOut(
        run_id=lease.run_id,
        worker=lease.worker,
        leased_until=lease.leased_until,
        executor=lease.executor,
        params=lease.params,
        running=list(lease.running),
    )


def _pipeline(view: View, pipeline: Pipeline) -> PipelineOut:
    last = runs.get(view, pipeline.last_run)
    return PipelineOut(
        name=pipeline.name,
        entry=pipeline.entry,
        first_seen_at=pipeline.first_seen_at,
        runs=pipeline.runs,
        last_run=LastRun(last.id, last.state, last.started_at),
    )
