# SPDX-License-Identifier: Apache-2.0
"""Rules: what makes a trigger ask for something to be done, and what is done then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mainstay.domain.clock import to_wire
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.triggers import TriggerDeclared
from mainstay.domain.names import check_name
from mainstay.domain.triggers import MODES, Decision, Trigger
from mainstay.lifecycle.governance import expressions, people
from mainstay.lifecycle.monitoring import monitors
from mainstay.lifecycle.serving import deployments
from mainstay.lifecycle.triggers import facts, tables
from mainstay.store import Change, View

_ENTRY = re.compile(r"[\w./\-]+\.py:\w+|[\w.]+:\w+")
_BLANK = re.compile(r"{(since|until)}")
LARGEST_PARAMS = 100_000


def declare(
    change: Change,
    *,
    name: str,
    deployment: str,
    condition: str,
    pipeline: str,
    params: Mapping[str, Any] | None = None,
    mode: str = "suggest",
    cooldown: str = "7d",
    owner: str,
) -> Trigger:
    """Say when a pipeline is to run for a deployment. Declaring a trigger again changes it; its decisions stand.

    Raises:
        NotFound: no such owner or deployment. Invalid: an unusable name, condition, pipeline, mode, cooldown or
        parameter, or a fact that does not exist.
    """
    check_name("trigger", name)
    people.get(change, owner)
    deployments.get(change, deployment)
    _check_condition(name, condition)
    if mode not in MODES:
        raise Invalid(f"trigger {name!r} has mode {mode!r}; the modes are {', '.join(MODES)}.")
    if not _ENTRY.fullmatch(pipeline):
        raise Invalid(f"trigger {name!r} names pipeline {pipeline[:80]!r}; 'file.py:function' is expected.")
    monitors.check_length(cooldown, what=f"cooldown of trigger {name!r}")
    before = tables.locked_trigger(change, name)
    if before and before.deployment != deployment:
        raise Invalid(
            f"trigger {name!r} belongs to deployment {before.deployment!r}; give {deployment!r} one of its own."
        )
    new = Trigger(
        name=name,
        deployment=deployment,
        condition=condition,
        pipeline=pipeline,
        params=_checked(name, params or {}),
        mode=mode,
        cooldown=cooldown,
        owner=owner,
        created_at=before.created_at if before else change.now(),
        created_by=before.created_by if before else change.actor,
    )
    tables.put_trigger(change, new)
    change.record(
        TriggerDeclared(
            name=name,
            deployment=deployment,
            condition=condition,
            pipeline=pipeline,
            params=new.params,
            mode=mode,
            cooldown=cooldown,
            owner=owner,
        )
    )
    return new


def get(view: View, name: str) -> Trigger:
    """One trigger.

    Raises:
        NotFound: there is none of that name.
    """
    found = tables.trigger(view, name)
    if found is None:
        raise NotFound(f"there is no trigger {name!r}; `mainstay triggers list` shows those there are.")
    return found


def listed(view: View) -> list[Trigger]:
    """Every trigger, by name."""
    return tables.all_triggers(view)


def order(trigger: Trigger, decision: Decision, since: str | None) -> dict[str, Any]:
    """What a ``run_pipeline`` job is told. ``since``: the first day of the window that was judged, if there is one."""
    midnight = decision.as_of.time().isoformat() == "00:00:00"
    until = decision.as_of.date().isoformat() if midnight else to_wire(decision.as_of)
    ends = {"since": since or until, "until": until}
    params = {name: _fill(value, ends) for name, value in trigger.params.items()}
    return {
        "entry": trigger.pipeline,
        "params": params,
        "because": decision.event,
        "reason": decision.sentence,
        "decision": decision.id,
    }


def _check_condition(name: str, condition: str) -> None:
    used = expressions.check(condition, what=f"condition of trigger {name!r}")
    if unknown := sorted(used - facts.NAMES):
        known = ", ".join(sorted(facts.NAMES))
        raise Invalid(
            f"condition of trigger {name!r} asks for {unknown[0]!r}, which is no fact; the facts are {known}."
        )


def _checked(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        size = len(canonical_json(dict(params)))
    except (TypeError, ValueError) as error:
        raise Invalid(f"params of trigger {name!r} are no JSON: {error}.") from error
    if size > LARGEST_PARAMS:
        raise Invalid(f"params of trigger {name!r} take {size} bytes; at most {LARGEST_PARAMS} fit.")
    return dict(params)


def _fill(value: Any, ends: Mapping[str, str]) -> Any:
    # Only these two words are replaced, by hand: a format string could reach into the objects behind it.
    return _BLANK.sub(lambda found: ends[found[1]], value) if isinstance(value, str) else value
