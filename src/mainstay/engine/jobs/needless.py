# SPDX-License-Identifier: Apache-2.0
"""Whether a run would only say again what is on record: asked before a partition is carried out.

In: a pipeline, its parameters, an earlier run of the same order. Out: why it need not run, or None. Either every step is
a hit; or, where steps read the outside world and are never one, the earlier run succeeded with the very same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mainstay.domain.errors import NotFound
from mainstay.engine import execution, plan
from mainstay.engine.code import sources
from mainstay.engine.definitions import Definition
from mainstay.engine.platform import Platform


class Needless(NamedTuple):
    """Why nothing has to run; ``run_id``: the run that stands for it, if there is one."""

    sentence: str
    run_id: str | None


def find(
    pipeline: Definition[..., Any], platform: Platform, params: Mapping[str, Any], before: str | None
) -> Needless | None:
    """Why a run with ``params`` is needless; ``before`` is the earlier run of the same order, if there was one."""
    planned = plan.make(pipeline, platform, params=params)
    if planned.items and all(item.is_hit for item in planned.items):
        return Needless("every step is a hit", before)
    if before is not None and _has_same_code(pipeline, platform, before):
        return Needless(f"run {before} did it with the same code", before)
    return None


def _has_same_code(pipeline: Definition[..., Any], platform: Platform, run_id: str) -> bool:
    try:
        earlier = platform.get(f"/runs/{run_id}")
    except NotFound:
        return False
    closures = execution.closures_of(pipeline)
    now = sources.record(pipeline.entry, root=closures.root, closure=closures.of_entry(), blobs=platform)
    code = earlier.get("code") or {}
    return earlier["state"] == "succeeded" and code.get("sources_digest") == now["sources_digest"]
