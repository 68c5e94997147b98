# SPDX-License-Identifier: Apache-2.0
"""Deployments, gateways, the prediction log and feedback, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Invalid, Malformed, NotFound
from mainstay.domain.names import parse_numbered
from mainstay.domain.release import WHOLE, RolloutConfig
from mainstay.domain.serving import Feedback
from mainstay.formats.signature import Output
from mainstay.lifecycle.governance import people
from mainstay.lifecycle.release import releases, rollouts
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import deployments, feedback, prediction_log, traffic
from mainstay.lifecycle.serving import tables as serving_tables
from mainstay.server import waiting
from mainstay.server.api.release import ReleaseBrief, ReleaseOut, RolloutOut, brief, shaped, shaped_rollout
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Change, Ingest, Store, View, requests

routes = Routes("serving")

MOST_SEGMENT_BYTES = 128 << 20
MOST_FEEDBACK_BYTES = 32 << 20


class RolloutIn(Body):
    strategy: str = "canary"
    steps: list[int] = msgspec.field(default_factory=lambda: [10, 50, 100])
    min_predictions: int = 500
    guards: list[str] = msgspec.field(default_factory=lambda: ["errors", "latency", "quality"])
    latency_limit_ms: float | None = None
    alpha: float = 0.05
    margins: dict[str, float] = msgspec.field(
        default_factory=lambda: {"errors": 0.02, "latency": 0.10, "quality": 0.10}
    )


class DeploymentIn(Body):
    name: str
    environment: str
    model: str
    owner: str
    policy: str
    rollout: RolloutIn = msgspec.field(default_factory=RolloutIn)


class DeploymentBrief(msgspec.Struct):
    name: str
    environment: str
    model: str
    owner: str
    policy: str
    release: str | None
    version: str | None
    predictions: int
    agrees: bool | None


class Deployments(msgspec.Struct):
    items: list[DeploymentBrief]


class VariantOut(msgspec.Struct):
    release: str
    version: str
    role: str
    share: float
    digest: str


class DeploymentOut(DeploymentBrief):
    created_at: datetime
    rollout: dict[str, Any]
    generation: int
    variants: list[VariantOut]
    loaded: list[dict[str, Any]]
    answered: dict[str, int]
    releases: list[ReleaseBrief]
    rollout_now: RolloutOut | None


class ReleaseIn(Body):
    model: str
    version: int


class LoadedIn(msgspec.Struct, kw_only=True):
    deployment: str
    release: str
    version: int
    digest: str
    role: str
    share_bp: int


class CountsIn(msgspec.Struct, kw_only=True):
    deployment: str
    release: str
    requests: int
    predictions: int
    errors: int = 0
    slow: int = 0
    rejected: int = 0


class ReportIn(msgspec.Struct, kw_only=True):
    gateway: str
    started_at: datetime
    generation: int
    pid: int
    loaded: list[LoadedIn]
    counts: list[CountsIn]
    faults: list[dict[str, Any]] = msgspec.field(default_factory=list)


class BatchIn(Body):
    deployment: str
    release: int
    blob: str


class BatchOut(msgspec.Struct):
    part: str
    rows: int


class PieceOut(msgspec.Struct):
    blob: str
    release: str
    model: str
    version: int
    rows: int
    first_id: str
    last_id: str
    since: datetime  # by event time
    until: datetime
    source: str
    sealed_at: datetime


class Pieces(msgspec.Struct):
    items: list[PieceOut]
    next: str | None


class FeedbackIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: str
    label: float | str
    at: datetime | None = None
    source: str | None = None


class PredictionOut(msgspec.Struct):
    id: str
    at: datetime
    logged_at: datetime
    deployment: str
    release: str
    version: str
    variant: str
    status: str
    kind: str  # of the answer: binary, multiclass, regression; classification where nobody said how many classes
    value: float | None
    label: str | int | float | bool | None  # of several classes the one that was said, which ``value`` is the place of
    latency_ms: float | None
    key: str | None
    source: str
    flags: list[str]
    row: dict[str, Any]
    feedback: list[Feedback]


class Predictions(msgspec.Struct):
    items: list[PredictionOut]
    next: str | None


class GatewayOut(msgspec.Struct):
    id: str
    started_at: datetime
    reported_at: datetime
    pid: int
    generation: int
    ok: bool


class Gateways(msgspec.Struct):
    items: list[GatewayOut]


@routes.post("/deployments", permission="write", status=201)
def declare(change: Change, body: DeploymentIn) -> DeploymentOut:
    """Say that a deployment is to exist, with an owner; declared again, its next releases are treated so."""
    rules = msgspec.structs.asdict(body.rollout)
    rollout = RolloutConfig(**rules | {"steps": tuple(rules["steps"]), "guards": tuple(rules["guards"])})
    deployments.declare(
        change,
        name=body.name,
        environment=body.environment,
        model=body.model,
        owner=body.owner,
        policy=body.policy,
        rollout=rollout,
    )
    return show(change, body.name)


@routes.get("/deployments", permission="read")
def list_deployments(view: View) -> Deployments:
    """Every deployment and what is live there."""
    return Deployments(items=[_brief(view, deployment.name) for deployment in deployments.listed(view)])


@routes.get("/deployments/{name}", permission="read")
def show(view: View, name: str) -> DeploymentOut:
    """One deployment: what should answer, what is loaded, its releases, the rollout under way."""
    deployment = deployments.get(view, name)
    under_way = rollouts.under_way(view, name)
    variants = [
        VariantOut(r.id, f"{r.model}/{r.version}", role, share / WHOLE, r.manifest["version_digest"])
        for r, role, share in rollouts.variants(view, name)
    ]
    return DeploymentOut(
        **msgspec.structs.asdict(_brief(view, name)),
        created_at=deployment.created_at,
        rollout=msgspec.to_builtins(deployment.rollout),
        generation=traffic.generation(view),
        variants=variants,
        loaded=traffic.loaded_for(view, name),
        answered=traffic.answered(view, name),
        releases=[brief(view, release) for release in release_tables.releases_of(view, name)],
        rollout_now=shaped_rollout(under_way) if under_way else None,
    )


@routes.post("/deployments/{name}/releases", permission="write", status=201)
def request_release(change: Change, name: str, body: ReleaseIn) -> ReleaseOut:
    """Ask for a version to go live here. It is judged at once; the answer shows it being judged."""
    return shaped(change, deployments.release(change, name=name, model=body.model, version=body.version))


@routes.raw("GET", "/gateway/table", permission="gateway")
async def routing_table(*, request: Request, store: Store, actor: Principal) -> Response:
    """The routing table, as soon as its generation is above ``after``, or after ``wait`` seconds."""
    after = _number(request, "after", 0)
    # What only counts something (a report, labels) changes no table.
    async for _ in waiting.moments(request, lambda: store.changes, _number(request, "wait", 0)):
        if await run_in_threadpool(_generation, store) > after:
            break
    return Response(await run_in_threadpool(_table, store), media_type="application/json")


@routes.ingest("/gateway/report", permission="gateway")
def report(ingest: Ingest, body: ReportIn) -> dict[str, bool]:
    """A gateway says what it has loaded, by digest, and what it has counted since it started."""
    traffic.report(
        ingest,
        gateway=body.gateway,
        started_at=body.started_at,
        pid=body.pid,
        generation=body.generation,
        loaded=[_numbered(line) for line in body.loaded],
        counts=[_numbered(line) for line in body.counts],
        faults=body.faults,
    )
    return {"ok": True}


@routes.get("/gateways", permission="read")
def list_gateways(view: View) -> Gateways:
    """Gateways that spoke within a day, and whether they speak now."""
    speaking = {gateway.id for gateway in traffic.reporting(view)}
    return Gateways(
        items=[
            GatewayOut(g.id, g.started_at, g.reported_at, g.pid, g.generation, g.id in speaking)
            for g in serving_tables.all_gateways(view)
        ]
    )


@routes.raw("POST", "/segments", permission="gateway")
async def take_segment(*, request: Request, store: Store, actor: Principal) -> Response:
    """A closed segment of a gateway's log, as raw bytes; the same one again changes nothing."""
    gateway, sequence = request.query_params.get("gateway", ""), _number(request, "sequence", None)
    data = await read_body(request, most=MOST_SEGMENT_BYTES)
    if not gateway or not data:
        raise Invalid("a segment needs ?gateway=ID&sequence=N and its bytes.")
    return Response(
        await run_in_threadpool(_seal, store, actor, gateway, sequence, data), media_type="application/json"
    )


@routes.post("/segments/batch", permission="write", status=201)
def take_batch(change: Change, body: BatchIn) -> BatchOut:
    """Predictions made offline by a release, as a Parquet blob in the layout of the log."""
    part = prediction_log.add_batch(change, deployment=body.deployment, release=body.release, blob=body.blob)
    return BatchOut(part=part.id, rows=part.rows)


@routes.raw("POST", "/feedback", permission="write")
async def give_feedback(*, request: Request, store: Store, actor: Principal) -> Response:
    """What turned out to be true: one JSON object, or many as NDJSON (``application/x-ndjson``), one a line."""
    data = await read_body(request, most=MOST_FEEDBACK_BYTES)
    many = request.headers.get("content-type", "").startswith("application/x-ndjson")
    key = request.headers.get("idempotency-key")
    seen = requests.identify(actor=actor.actor, route="POST /feedback", key=key, body=data) if key else None
    content, replayed = await run_in_threadpool(_take_feedback, store, actor, data, many, seen)
    headers = {"Idempotency-Replayed": "true"} if replayed else None
    return Response(content, 200, headers, "application/json")


@routes.get("/predictions", permission="read")
def list_predictions(
    view: View, deployment: str | None = None, before: str | None = None, limit: int = 50
) -> Predictions:
    """The latest predictions in the log, newest first; ``before`` an id pages backwards."""
    found = prediction_log.newest(view, deployment, limit, before)
    outputs: dict[tuple[str, int], Output] = {}
    for row in found:
        if (key := (row["_deployment"], row["_release"])) not in outputs:
            outputs[key] = prediction_log.output_of(view, *key)
    items = [_prediction(row, [], outputs[row["_deployment"], row["_release"]]) for row in found]
    return Predictions(items=items, next=items[-1].id if len(items) == limit else None)


@routes.get("/deployments/{name}/log", permission="read")
def list_pieces(view: View, name: str, before: str | None = None, limit: int = 100) -> Pieces:
    """The prediction log of a deployment as the Parquet blobs that it is made of, newest first; ``before`` pages backwards."""
    items = [
        PieceOut(
            blob=part.blob,
            release=release.id,
            model=release.model,
            version=release.version,
            rows=part.rows,
            first_id=part.first_id,
            last_id=part.last_id,
            since=part.since,
            until=part.until,
            source=part.source,
            sealed_at=part.sealed_at,
        )
        for part, release in prediction_log.pieces(view, name, limit, before)
    ]
    return Pieces(items=items, next=items[-1].last_id if len(items) == limit else None)


@routes.get("/predictions/{prediction_id}", permission="read")
def show_prediction(view: View, prediction_id: str) -> PredictionOut:
    """One prediction: the row that was asked, the answer, and what was said of it later."""
    row, told = prediction_log.get(view, prediction_id)
    return _prediction(row, told, prediction_log.output_of(view, row["_deployment"], row["_release"]))


def _numbered(line: LoadedIn | CountsIn) -> dict[str, Any]:
    """A gateway names a release as it was told, ``flights#2``; the tables keep its number."""
    return msgspec.structs.asdict(line) | {"release": parse_numbered(line.release, "#", kind="release")[1]}


def _brief(view: View, name: str) -> DeploymentBrief:
    deployment = deployments.get(view, name)
    live = releases.live(view, name)
    return DeploymentBrief(
        name=name,
        environment=deployment.environment,
        model=deployment.model,
        owner=people.get(view, deployment.owner).name,
        policy=deployment.policy,
        release=live.id if live else None,
        version=f"{live.model}/{live.version}" if live else None,
        predictions=serving_tables.rows_logged(view, name),
        agrees=traffic.agrees(view, name),
    )


def _prediction(row: dict[str, Any], told: list[Feedback], output: Output) -> PredictionOut:
    latency = row["_latency_us"]
    is_placed = output.type == "multiclass" and row["_value"] is not None
    return PredictionOut(
        id=row["_id"],
        at=row["_at"],
        logged_at=row["_logged_at"],
        deployment=row["_deployment"],
        release=f"{row['_deployment']}#{row['_release']}",
        version=f"{row['_model']}/{row['_version']}",
        variant=row["_variant"],
        status=row["_status"],
        kind=output.type,
        value=row["_value"],
        label=(output.classes or ())[int(row["_value"])] if is_placed else None,
        latency_ms=latency / 1000 if latency is not None and row["_source"] == "http" else None,
        key=row["_key"],
        source=row["_source"],
        flags=row["_flags"] or [],
        row={name: value for name, value in row.items() if not name.startswith("_")},
        feedback=told,
    )


def _generation(store: Store) -> int:
    with store.view() as view:
        return traffic.generation(view)


def _table(store: Store) -> bytes:
    with store.view() as view:
        return encode(traffic.routing_table(view))


def _seal(store: Store, actor: Principal, gateway: str, sequence: int, data: bytes) -> bytes:
    with store.view() as view:
        before = serving_tables.segment(view, gateway, sequence)
        digest, rows = (before.digest, before.rows) if before else ("", 0)
    if before is None or digest != sha256_hex(data):
        with store.change(actor=actor.actor, reason="a segment of the prediction log is closed") as change:
            digest, rows, _ = prediction_log.seal(change, gateway=gateway, sequence=sequence, data=data)
    return encode({"digest": digest, "rows": rows})


def _take_feedback(
    store: Store, actor: Principal, data: bytes, many: bool, seen: requests.Request | None
) -> tuple[bytes, bool]:
    told = _read_many(data) if many else [convert(strict_json.loads(data), FeedbackIn)]
    with store.ingest() as ingest:
        if seen and (before := requests.recall(ingest, seen)):
            return before.body, True
        outcome = feedback.give(
            ingest,
            [feedback.Told(id=one.id, label=one.label, at=one.at) for one in told],
            actor=actor.actor,
            source=(told[0].source if told else None) or "api",
        )
        if not many and outcome.refused:
            refusal = outcome.refused[0]["reason"]
            raise NotFound(refusal) if "there is no prediction" in refusal else Invalid(refusal)
        content = encode(outcome)
        if seen:
            requests.remember(ingest, seen, requests.Answer(200, content))
    return content, False


def _read_many(data: bytes) -> list[FeedbackIn]:
    try:
        return msgspec.json.Decoder(FeedbackIn).decode_lines(data)
    except msgspec.ValidationError as error:
        raise Invalid(f"a line of the feedback is not as expected: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"a line of the feedback is not JSON: {error}.") from error


def _number(request: Request, name: str, default: int | None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError) as error:
        raise Invalid(f"query parameter {name!r} is {text!r}; a whole number is expected.") from error
