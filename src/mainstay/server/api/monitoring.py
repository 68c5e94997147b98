# SPDX-License-Identifier: Apache-2.0
"""Monitors, judged windows, alerts and reviews, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.clock import from_wire
from mainstay.domain.monitoring import Alert, Monitor, Review, Verdict, Window, window_key
from mainstay.domain.triggers import Decision
from mainstay.lifecycle.monitoring import alerts, baselines, distributions, judging, monitors, reviews, windows
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.triggers import decisions
from mainstay.server.principals import Principal
from mainstay.server.routes import Body, Routes, convert, encode, read_body
from mainstay.store import Change, Store, View

routes = Routes("monitoring")

MOST_JUDGE_BYTES = 10_000


class MonitorIn(Body):
    name: str
    deployment: str
    owner: str
    window: str = "1d"
    review: str = "30d"
    slices: list[str] = msgspec.field(default_factory=list)
    label_delay: str | None = None
    label_coverage: float = 0.9
    tolerance: float = 0.02
    latency_limit_ms: float | None = None
    error_limit: float = 0.01


class ReviewIn(Body):
    decision: str
    note: str


class ResolveIn(Body):
    cause: str = ""


class MuteIn(Body):
    until: str


class JudgeIn(Body):
    until: str | None = None


class DecisionBrief(msgspec.Struct):
    id: str
    trigger: str
    outcome: str
    result: str
    sentence: str


class MonitorBrief(msgspec.Struct):
    name: str
    deployment: str
    owner: str
    window: str
    review: str
    state: str
    window_id: str | None
    windows: int
    alerts: int
    last_reviewed_at: datetime | None
    review_due_at: datetime
    review_overdue: bool


class MonitorOut(MonitorBrief):
    slices: list[str]
    label_delay: str | None
    label_coverage: float
    tolerance: float
    latency_limit_ms: float | None
    error_limit: float
    created_at: datetime
    created_by: str
    baseline: dict[str, Any] | None
    importance: dict[str, float] | None
    reviews: list[Review]


class Monitors(msgspec.Struct):
    items: list[MonitorBrief]


class WindowOut(msgspec.Struct):
    id: str
    name: str
    since: datetime
    until: datetime
    revision: int
    state: str
    n: int
    n_http: int
    labelled: int
    coverage: float | None
    is_mature: bool
    release: str | None
    version: str | None
    releases: dict[str, int]
    verdicts: list[Verdict]
    drift: dict[str, Any] | None
    performance: dict[str, Any] | None
    slices: list[dict[str, Any]]
    estimate: dict[str, Any] | None
    latency: dict[str, Any] | None
    errors: dict[str, Any] | None
    predictions_per_day: list[dict[str, Any]]
    decision: DecisionBrief | None
    event: int
    digest: str
    judged_at: datetime


class Windows(msgspec.Struct):
    items: list[WindowOut]


class AlertOut(msgspec.Struct):
    id: str
    monitor: str
    deployment: str
    key: str
    severity: str
    state: str
    title: str
    sentence: str
    owner: str
    opened_at: datetime
    as_of: datetime
    count: int
    windows: list[str]
    release: str | None
    version: str | None
    window_id: str | None
    because: int | None
    event: int
    muted_until: datetime | None
    history: list[dict[str, Any]]
    decision: DecisionBrief | None


class Alerts(msgspec.Struct):
    items: list[AlertOut]
    next: str | None


class Reviews(msgspec.Struct):
    items: list[Review]


@routes.post("/monitors", permission="write", status=201)
def declare(change: Change, body: MonitorIn) -> MonitorOut:
    """Say that a deployment is to be watched, with an owner; declared again, it is watched by the new rules."""
    monitors.declare(change, **msgspec.structs.asdict(body))
    return show(change, body.name)


@routes.get("/monitors", permission="read")
def list_monitors(view: View) -> Monitors:
    """Every monitor, its state, and whether its owner has looked."""
    return Monitors(items=[_brief(view, monitor) for monitor in monitors.listed(view)])


@routes.get("/monitors/{name}", permission="read")
def show(view: View, name: str) -> MonitorOut:
    """One monitor: its rules, its state, what it compares with."""
    monitor = monitors.get(view, name)
    baseline, importance = _baseline(view, monitor)
    return MonitorOut(
        **msgspec.structs.asdict(_brief(view, monitor)),
        slices=list(monitor.slices),
        label_delay=monitor.label_delay,
        label_coverage=monitor.label_coverage,
        tolerance=monitor.tolerance,
        latency_limit_ms=monitor.latency_limit_ms,
        error_limit=monitor.error_limit,
        created_at=monitor.created_at,
        created_by=monitor.created_by,
        baseline=baseline,
        importance=importance,
        reviews=reviews.listed(view, name),
    )


@routes.get("/monitors/{name}/windows", permission="read")
def list_windows(view: View, name: str, limit: int = 100) -> Windows:
    """Judged windows, oldest first, each as it was judged last; the newest ``limit`` of them."""
    monitor = monitors.get(view, name)
    found = windows.listed(view, monitor, limit)
    decided = decisions.on_windows(view, monitor.deployment, [window.key for window in found])
    return Windows(items=[_window(window, decided.get(window.key)) for window in found])


@routes.get("/monitors/{name}/windows/{window_id}/columns/{column}", permission="read")
def show_column(view: View, name: str, window_id: str, column: str) -> dict[str, Any]:
    """One column's distribution in a window, over the same bars as its baseline."""
    return distributions.show(view, monitors.get(view, name), window_id, column)


@routes.raw("POST", "/monitors/{name}/judge", permission="write")
async def judge(*, request: Request, store: Store, actor: Principal) -> Response:
    """Judge whatever is stale. ``until``: what ends by then is over, though nothing later came. Harmless to repeat."""
    data = await read_body(request, most=MOST_JUDGE_BYTES)
    given = strict_json.loads(data) if data.strip() else {}
    reason = given.pop("reason", "") if isinstance(given, dict) else ""
    body = convert(given, JudgeIn)
    until = from_wire(body.until, what="until") if body.until else None
    name = request.path_params["name"]
    content = await run_in_threadpool(_judge, store, name, actor.actor, until, str(reason or ""))
    return Response(content, media_type="application/json")


@routes.post("/monitors/{name}/reviews", permission="write", status=201)
def review(change: Change, name: str, body: ReviewIn) -> Review:
    """Record that you looked at a monitor, and what follows: keep, retrain or retire."""
    return reviews.give(change, monitor=name, decision=body.decision, note=body.note)


@routes.get("/monitors/{name}/reviews", permission="read")
def list_reviews(view: View, name: str) -> Reviews:
    """Who looked at a monitor, newest first."""
    return Reviews(items=reviews.listed(view, name))


@routes.get("/alerts", permission="read")
def list_alerts(
    view: View, state: str | None = None, monitor: str | None = None, after: str | None = None, limit: int = 100
) -> Alerts:
    """Alerts, newest first. ``state``: open, acknowledged, muted, resolved, or unresolved for the first three."""
    found = alerts.listed(view, state=state, monitor=monitor, before=after, limit=limit)
    return Alerts(items=[_alert(view, alert) for alert in found], next=found[-1].id if len(found) == limit else None)


@routes.get("/alerts/{alert_id}", permission="read")
def show_alert(view: View, alert_id: str) -> AlertOut:
    """One alert, with what happened to it."""
    return _alert(view, alerts.get(view, alert_id))


@routes.post("/alerts/{alert_id}/acknowledge", permission="write")
def acknowledge(change: Change, alert_id: str) -> AlertOut:
    """Say that you take care of it."""
    return _alert(change, alerts.acknowledge(change, alert_id))


@routes.post("/alerts/{alert_id}/resolve", permission="write")
def resolve(change: Change, alert_id: str, body: ResolveIn) -> AlertOut:
    """Say that it is over, with a reason."""
    return _alert(change, alerts.resolve(change, alert_id, cause=body.cause))


@routes.post("/alerts/{alert_id}/mute", permission="write")
def mute(change: Change, alert_id: str, body: MuteIn) -> AlertOut:
    """Keep it silent until a moment to come, with a reason."""
    return _alert(change, alerts.mute(change, alert_id, until=from_wire(body.until, what="until")))


def brief_decision(found: Decision | None) -> DecisionBrief | None:
    """A decision beside a window or an alert."""
    if found is None:
        return None
    return DecisionBrief(
        id=found.id, trigger=found.trigger, outcome=found.outcome, result=found.result, sentence=found.sentence
    )


def _judge(store: Store, name: str, actor: str, until: datetime | None, reason: str) -> bytes:
    judged = judging.judge_stale(store, name, actor=actor, until=until, reason=reason)
    return encode(Windows(items=[_window(window, None) for window in judged]))


def _brief(view: View, monitor: Monitor) -> MonitorBrief:
    newest = windows.latest(view, monitor)
    return MonitorBrief(
        name=monitor.name,
        deployment=monitor.deployment,
        owner=monitor.owner,
        window=monitor.window,
        review=monitor.review,
        state=newest.state if newest else "unknown",
        window_id=newest.id if newest else None,
        windows=windows.count(view, monitor),
        alerts=len(alerts.open_of(view, monitor.name)),
        last_reviewed_at=monitor.last_reviewed_at,
        review_due_at=monitor.review_due_at,
        review_overdue=reviews.is_overdue(view, monitor),
    )


def _baseline(view: View, monitor: Monitor) -> tuple[dict[str, Any] | None, dict[str, float] | None]:
    live = releases.live(view, monitor.deployment)
    if live is None:
        return None, None
    version = versions.get(view, live.model, live.version)
    found = baselines.of(view, version)
    if found is None:
        return None, None
    made = found.baseline
    facts = {
        "version": version.id,
        "rows": made.profile.n,
        "windows": made.calibration.windows,
        "figures": made.figures,
    }
    return facts | {"digest": made.blob}, baselines.importance(version.metrics, made.inputs)


def _window(window: Window, decision: Decision | None) -> WindowOut:
    measured = window.measurements
    return WindowOut(
        id=window.id,
        name=windows.name_of(window),
        since=window.since,
        until=window.until,
        revision=window.revision,
        state=window.state,
        n=window.n,
        n_http=window.n_http,
        labelled=window.labelled,
        coverage=window.coverage,
        is_mature=window.is_mature,
        release=f"{window.deployment}#{window.release}" if window.release else None,
        version=f"{window.model}/{window.version}" if window.model else None,
        releases=measured.get("releases", {}),
        verdicts=list(window.verdicts),
        drift=measured.get("drift"),
        performance=_performance(measured.get("performance")),
        slices=measured.get("slices", []),
        estimate=measured.get("estimate"),
        latency=measured.get("latency"),
        errors=measured.get("errors"),
        predictions_per_day=measured.get("predictions_per_day", []),
        decision=brief_decision(decision),
        event=window.event,
        digest=window.digest,
        judged_at=window.judged_at,
    )


def _performance(measured: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures with their intervals; of the reference the bare values, and its figures beside them."""
    if measured is None:
        return None
    figures = measured["reference"] or {}
    bare = {name: figure["value"] for name, figure in figures.items() if isinstance(figure, dict)}
    return measured | {"reference": bare or None, "reference_figures": figures or None}


def _alert(view: View, alert: Alert) -> AlertOut:
    latest = alert.windows[-1] if alert.windows else None
    monitor = monitors.get(view, alert.monitor)
    keys = [window_key(alert.monitor, monitor.window, window) for window in alert.windows]
    decided = decisions.on_windows(view, alert.deployment, keys)
    newest = next((decided[key] for key in reversed(keys) if key in decided), None)
    return AlertOut(
        id=alert.id,
        monitor=alert.monitor,
        deployment=alert.deployment,
        key=alert.key,
        severity=alert.severity,
        state=alert.state,
        title=alert.title,
        sentence=alert.sentence,
        owner=alert.owner,
        opened_at=alert.opened_at,
        as_of=alert.as_of,
        count=alert.count,
        windows=list(alert.windows),
        release=f"{alert.deployment}#{alert.release}" if alert.release else None,
        version=alert.version,
        window_id=latest,
        because=alert.because,
        event=alert.event,
        muted_until=alert.muted_until,
        history=[_told(entry) for entry in alerts.history(view, alert)],
        decision=brief_decision(newest),
    )


def _told(entry: Any) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "actor": entry.actor,
        "kind": entry.kind,
        "reason": entry.reason,
        "body": entry.body,
    }
