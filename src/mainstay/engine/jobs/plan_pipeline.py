# SPDX-License-Identifier: Apache-2.0
"""Planning a pipeline for somebody else, in a child process of its own: what a run would do now, and why.

In: entry and parameters. Out: what ``mainstay plan --json`` prints. Nothing is carried out, and nothing is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mainstay.engine.jobs import child, run_pipeline
from mainstay.engine.jobs.nursery import Nursery
from mainstay.engine.platform import Platform

LARGEST = 4 << 20  # bytes of an answer; what is larger is told without the differences of the code


def carry_out(
    body: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str],
    is_wanted: Callable[[], bool],
    nursery: Nursery | None = None,
) -> dict[str, Any]:
    """Plan in a child and wait for it; see `child.carry_out`."""
    return child.carry_out(plan, body, folder=folder, environment=environment, is_wanted=is_wanted, nursery=nursery)


def plan(platform: Platform, body: Mapping[str, Any], folder: Path, tell: child.Tell = child.silent) -> dict[str, Any]:
    """Load and plan; what the job's result will be.

    Raises:
        Forbidden: the entry leads out of the project. Invalid, NotFound: it cannot be loaded, or the parameters do not fit.
    """
    pipeline = run_pipeline.loaded(body, folder)
    return _fitting(pipeline.plan(platform, **run_pipeline.params_of(pipeline, body)).document())


def _fitting(document: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(document)) <= LARGEST:
        return document
    items = [{**item, "changes": [{**change, "diff": ""} for change in item["changes"]]} for item in document["items"]]
    remark = "the differences of the code are too long to be told here; `mainstay plan --diff` shows them"
    return {**document, "items": items, "remarks": [*document["remarks"], remark]}
