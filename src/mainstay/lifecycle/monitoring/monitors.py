# SPDX-License-Identifier: Apache-2.0
"""Monitors: what is watched over a deployment, and who answers for it. None is declared without an owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from mainstay.domain.clock import parse_duration
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.monitoring import MonitorDeclared
from mainstay.domain.monitoring import WINDOWS, Monitor
from mainstay.domain.names import check_name
from mainstay.lifecycle.governance import people
from mainstay.lifecycle.monitoring import tables
from mainstay.lifecycle.serving import deployments
from mainstay.store import Change, View

MOST_SLICES = 10
LONGEST = timedelta(days=3650)


def declare(
    change: Change,
    *,
    name: str,
    deployment: str,
    owner: str,
    window: str = "1d",
    review: str = "30d",
    slices: Sequence[str] = (),
    label_delay: str | None = None,
    label_coverage: float = 0.9,
    tolerance: float = 0.02,
    latency_limit_ms: float | None = None,
    error_limit: float = 0.01,
) -> Monitor:
    """Say that a deployment is to be watched. Declaring a monitor again changes it; what was judged stands.

    Raises:
        NotFound: no such owner or deployment. Invalid: an unusable name, window, duration or limit, or the name is that
        of another deployment's monitor.
    """
    check_name("monitor", name)
    people.get(change, owner)
    deployments.get(change, deployment)
    before = tables.locked_monitor(change, name)
    if before and before.deployment != deployment:
        raise Invalid(f"monitor {name!r} watches deployment {before.deployment!r}; give {deployment!r} one of its own.")
    new = Monitor(
        name=name,
        deployment=deployment,
        owner=owner,
        window=window,
        review=review,
        slices=tuple(slices),
        label_delay=label_delay,
        label_coverage=label_coverage,
        tolerance=tolerance,
        latency_limit_ms=latency_limit_ms,
        error_limit=error_limit,
        created_at=before.created_at if before else change.now(),
        created_by=before.created_by if before else change.actor,
        last_reviewed_at=before.last_reviewed_at if before else None,
    )
    _check(new)
    tables.put_monitor(change, new)
    change.record(MonitorDeclared(monitor=name, deployment=deployment, owner=owner, content=_content(new)))
    return new


def ensure_for(change: Change, deployment: str) -> Monitor:
    """The deployment's monitor; where there is none, one is declared, owned by the deployment's owner."""
    if found := of_deployment(change, deployment):
        return found
    owner = deployments.get(change, deployment).owner
    return declare(change, name=deployment, deployment=deployment, owner=owner)


def get(view: View, name: str) -> Monitor:
    """One monitor.

    Raises:
        NotFound: there is none of that name.
    """
    found = tables.monitor(view, name)
    if found is None:
        raise NotFound(f"there is no monitor {name!r}; `mainstay monitors list` shows those there are.")
    return found


def of_deployment(view: View, deployment: str) -> Monitor | None:
    """The deployment's own monitor: the one that was declared first."""
    return next(iter(tables.monitors_of(view, deployment)), None)


def listed(view: View) -> list[Monitor]:
    """Every monitor, by name."""
    return tables.all_monitors(view)


def check_length(text: str, *, what: str) -> timedelta:
    """Read a duration of more than nothing and at most ten years.

    Raises:
        Invalid: it is none.
    """
    try:
        length = parse_duration(text, what=what)
    except OverflowError:
        length = timedelta.max
    if not timedelta(0) < length <= LONGEST:
        raise Invalid(f"{what} is {text!r}; more than nothing and at most {LONGEST.days} days is expected.")
    return length


def _check(new: Monitor) -> None:
    if new.window not in WINDOWS:
        raise Invalid(f"monitor {new.name!r} has window {new.window!r}; the windows are {', '.join(WINDOWS)}.")
    check_length(new.review, what=f"review of monitor {new.name!r}")
    if new.label_delay is not None:
        check_length(new.label_delay, what=f"label_delay of monitor {new.name!r}")
    if len(new.slices) > MOST_SLICES:
        raise Invalid(f"monitor {new.name!r} has {len(new.slices)} slices; at most {MOST_SLICES} are possible.")
    shares = (("label_coverage", new.label_coverage), ("tolerance", new.tolerance), ("error_limit", new.error_limit))
    for what, share in shares:
        if not 0.0 <= share <= 1.0:
            raise Invalid(f"{what} of monitor {new.name!r} is {share}; a share from 0 to 1 is expected.")
    if new.latency_limit_ms is not None and not 0 < new.latency_limit_ms < 1e9:
        raise Invalid(f"latency_limit_ms of monitor {new.name!r} is {new.latency_limit_ms}; more than 0 is expected.")


def _content(new: Monitor) -> dict[str, object]:
    rules = ("window", "review", "label_delay", "label_coverage", "tolerance", "latency_limit_ms", "error_limit")
    known = asdict(new)
    return {name: known[name] for name in rules} | {"slices": list(new.slices)}
