# SPDX-License-Identifier: Apache-2.0
"""Live: every environment, deployment, release and share, as reported by what is loaded, beside what should be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.domain.release import WHOLE, Release
from mainstay.domain.serving import Deployment
from mainstay.lifecycle.answers import health
from mainstay.lifecycle.data import references, snapshots
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import releases, rollouts
from mainstay.lifecycle.serving import deployments, traffic
from mainstay.lifecycle.tracking import runs
from mainstay.store import View


@dataclass(frozen=True, kw_only=True)
class Line:
    """One release with a part in a deployment. ``agrees`` is None while no gateway speaks."""

    environment: str
    deployment: str
    owner: str
    release: str
    version: str
    role: str
    share: float
    digest: str
    loaded: list[dict[str, Any]]
    agrees: bool | None
    trained_at: datetime | None  # None: no run of this workspace made the version
    trained_by: str | None
    trained_on: list[str]
    age_days: float
    approved_by: list[str]
    performance: dict[str, Any] | None
    state: str
    warnings: list[str]  # of the data it came from: read from a place that may change


def ask(view: View) -> list[Line]:
    """What is live, everywhere."""
    return [line for deployment in deployments.listed(view) for line in _lines(view, deployment)]


def _lines(view: View, deployment: Deployment) -> list[Line]:
    loaded = traffic.loaded_for(view, deployment.name)
    return [
        _line(view, deployment, release, role, share, loaded)
        for release, role, share in rollouts.variants(view, deployment.name)
    ]


def _line(
    view: View, deployment: Deployment, release: Release, role: str, share: int, loaded: list[dict[str, Any]]
) -> Line:
    version = versions.get(view, model=release.model, number=release.version)
    run = runs.get(view, version.run_id) if version.run_id else None
    said = [
        {"gateway": gateway["gateway"], "digest": variant["digest"], "matches": variant["matches"]}
        for gateway in loaded
        for variant in gateway["variants"]
        if variant["release"] == release.number
    ]
    return Line(
        environment=deployment.environment,
        deployment=deployment.name,
        owner=deployment.owner,
        release=release.id,
        version=version.id,
        role=role,
        share=share / WHOLE,
        digest=version.digest,
        loaded=said,
        agrees=(len(said) == len(loaded) and all(one["matches"] for one in said)) if loaded else None,
        trained_at=run.started_at if run else None,
        trained_by=run.actor if run else None,
        trained_on=[
            f"{used.id} ({snapshots.named(view, used.id).rows} rows)"
            for used in version.snapshots
            if used.role == "train"
        ],
        age_days=round((view.now() - (run.started_at if run else version.created_at)).total_seconds() / 86400, 2),
        approved_by=[approval.actor for approval in releases.valid_approvals(view, release)],
        performance=health.performance_of(view, deployment.name, release.number),
        state=health.of_deployment(view, deployment.name),
        warnings=references.warning_of(view, [used.id for used in version.snapshots]),
    )
