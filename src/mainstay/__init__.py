# SPDX-License-Identifier: Apache-2.0
"""Mainstay: the whole life of a machine-learning model in one place.

``import mainstay as ms`` costs next to nothing: each name below is fetched from its room when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mainstay.client.autologging import autolog
    from mainstay.client.datasets import dataset
    from mainstay.client.recording import (
        Recording,
        current_run,
        log_artifact,
        log_dict,
        log_figure,
        log_metric,
        log_metrics,
        log_param,
        log_params,
        log_table,
        log_text,
        run,
        set_tags,
        start_run,
    )
    from mainstay.client.sdk import backfill, connect, diff, explain, feedback, live, predict, release, schedule, why
    from mainstay.client.sweeps import SweepCallback, sweep
    from mainstay.engine.contracts import contract
    from mainstay.engine.features.external import external_features
    from mainstay.engine.features.on_request import on_request
    from mainstay.engine.features.views import feature_view, get_training
    from mainstay.engine.materialise import materialiser
    from mainstay.engine.named_results import Out
    from mainstay.engine.pipelines import pipeline
    from mainstay.engine.references.delta import delta
    from mainstay.engine.references.iceberg import iceberg
    from mainstay.engine.references.source import source
    from mainstay.engine.repeating.reproduction import reproduce
    from mainstay.engine.steps import step
    from mainstay.engine.verbs import register, snapshot, snapshots

_ROOM_BY_NAME = {
    "contract": "mainstay.engine.contracts",
    "delta": "mainstay.engine.references.delta",
    "iceberg": "mainstay.engine.references.iceberg",
    "source": "mainstay.engine.references.source",
    "step": "mainstay.engine.steps",
    "pipeline": "mainstay.engine.pipelines",
    "snapshot": "mainstay.engine.verbs",
    "snapshots": "mainstay.engine.verbs",
    "register": "mainstay.engine.verbs",
    "external_features": "mainstay.engine.features.external",
    "feature_view": "mainstay.engine.features.views",
    "get_training": "mainstay.engine.features.views",
    "on_request": "mainstay.engine.features.on_request",
    "run": "mainstay.client.recording",
    "start_run": "mainstay.client.recording",
    "current_run": "mainstay.client.recording",
    "Recording": "mainstay.client.recording",
    "log_params": "mainstay.client.recording",
    "log_param": "mainstay.client.recording",
    "log_metric": "mainstay.client.recording",
    "log_metrics": "mainstay.client.recording",
    "log_artifact": "mainstay.client.recording",
    "log_text": "mainstay.client.recording",
    "log_dict": "mainstay.client.recording",
    "log_figure": "mainstay.client.recording",
    "log_table": "mainstay.client.recording",
    "set_tags": "mainstay.client.recording",
    "autolog": "mainstay.client.autologging",
    "SweepCallback": "mainstay.client.sweeps",
    "sweep": "mainstay.client.sweeps",
    "dataset": "mainstay.client.datasets",
    "connect": "mainstay.client.sdk",
    "predict": "mainstay.client.sdk",
    "diff": "mainstay.client.sdk",
    "feedback": "mainstay.client.sdk",
    "release": "mainstay.client.sdk",
    "schedule": "mainstay.client.sdk",
    "backfill": "mainstay.client.sdk",
    "live": "mainstay.client.sdk",
    "why": "mainstay.client.sdk",
    "explain": "mainstay.client.sdk",
    "reproduce": "mainstay.engine.repeating.reproduction",
    "Out": "mainstay.engine.named_results",
    "materialiser": "mainstay.engine.materialise",
}

__all__ = [
    "Out",
    "Recording",
    "SweepCallback",
    "__version__",
    "autolog",
    "backfill",
    "connect",
    "contract",
    "current_run",
    "dataset",
    "delta",
    "diff",
    "explain",
    "external_features",
    "feature_view",
    "feedback",
    "get_training",
    "iceberg",
    "live",
    "log_artifact",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "materialiser",
    "on_request",
    "pipeline",
    "predict",
    "register",
    "release",
    "reproduce",
    "run",
    "schedule",
    "set_tags",
    "snapshot",
    "snapshots",
    "source",
    "start_run",
    "step",
    "sweep",
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
