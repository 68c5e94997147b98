# SPDX-License-Identifier: Apache-2.0
"""Months of a live house, good and bad, and the worker's part in a retraining."""

from __future__ import annotations

from typing import Any

import numpy as np
from live_house import LiveHouse, chance_of, month

from mainstay.domain.monitoring import Window
from mainstay.domain.registry import Version
from mainstay.domain.triggers import Decision, Trigger
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.tracking import runs
from mainstay.lifecycle.triggers import decisions, following, rules
from mainstay.store import jobs


def retrain_when(
    house: LiveHouse, condition: str = "performance_drop || calibration_gap > 0.05", **rules_: Any
) -> Trigger:
    """Declare trigger ``flights-retrain``."""
    asked: dict[str, Any] = {"mode": "auto", "cooldown": "30d", "params": {"until": "{until}", "depth": 4}} | rules_
    with house.store.change(actor="ana") as change:
        return rules.declare(
            change,
            name="flights-retrain",
            deployment="flights",
            condition=condition,
            pipeline="flights.py:flights_late",
            owner="ana",
            **asked,
        )


def concept_change(columns: dict[str, Any]) -> None:
    """What follows from the inputs turns round."""
    dice = np.random.default_rng(3)
    columns["_label"] = (dice.random(len(columns["x"])) < chance_of(-columns["x"])).astype(float)


def pass_month(house: LiveHouse, number: int, *, is_bad: bool = False, told: float = 1.0, **how: Any) -> Window:
    """A month of predictions, its labels, its judging."""
    if is_bad:
        how["spoil"] = concept_change
    identities = house.predict(month(number), 27, 1_500, **how)
    house.tell(identities[: int(told * len(identities))])
    return house.judge(until=month(number + 1))[-1]


def follow(house: LiveHouse) -> None:
    """Let the follower look until nothing is left to do."""
    for _ in range(20):
        if not following.loop(house.store):
            return
    raise AssertionError("the follower finds work for ever")


def made(house: LiveHouse) -> list[Decision]:
    """Every decision, oldest first."""
    with house.store.view() as view:
        return list(reversed(decisions.listed(view)))


def take_job(house: LiveHouse) -> jobs.Job | None:
    """The pipeline run that waits for a worker."""
    with house.store.ingest() as ingest:
        return jobs.lease(ingest, worker="w", kinds=["run_pipeline"], seconds=600)


def run_pipeline(house: LiveHouse, *, gives: Version | None = None, error: str | None = None) -> Version | None:
    """The worker's part: take the waiting run, register what it gives, finish."""
    job = take_job(house)
    assert job is not None
    version, result = gives, None
    if error is None:
        with house.store.change(actor="bo") as change:
            run_id = runs.start(change, name="flights_late", kind="pipeline").id
        version = gives or house.register(run_id=run_id)
        result = {"run_id": run_id, "version": version.id}
    with house.store.ingest() as ingest:
        jobs.finish(ingest, job.id, worker="w", result=result, error=error)
    return version


def end_release(house: LiveHouse, decision: Decision, *, load_error: str | None = None) -> None:
    """The judging of the release that a decision asked for."""
    with house.store.view() as view:
        release = releases.get(view, deployment="flights", number=decision.release or 0)
    house.judge_release(release, load_error=load_error)
