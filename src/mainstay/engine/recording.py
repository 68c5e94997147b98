# SPDX-License-Identifier: Apache-2.0
"""What an execution tells the control plane: that a run began, each step once it is done, that the run ended.

A step is one request: its run, its links and its result become known together or not at all. Its bytes are there
before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.domain.errors import MainstayError
from mainstay.engine import environment, sources, step_calls
from mainstay.engine.definitions import Definition
from mainstay.engine.keys import Closures
from mainstay.engine.materialise import Artifact, json
from mainstay.engine.outlook import SNAPSHOT, Forecast, Outlook, upstream_of
from mainstay.engine.platform import Platform
from mainstay.engine.refs import ExistingNode, Ref, SnapshotNode
from mainstay.engine.step_log import StepLog


@dataclass(frozen=True, kw_only=True)
class Record:
    """One step or verb as it is recorded. ``state``: succeeded, cached or failed; ``hit_of``: who made the result."""

    state: str
    why: str
    outputs: Mapping[str, Artifact]
    seconds: float
    hit_of: str | None = None
    error: str | None = None


def begin(
    pipeline: Definition[..., Any],
    platform: Platform,
    bound: Mapping[str, Any],
    closures: Closures,
    *,
    because: int | None,
    reason: str | None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Open the run; its id."""
    packages = environment.lock()
    lock = platform.put_blob(environment.lock_text(packages))
    body: dict[str, Any] = {
        "name": pipeline.name,
        "kind": "pipeline",
        "params": {name: _shown(value) for name, value in bound.items()},
        "code": sources.record(pipeline.entry, root=closures.root, closure=closures.of_entry(), blobs=platform),
        "environment": {"digest": lock, "python": environment.python_minor(), "packages": dict(packages)},
        "hardware": environment.hardware(),
        "seeds": {"pipeline": pipeline.seed},
    }
    stated = {"experiment": pipeline.experiment, "because": because, "reason": reason, "tags": tags}
    return str(
        platform.post("/runs", body | {name: value for name, value in stated.items() if value is not None})["id"]
    )


def _shown(value: Any) -> Any:
    """A parameter as the run records it: plain values as they are, the rest in words."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return json.dumps(value).decode()
    except json.Unplain:
        return f"a {type(value).__qualname__}"


def finish(platform: Platform, run_id: str, state: str, error: str | None = None) -> None:
    """Close the run."""
    body = {"state": state} | ({"error": error} if error else {})
    if state == "succeeded":
        platform.post(f"/runs/{run_id}/finish", body)
        return
    # The first error is the one to tell: that the control plane is away as well must not hide it.
    with contextlib.suppress(MainstayError, OSError):
        platform.post(f"/runs/{run_id}/finish", body)


def commit(
    platform: Platform, run_id: str, outlook: Outlook, forecast: Forecast, record: Record
) -> tuple[str, Mapping[str, Artifact]]:
    """Record one step: its run's id, and the outputs that count: those of whoever published this key first."""
    parts = forecast.parts
    assert parts is not None
    body: dict[str, Any] = {
        "pipeline_run": run_id,
        "name": forecast.node.label,
        "key": parts.key,
        "key_parts": parts.to_json(),
        "why": record.why,
        "upstream": upstream_of(outlook.arguments_of(forecast.node).values()),
        "inputs": _inputs(outlook, forecast),
        "outputs": step_calls.describe(record.outputs),
        "seconds": round(record.seconds, 6),
        "state": record.state,
        "cacheable": parts.is_cacheable and record.state == "succeeded",
        "renew": record.why == "expired",
    }
    body |= {name: value for name, value in (("hit_of", record.hit_of), ("error", record.error)) if value is not None}
    answer = platform.post("/steps/commit", body)
    told = answer.get("outputs")
    return str(answer["run_id"]), step_calls.outputs_from(told) if told else record.outputs


def send_log(platform: Platform, run_id: str, log: StepLog) -> None:
    """What a step said of itself, to the step's own run."""
    if log.params or log.metrics:
        platform.post(f"/runs/{run_id}/log", {"params": log.params, "metrics": log.metrics, "tags": {}})
    for artifact in log.artifacts:
        platform.post(f"/runs/{run_id}/artifacts", artifact)


def _inputs(outlook: Outlook, forecast: Forecast) -> list[dict[str, Any]]:
    """Where the call's inputs came from: snapshots by id, other results by digest."""
    given = outlook.arguments_of(forecast.node)
    found: list[dict[str, Any]] = []
    for path, artifact in (forecast.resolved.inputs if forecast.resolved else {}).items():
        argument = given.get(path)
        node = argument.node if isinstance(argument, Ref) else None
        is_snapshot = isinstance(node, (SnapshotNode, ExistingNode)) and node.number in outlook.named
        kind, ref = (SNAPSHOT, outlook.named[node.number]) if node and is_snapshot else ("artifact", artifact.digest)
        found.append({"kind": kind, "ref": ref, "name": path})
    return found
