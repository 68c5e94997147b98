# SPDX-License-Identifier: Apache-2.0
"""Where a subject's page is, and the same question as command line, Python and curl."""

from __future__ import annotations

from mainstay.domain.names import parse_subject

_PAGES = {
    "dataset": "/datasets/{}",
    "snapshot": "/snapshots/{}",
    "contract": "/datasets/{}?tab=contract",
    "view": "/features/{}",
    "pipeline": "/pipelines/{}",
    "schedule": "/schedules/{}",
    "backfill": "/backfills/{}",
    "run": "/runs/{}",
    "model": "/models/{}",
    "version": "/models/{}",
    "deployment": "/deployments/{}",
    "monitor": "/monitors/{}",
    "alert": "/alerts/{}",
    "trigger": "/triggers/{}",
    "decision": "/decisions/{}",
    "prediction": "/predictions/{}",
    "policy": "/policies/{}",
    "person": "/people",
    "workspace": "/",
}

_COMMANDS = {
    "dataset": ("mainstay datasets show {}", "/datasets/{}"),
    "snapshot": ("mainstay datasets show {}", "/snapshots/{}"),
    "contract": ("mainstay contracts show {}", "/datasets/{}/contract"),
    "view": ("mainstay features show {}", "/features/{}"),
    "pipeline": ("mainstay runs list --kind pipeline", "/runs?kind=pipeline"),
    "schedule": ("mainstay schedules show {}", "/schedules/{}"),
    "backfill": ("mainstay backfills show {}", "/backfills/{}"),
    "run": ("mainstay runs show {}", "/runs/{}"),
    "model": ("mainstay models show {}", "/models/{}"),
    "version": ("mainstay models show {}", "/models/{model}/versions/{number}"),
    "release": ("mainstay releases show '{}'", "/releases/{deployment}/{number}"),
    "deployment": ("mainstay deployments show {}", "/deployments/{}"),
    "monitor": ("mainstay monitors show {}", "/monitors/{}"),
    "alert": ("mainstay alerts show {}", "/alerts/{}"),
    "trigger": ("mainstay triggers show {}", "/triggers"),
    "decision": ("mainstay decisions show {}", "/decisions/{}"),
    "prediction": ("mainstay why {}", "/why/prediction:{}"),
    "policy": ("mainstay policy show {}", "/policies/{}"),
    "person": ("mainstay people list", "/people"),
}


def of(subject: str) -> str | None:
    """The path of the subject's page, or None where there is none."""
    kind, name = parse_subject(subject)
    if kind == "release":
        return "/releases/" + name.replace("#", "/")
    page = _PAGES.get(kind)
    return page.format(name) if page else None


def copy_as(kind: str, name: str) -> dict[str, str]:
    """The same view as a command, as Python and as curl."""
    command, path = _COMMANDS[kind]
    first, _, number = name.replace("#", "/").rpartition("/")
    path = path.format(name, model=first, deployment=first, number=number)
    return {
        "cli": command.format(name),
        "python": f'ms.connect().get("{path}")',
        "curl": f'curl -H "Authorization: Bearer $MAINSTAY_TOKEN" "$MAINSTAY_URL/api{path}"',
    }
