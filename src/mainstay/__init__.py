# SPDX-License-Identifier: Apache-2.0
"""Mainstay: the whole life of a machine-learning model in one place.

``import mainstay as ms`` costs next to nothing: each name below is fetched from its room when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mainstay.client.recording import Recording, log_artifact, log_metric, log_metrics, log_params, run
    from mainstay.client.sdk import connect, feedback, live, predict, release, why
    from mainstay.engine.pipelines import pipeline
    from mainstay.engine.steps import step
    from mainstay.engine.verbs import register, snapshot, snapshots

_ROOM_BY_NAME = {
    "step": "mainstay.engine.steps",
    "pipeline": "mainstay.engine.pipelines",
    "snapshot": "mainstay.engine.verbs",
    "snapshots": "mainstay.engine.verbs",
    "register": "mainstay.engine.verbs",
    "run": "mainstay.client.recording",
    "Recording": "mainstay.client.recording",
    "log_params": "mainstay.client.recording",
    "log_metric": "mainstay.client.recording",
    "log_metrics": "mainstay.client.recording",
    "log_artifact": "mainstay.client.recording",
    "connect": "mainstay.client.sdk",
    "predict": "mainstay.client.sdk",
    "feedback": "mainstay.client.sdk",
    "release": "mainstay.client.sdk",
    "live": "mainstay.client.sdk",
    "why": "mainstay.client.sdk",
}

__all__ = [
    "Recording",
    "__version__",
    "connect",
    "feedback",
    "live",
    "log_artifact",
    "log_metric",
    "log_metrics",
    "log_params",
    "pipeline",
    "predict",
    "register",
    "release",
    "run",
    "snapshot",
    "snapshots",
    "step",
    "why",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_BY_NAME:
        raise AttributeError(f"module 'mainstay' has no attribute {name!r}")
    found = getattr(importlib.import_module(_ROOM_BY_NAME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
