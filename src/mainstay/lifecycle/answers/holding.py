# SPDX-License-Identifier: Apache-2.0
"""Holding: what was put away long ago, and that nothing which is still wanted needs.

In: a moment. Out: each deleted run, version or logged model and each dropped snapshot of before, unless something holds on to
it: a version on the run that made it, a run on the snapshots it read, a snapshot on the run and the snapshots it came from, a
step on its pipeline's run. So does a parameter that is the name of a snapshot (``flights@2``), of a run, a schedule, a trigger, a
backfill that is under way, or a job that waits. What is put away holds on to nothing, so a chain of such things goes together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from mainstay.domain.data import parse_snapshot
from mainstay.domain.errors import Invalid
from mainstay.lifecycle.data import tables as data
from mainstay.lifecycle.data.features import tables as features
from mainstay.lifecycle.pipelines.scheduling import tables as scheduling
from mainstay.lifecycle.registry import tables as registry
from mainstay.lifecycle.tracking import tables as tracking
from mainstay.lifecycle.tracking.logged_models import tables as logged_models
from mainstay.lifecycle.triggers import tables as triggers
from mainstay.store import View, jobs

RUNS, STEPS, MODELS = "deleted runs", "steps of deleted runs", "deleted logged models"
VERSIONS, SNAPSHOTS = "deleted versions", "dropped snapshots"


def put_away(view: View, before: datetime) -> dict[str, str]:
    """What of it there is, by subject, and its kind."""
    runs, steps = tracking.put_away(view, before)
    away = {f"run:{run}": STEPS for run, _ in steps} | {f"run:{run}": RUNS for run in runs}
    away |= {f"logged-model:{model}": MODELS for model in logged_models.put_away(view, before)}
    away |= {f"version:{model}/{number}": VERSIONS for model, number in registry.put_away(view, before)}
    away |= {f"snapshot:{dataset}@{number}": SNAPSHOTS for dataset, number in data.put_away(view, before)}
    if not away:
        return away
    held_by: dict[str, list[str]] = {}
    waiting = []
    for holder, held in _pairs(view, steps):
        if held not in away:
            continue
        if holder in away:
            held_by.setdefault(holder, []).append(held)
        else:
            waiting.append(held)
    while waiting:
        held = waiting.pop()
        if away.pop(held, None) is not None:
            waiting += held_by.get(held, ())
    return away


def _pairs(view: View, steps: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Who needs what."""
    for run, parent in steps:
        yield f"run:{run}", f"run:{parent}"
        yield f"run:{parent}", f"run:{run}"
    for model, number, run in registry.made_by(view):
        yield f"version:{model}/{number}", f"run:{run}"
    for dataset, number, run in data.made_by(view):
        yield f"snapshot:{dataset}@{number}", f"run:{run}"
    for name, number, run in features.made_by(view):
        yield f"view:{name}/{number}", f"run:{run}"
    for subject, dataset, number in data.users_of_dropped(view):
        yield subject, f"snapshot:{dataset}@{number}"
    for subject, told in _told(view):
        yield from ((subject, snapshot) for snapshot in _snapshots_in(told))


def _told(view: View) -> Iterator[tuple[str, Any]]:
    """Parameters: who has them, and what they are."""
    for run, value in tracking.params_with(view, "@"):
        yield f"run:{run}", value
    for schedule in scheduling.all_schedules(view):
        yield schedule.subject, schedule.params
    for backfill in scheduling.running_backfills(view):
        yield backfill.subject, backfill.params
    for trigger in triggers.all_triggers(view):
        yield trigger.subject, trigger.params
    for job in jobs.unfinished(view):
        yield f"job:{job.id}", job.body.get("params")


def _snapshots_in(told: Any) -> Iterator[str]:
    """The subjects of snapshots that are named in a parameter, or in what it holds."""
    if isinstance(told, str):
        with suppress(Invalid):
            dataset, number = parse_snapshot(told.strip().removeprefix("snapshot:"))
            yield f"snapshot:{dataset}@{number}"
    elif isinstance(told, Mapping):
        yield from (each for value in told.values() for each in _snapshots_in(value))
    elif isinstance(told, list):
        yield from (each for value in told for each in _snapshots_in(value))
