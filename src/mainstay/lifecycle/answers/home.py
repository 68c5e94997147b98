# SPDX-License-Identifier: Apache-2.0
"""Home: what is live and is it healthy, what changed, what waits for whom, what is overdue. Model health and uptime stand
side by side and are never merged: a service can be up and useless."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.lifecycle.answers import health, hrefs, live
from mainstay.lifecycle.data import datasets, refusals
from mainstay.lifecycle.governance import policies
from mainstay.lifecycle.monitoring import alerts, monitors, reviews
from mainstay.lifecycle.registry import models
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.release import tables as release_tables
from mainstay.lifecycle.serving import deployments, traffic
from mainstay.lifecycle.serving import tables as serving_tables
from mainstay.lifecycle.triggers import decisions
from mainstay.store import View, ledger

CHANGED = 15


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Something that waits for somebody. ``what``: approval, alert, batch, review or suggestion."""

    what: str
    subject: str
    title: str
    owner: str
    since: datetime
    href: str | None


@dataclass(frozen=True, kw_only=True)
class Home:
    """The first page."""

    live: list[live.Line]
    changed: list[ledger.Entry]
    waiting: list[Waiting]
    overdue: list[Waiting]
    health: dict[str, Any]
    counts: dict[str, int]
    empty: dict[str, str] | None


def ask(view: View) -> Home:
    """The first page, as of now."""
    counts = _counts(view)
    return Home(
        live=live.ask(view),
        changed=_changed(view),
        waiting=[*_approvals(view), *_alerts(view), *_batches(view), *_suggestions(view)],
        overdue=_overdue(view),
        health=_health(view),
        counts=counts,
        empty=None if counts["deployments"] or counts["datasets"] else {"command": "mainstay demo"},
    )


def _changed(view: View) -> list[ledger.Entry]:
    """The newest events that somebody would want to know; sealing the log and starting processes are not among them."""
    kinds = ("release.*", "rollout.*", "alert.*", "decision.*", "version.registered", "snapshot.taken", "batch.refused",
             "approval.given", "policy.changed", "contract.changed", "deployment.declared")  # fmt: skip
    found = [entry for kind in kinds for entry in ledger.search(view, kind=kind, limit=CHANGED)]
    return sorted(found, key=lambda entry: entry.seq, reverse=True)[:CHANGED]


def _approvals(view: View) -> list[Waiting]:
    found = []
    for release in release_tables.releases_in_states(view, ["waiting"]):
        policy = policies.get(view, release.manifest["policy"]["name"], release.manifest["policy"]["version"])
        lack = policy.approvals - len(releases.valid_approvals(view, release))
        found.append(
            Waiting(
                what="approval",
                subject=release.subject,
                title=f"release {release.id} waits for {lack} approval{'s' if lack != 1 else ''}",
                owner=f"an approver other than {', '.join(release.authors)}",
                since=release.judged_at or release.requested_at,
                href=hrefs.of(release.subject),
            )
        )
    return found


def _alerts(view: View) -> list[Waiting]:
    return [
        Waiting(
            what="alert",
            subject=alert.subject,
            title=alert.title,
            owner=alert.owner,
            since=alert.opened_at,
            href=hrefs.of(alert.subject),
        )
        for alert in alerts.listed(view, state="open")
    ]


def _batches(view: View) -> list[Waiting]:
    return [
        Waiting(
            what="batch",
            subject=f"dataset:{refused.dataset}",
            title=refused.sentence,
            owner=datasets.get(view, refused.dataset).owner,
            since=refused.at,
            href=hrefs.of(f"dataset:{refused.dataset}"),
        )
        for refused in refusals.unanswered(view)
    ]


def _suggestions(view: View) -> list[Waiting]:
    return [
        Waiting(
            what="suggestion",
            subject=decision.subject,
            title=decision.sentence,
            owner=deployments.get(view, decision.deployment).owner,
            since=decision.at,
            href=hrefs.of(decision.subject),
        )
        for decision in decisions.waiting(view)
    ]


def _overdue(view: View) -> list[Waiting]:
    return [
        Waiting(
            what="review",
            subject=monitor.subject,
            title=f"monitor {monitor.name} has not been looked at since it was due",
            owner=monitor.owner,
            since=monitor.review_due_at,
            href=hrefs.of(monitor.subject),
        )
        for monitor in monitors.listed(view)
        if reviews.is_overdue(view, monitor)
    ]


def _health(view: View) -> dict[str, Any]:
    states = Counter(health.of_deployment(view, deployment.name) for deployment in deployments.listed(view))
    speaking = {gateway.id for gateway in traffic.reporting(view)}
    return {
        "models": {state: states.get(state, 0) for state in ("ok", "watch", "alert", "unknown")},
        "uptime": {
            "gateways": [
                {"id": gateway.id, "reported_at": gateway.reported_at, "ok": gateway.id in speaking}
                for gateway in serving_tables.all_gateways(view)
            ]
        },
    }


def _counts(view: View) -> dict[str, int]:
    return {
        "datasets": len(datasets.listed(view, limit=1000)),
        "models": len(models.listed(view, limit=1000)),
        "deployments": len(deployments.listed(view)),
        "predictions": serving_tables.rows_logged(view),
        "labels": serving_tables.feedback_total(view),
        "events": ledger.head(view)[0],
    }
