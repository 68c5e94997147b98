# SPDX-License-Identifier: Apache-2.0
"""About: what every page of an object says first: whose it is, how it stands, why it is so, and where it sits in the loop.

The *ribbon* is the loop with this object lit: data → pipeline → run → version → release → deployment → monitor → decision. The
*because line* is one sentence from the ledger, with links. Both are found by walking stored pointers from the subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstay.domain.data import Snapshot
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.names import parse_numbered, parse_subject
from mainstay.domain.search import Comparison
from mainstay.domain.tracking import Run
from mainstay.lifecycle.answers import health, hrefs, sentences
from mainstay.lifecycle.answers.sentences import Piece
from mainstay.lifecycle.data import contracts, datasets, snapshots
from mainstay.lifecycle.data import lineage as snapshot_lineage
from mainstay.lifecycle.data.features import views
from mainstay.lifecycle.governance import people, policies
from mainstay.lifecycle.monitoring import alerts, monitors
from mainstay.lifecycle.pipelines.scheduling import backfills, schedules
from mainstay.lifecycle.registry import lineage, models, versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import deployments, prediction_log
from mainstay.lifecycle.tracking import runs
from mainstay.lifecycle.tracking.lineage import links
from mainstay.lifecycle.tracking.search import pages
from mainstay.lifecycle.triggers import decisions, rules
from mainstay.store import View, ledger

STATIONS = ("data", "pipeline", "run", "version", "release", "deployment", "monitor", "decision")
TIMELINE = 50
LOOKED_BACK = 24  # snapshots of a dataset: what was made of the newest that was used stands beside it


@dataclass(frozen=True, kw_only=True)
class Station:
    """One stop of the ribbon. ``state`` is a word of the object's own; ``here``: it is what the page is about."""

    station: str
    subject: str | None
    name: str
    state: str
    href: str | None
    here: bool


@dataclass(frozen=True, kw_only=True)
class About:
    """The head of an object's page."""

    subject: str
    kind: str
    name: str
    state: str
    owner: str | None
    since: datetime | None
    because: list[Piece]
    ribbon: list[Station]
    timeline: list[ledger.Entry]
    copy: dict[str, str]


@dataclass(kw_only=True)
class Place:
    """Where a subject sits: the names of its neighbours at each station, as far as the record tells."""

    owner: str | None = None
    state: str = "unknown"
    since: datetime | None = None
    snapshot: str | None = None
    dataset: str | None = None
    view: str | None = None  # a feature view, which is data that others are made of
    pipeline: str | None = None
    run: str | None = None
    version: str | None = None
    release: str | None = None
    deployment: str | None = None
    monitor: str | None = None
    decision: str | None = None
    states: dict[str, str] = field(default_factory=dict)


def ask(view: View, subject: str) -> About:
    """The head of the page of ``subject``.

    Raises:
        Invalid: no page is about such a kind. NotFound: there is no such thing.
    """
    kind, name = parse_subject(subject)
    if kind not in _PLACES:
        raise Invalid(f"no page is about a {kind}; there are pages about {', '.join(_PLACES)}.")
    place = _PLACES[kind](view, name)
    return About(
        subject=subject,
        kind=kind,
        name=name,
        state=place.state,
        owner=place.owner,
        since=place.since,
        because=_because(view, subject, kind, place),
        ribbon=_ribbon(place, kind),
        timeline=_timeline(view, subject, kind, place),
        copy=hrefs.copy_as(kind, name),
    )


def _because(view: View, subject: str, kind: str, place: Place) -> list[Piece]:
    """A deployment is as it is because of what is live on it, and a pipeline because of its newest run."""
    if kind == "deployment" and place.release:
        return sentences.because(view, f"release:{place.release}", named=True)
    if kind == "pipeline":
        return sentences.because(view, f"run:{place.run}", named=True)
    return sentences.because(view, f"dataset:{place.dataset}" if kind == "contract" else subject)


def _timeline(view: View, subject: str, kind: str, place: Place) -> list[ledger.Entry]:
    """What happened to it, newest first; of a pipeline also what happened in its newest run."""
    own = ledger.search(view, subject=subject, limit=TIMELINE)
    ran = ledger.search(view, subject=f"run:{place.run}", limit=TIMELINE) if kind == "pipeline" else ()
    return sorted([*own, *ran], key=lambda entry: -entry.seq)[:TIMELINE]


def _dataset(view: View, name: str) -> Place:
    dataset = datasets.get(view, name)
    found = snapshots.listed(view, dataset=name, limit=LOOKED_BACK)
    used = next((users for each in found if (users := lineage.versions_using_snapshot(view, each.id))), [])
    place = _version(view, used[-1][0].id) if used else Place()
    place.snapshot, place.dataset, place.owner, place.since = None, name, dataset.owner, dataset.created_at
    place.state = _state_of(found[0]) if found else "empty"
    _stand_on(view, place, found[0].id if found else None)
    return place


def _snapshot(view: View, name: str) -> Place:
    snapshot = snapshots.named(view, name)
    users = lineage.versions_using_snapshot(view, name)
    place = _version(view, users[-1][0].id) if users else Place()
    place.snapshot, place.dataset = snapshot.id, snapshot.dataset
    place.owner = datasets.get(view, snapshot.dataset).owner
    place.state, place.since = _state_of(snapshot), snapshot.created_at
    place.states["data"] = place.state
    return place


def _state_of(snapshot: Snapshot) -> str:
    if snapshot.dropped_at:
        return "dropped"
    return "watch" if snapshot.warnings else "ok"


def _contract(view: View, name: str) -> Place:
    contract = contracts.get(view, name)
    place = _dataset(view, name)
    place.state, place.since = f"version {contract.version}", contract.created_at
    return place


def _view(view: View, name: str) -> Place:
    """A feature view stands where it answers now; else where the run is that made what it could answer from."""
    newest = views.versions(view, name)[0]
    table = views.table(view, name, newest.number)
    answering = next((each.name for each in deployments.listed(view) if _answers_from(view, each.name, name)), None)
    made_by = table.run_id if table else None
    place = _deployment_page(view, answering) if answering else _run(view, made_by) if made_by else Place()
    place.view, place.owner, place.since = name, newest.created_by, newest.created_at
    place.state = "ok" if table else "unknown"
    place.states["data"] = place.state
    return place


def _answers_from(view: View, deployment: str, name: str) -> bool:
    live = releases.live(view, deployment)
    version = versions.get(view, model=live.model, number=live.version) if live else None
    return version is not None and any(pin["view"] == name for pin in version.signature.get("views", []))


def _pipeline(view: View, name: str) -> Place:
    newest = _newest_run(view, name)
    if newest is None:
        raise NotFound(f"no pipeline called {name!r} has run here; `mainstay run FILE.py:{name}` runs it.")
    place = _run(view, newest.id)
    place.state, place.since = newest.state, None  # it began with its first run, and this is the newest
    return place


def _newest_run(view: View, pipeline: str) -> Run | None:
    named = [Comparison("attribute", "name", "=", pipeline)]
    return next(iter(pages.find(view, kind="pipeline", comparisons=named, limit=1).runs), None)


def _schedule(view: View, name: str) -> Place:
    schedule = schedules.get(view, name)
    place = _asked_for(view, schedule.pipeline, [job.result for _, job in schedules.firings(view, name)])
    place.owner, place.state, place.since = schedule.owner, schedule.state, schedule.created_at
    return place


def _backfill(view: View, identity: str) -> Place:
    backfill = backfills.get(view, identity)
    done = [{"run_id": each.run_id} for each in reversed(backfills.portions(view, identity))]
    place = _asked_for(view, backfill.pipeline, done)
    place.owner, place.state, place.since = backfill.created_by, backfill.state, backfill.created_at
    return place


def _asked_for(view: View, entry: str, results: Iterable[Mapping[str, Any] | None]) -> Place:
    """Where the newest run is that came of it; ``entry`` is FILE.py:FUNCTION, and the function is the pipeline's name."""
    pipeline = entry.rpartition(":")[2]
    run = next((result["run_id"] for result in results if result and result.get("run_id")), None)
    place = _run(view, run) if run else Place()
    place.pipeline = pipeline
    place.states.setdefault("pipeline", "unknown")
    return place


def _run(view: View, identity: str) -> Place:
    run = runs.get(view, identity)
    whole = runs.get(view, run.parent) if run.parent else run
    made = lineage.versions_of_run(view, whole.id)
    place = _version(view, made[0].id) if made else Place()
    place.run, place.owner, place.state, place.since = identity, run.actor, run.state, run.started_at
    place.pipeline = whole.name if whole.kind == "pipeline" else None
    place.states |= {"run": run.state, "pipeline": whole.state}
    if place.snapshot is None:
        read = [link.ref for link in links.of(view, identity) if link.kind == "snapshot"]
        _stand_on(view, place, next(iter(read or [each.id for each in snapshot_lineage.made_by(view, identity)]), None))
    return place


def _stand_on(view: View, place: Place, name: str | None) -> None:
    place.snapshot = name
    if name:
        with suppress(Invalid, NotFound):  # another tool's name for what it read
            place.states["data"] = _state_of(snapshots.named(view, name))


def _model(view: View, name: str) -> Place:
    model = models.get(view, name)
    newest = next(iter(versions.listed(view, model=name, limit=1)), None)
    place = _version(view, newest.id) if newest else Place()
    place.owner, place.since = model.owner, model.created_at
    place.state = newest.state if newest else "empty"
    return place


def _version(view: View, name: str) -> Place:
    model, number = parse_numbered(name, "/", kind="version")
    version = versions.get(view, model=model, number=number)
    found = release_tables.releases_of_version(view, model, number)
    place = _deployment(view, found[-1].deployment) if found else Place()
    place.version, place.release = version.id, found[-1].id if found else None
    place.run = version.run_id
    run = runs.get(view, version.run_id) if version.run_id else None
    place.pipeline = run.name if run and run.kind == "pipeline" else None
    train = [used.id for used in version.snapshots if used.role == "train"] or [used.id for used in version.snapshots]
    _stand_on(view, place, train[-1] if train else None)
    place.owner, place.state, place.since = models.get(view, model).owner, version.state, version.created_at
    place.states |= {"version": version.state} | ({"run": run.state, "pipeline": run.state} if run else {})
    if found:
        place.states["release"] = found[-1].state
    return place


def _release(view: View, name: str) -> Place:
    deployment, number = parse_numbered(name, "#", kind="release")
    release = releases.get(view, deployment=deployment, number=number)
    place = _version(view, f"{release.model}/{release.version}")
    place.release, place.deployment = release.id, deployment
    place.owner = deployments.get(view, deployment).owner
    place.state, place.since = release.state, release.requested_at
    place.states["release"] = release.state
    return place


def _deployment(view: View, name: str) -> Place:
    deployment = deployments.get(view, name)
    monitor = monitors.of_deployment(view, name)
    state = health.of_deployment(view, name)
    decision = next(iter(decisions.listed(view, deployment=name, limit=1)), None)
    return Place(
        owner=deployment.owner,
        state=state,
        since=deployment.created_at,
        deployment=name,
        monitor=monitor.name if monitor else None,
        decision=decision.id if decision else None,
        states={"deployment": state, "monitor": state, "decision": decision.outcome if decision else "unknown"},
    )


def _deployment_page(view: View, name: str) -> Place:
    live = releases.live(view, name)
    place = _release(view, live.id) if live else _deployment(view, name)
    here = _deployment(view, name)
    place.owner, place.state, place.since = here.owner, here.state, here.since
    return place


def _monitor(view: View, name: str) -> Place:
    monitor = monitors.get(view, name)
    place = _deployment_page(view, monitor.deployment)
    place.monitor, place.owner, place.since = name, monitor.owner, monitor.created_at
    return place


def _alert(view: View, identity: str) -> Place:
    alert = alerts.get(view, identity)
    place = _monitor(view, alert.monitor)
    place.state, place.owner, place.since = alert.state, alert.owner, alert.opened_at
    return place


def _trigger(view: View, name: str) -> Place:
    trigger = rules.get(view, name)
    place = _deployment_page(view, trigger.deployment)
    place.state, place.owner, place.since = trigger.mode, trigger.owner, trigger.created_at
    return place


def _decision(view: View, identity: str) -> Place:
    decision = decisions.get(view, identity)
    place = _deployment_page(view, decision.deployment)
    place.decision, place.state, place.since = identity, decision.outcome, decision.at
    place.states["decision"] = decision.outcome
    place.owner = rules.get(view, decision.trigger).owner
    return place


def _prediction(view: View, identity: str) -> Place:
    row, _ = prediction_log.get(view, identity)
    place = _release(view, f"{row['_deployment']}#{row['_release']}")
    place.state, place.since = row["_status"], row["_logged_at"]
    return place


def _policy(view: View, name: str) -> Place:
    policy = policies.get(view, name)
    return Place(owner=policy.actor, state=f"version {policy.version}", since=policy.created_at)


def _person(view: View, name: str) -> Place:
    someone = people.get(view, name)
    return Place(owner=name, state="disabled" if someone.disabled_at else "active", since=someone.created_at)


_PLACES: dict[str, Callable[[View, str], Place]] = {
    "dataset": _dataset,
    "snapshot": _snapshot,
    "contract": _contract,
    "view": _view,
    "pipeline": _pipeline,
    "schedule": _schedule,
    "backfill": _backfill,
    "run": _run,
    "model": _model,
    "version": _version,
    "release": _release,
    "deployment": _deployment_page,
    "monitor": _monitor,
    "alert": _alert,
    "trigger": _trigger,
    "decision": _decision,
    "prediction": _prediction,
    "policy": _policy,
    "person": _person,
}

_HERE = {
    "dataset": "data",
    "snapshot": "data",
    "contract": "data",
    "view": "data",
    "schedule": "pipeline",
    "backfill": "pipeline",
    "model": "version",
    "alert": "monitor",
    "trigger": "decision",
    "prediction": "deployment",
}


def _ribbon(place: Place, kind: str) -> list[Station]:
    here = _HERE.get(kind, kind)
    names: dict[str, tuple[str, str | None]] = {
        "data": _data(place),
        "pipeline": ("pipeline", place.pipeline),
        "run": ("run", place.run),
        "version": ("version", place.version),
        "release": ("release", place.release),
        "deployment": ("deployment", place.deployment),
        "monitor": ("monitor", place.monitor),
        "decision": ("decision", place.decision),
    }
    return [_station(station, names[station], place, station == here) for station in STATIONS]


def _data(place: Place) -> tuple[str, str | None]:
    if place.view:
        return "view", place.view
    return ("snapshot", place.snapshot) if place.snapshot else ("dataset", place.dataset)


def _station(station: str, at: tuple[str, str | None], place: Place, here: bool) -> Station:
    kind, name = at
    if name is None:
        return Station(station=station, subject=None, name="none yet", state="unknown", href=None, here=here)
    subject = f"{kind}:{name}"
    shown = name[:8] if kind in ("run", "decision") else name
    state = place.states.get(station, "ok")
    return Station(station=station, subject=subject, name=shown, state=state, href=hrefs.of(subject), here=here)
