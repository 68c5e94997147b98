# SPDX-License-Identifier: Apache-2.0
"""Deployments: named endpoints with an owner; nothing goes live without one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.serving import DeploymentDeclared
from mainstay.domain.names import check_name
from mainstay.domain.release import Release, RolloutConfig
from mainstay.domain.serving import Deployment
from mainstay.lifecycle.governance import people, policies
from mainstay.lifecycle.registry import models
from mainstay.lifecycle.release import judging, releases
from mainstay.lifecycle.serving import tables
from mainstay.store import Change, View

STRATEGIES = ("canary", "direct")


def declare(
    change: Change, *, name: str, environment: str, model: str, owner: str, policy: str, rollout: RolloutConfig
) -> Deployment:
    """Say that a deployment is to exist. Declaring it again changes how its *next* releases are treated.

    Raises:
        NotFound: no such owner, model or policy. Invalid: an unusable name or rollout.
    """
    check_name("deployment", name)
    check_name("environment", environment)
    people.get(change, owner)
    models.use(change, model=model, subject=f"deployment:{name}")
    policies.get(change, policy)
    _check_rollout(name, rollout)
    before = tables.deployment(change, name)
    new = Deployment(
        name=name,
        environment=environment,
        model=model,
        owner=owner,
        policy=policy,
        rollout=rollout,
        created_at=before.created_at if before else change.now(),
    )
    tables.put_deployment(change, new)
    change.record(
        DeploymentDeclared(
            name=name,
            environment=environment,
            model=model,
            owner=owner,
            policy=policy,
            rollout=asdict(rollout) | {"steps": list(rollout.steps), "guards": list(rollout.guards)},
        )
    )
    return new


def get(view: View, name: str) -> Deployment:
    """One deployment.

    Raises:
        NotFound: there is none of that name.
    """
    found = tables.deployment(view, name)
    if found is None:
        raise NotFound(f"there is no deployment {name!r}; `mainstay deployments list` shows those there are.")
    return found


def listed(view: View) -> list[Deployment]:
    """Every deployment, by name."""
    return tables.all_deployments(view)


def release(change: Change, *, name: str, model: str, version: int) -> Release:
    """Ask for a version to go live on this deployment.

    Raises:
        Invalid: the version is of another model. And what `releases.request` raises.
    """
    deployment = get(change, name)
    if model != deployment.model:
        raise Invalid(
            f"deployment {name!r} serves model {deployment.model!r}; {model!r} cannot be released to it. "
            "Declare another deployment for it."
        )
    return releases.request(change, target=deployment.target(), version=version)


def _check_rollout(name: str, rollout: RolloutConfig) -> None:
    steps: Sequence[int] = rollout.steps
    if rollout.strategy not in STRATEGIES:
        raise Invalid(f"rollout of {name!r} has strategy {rollout.strategy!r}; {' or '.join(STRATEGIES)} is expected.")
    if not steps or steps[-1] != 100 or any(a >= b for a, b in itertools.pairwise(steps)) or steps[0] < 1:
        raise Invalid(f"rollout of {name!r} has steps {list(steps)}; rising percents that end with 100 are expected.")
    if rollout.min_predictions < 1:
        raise Invalid(f"rollout of {name!r} has min_predictions {rollout.min_predictions}; at least 1 is expected.")
    if unknown := [guard for guard in rollout.guards if guard not in judging.GUARDS]:
        raise Invalid(f"rollout of {name!r} has a guard {unknown[0]!r}; the guards are {', '.join(judging.GUARDS)}.")
