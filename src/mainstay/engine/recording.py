# SPDX-License-Identifier: Apache-2.0
"""What an execution tells the control plane: that a run began, each step once it is done, that the run ended.

A step is one request: its run, its links and its result become known together or not at all. Its bytes are there
before.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.client import capture
from mainstay.domain.errors import MainstayError
from mainstay.engine import environment
from mainstay.engine.calls import step_calls
from mainstay.engine.calls.step_log import StepLog
from mainstay.engine.code import sources
from mainstay.engine.definitions import Definition
from mainstay.engine.keys import Closures
from mainstay.engine.materialise import Artifact, json
from mainstay.engine.nearby import Nearby, to_wire
from mainstay.engine.outlook import SNAPSHOT, Forecast, Outlook, upstream_of
from mainstay.engine.platform import Platform
from mainstay.engine.pulse import LEASE_S
from mainstay.engine.refs import ExistingNode, Ref, SnapshotNode


@dataclass(frozen=True, kw_only=True)
class Record:
    """One step or verb as it is recorded. ``state``: succeeded, cached or failed; ``hit_of``: who made the result."""

    state: str
    why: str
    outputs: Mapping[str, Artifact]
    seconds: float
    hit_of: str | None = None
    error: str | None = None
    log: StepLog | None = None


def begin(
    pipeline: Definition[..., Any],
    platform: Platform,
    bound: Mapping[str, Any],
    closures: Closures,
    *,
    worker: str,
    executor: str,
    because: int | None,
    reason: str | None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Open the run, leased to ``worker``; its id. What its record names goes along, in one request."""
    packages, nearby = capture.packages(), Nearby(platform)
    lock = nearby.put_blob(environment.lock_text(packages))
    body: dict[str, Any] = {
        "name": pipeline.name,
        "kind": "pipeline",
        "params": {name: _shown(value) for name, value in bound.items()},
        "code": sources.record(pipeline.entry, root=closures.root, closure=closures.of_entry(), blobs=nearby),
        "environment": {"digest": lock, "python": environment.python_minor(), "packages": dict(packages)},
        "hardware": environment.hardware(),
        "seeds": {"pipeline": pipeline.seed},
        "lease": {"worker": worker, "seconds": LEASE_S, "executor": executor, "params": _asked(bound)},
        "blobs": to_wire(nearby.fresh()),
    }
    stated = {"experiment": pipeline.experiment, "because": because, "reason": reason, "tags": tags}
    return str(
        platform.post("/runs", body | {name: value for name, value in stated.items() if value is not None})["id"]
    )


def go_on(platform: Platform, run_id: str, *, worker: str, executor: str) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Take over a run that stands still; its steps that are on record as done, by name and key.

    Raises:
        Conflict: somebody carries it out, or it has succeeded. NotFound: no such run, or not one that can go on.
    """
    body = {"worker": worker, "seconds": LEASE_S, "executor": executor}
    holder = str(platform.get(f"/runs/{run_id}/lease")["worker"])
    if _is_gone(holder):
        body["instead_of"] = holder
    platform.post(f"/runs/{run_id}/resume", body)
    steps = platform.get(f"/runs/{run_id}").get("steps") or ()
    return {(each["name"], each["key"]): each for each in steps if each["state"] in ("succeeded", "cached")}


def worker_name() -> str:
    """Who carries a run out: the machine, the process, and a word that no later process of that number has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _is_gone(worker: str) -> bool:
    """Whether a process of this machine is surely no more; of any other machine nothing is known."""
    host, _, rest = worker.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdecimal():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _asked(bound: Mapping[str, Any]) -> dict[str, str] | None:
    """Parameters so that they can be read again exactly; None: one of them is no plain value."""
    try:
        return {name: json.dumps(value).decode() for name, value in bound.items()}
    except json.Unplain:
        return None


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


def body_of(outlook: Outlook, forecast: Forecast, record: Record, *, is_built_on: bool = False) -> dict[str, Any]:
    """One step, as the control plane takes it; ``is_built_on``: what follows has begun with these outputs."""
    parts = forecast.parts
    assert parts is not None
    body: dict[str, Any] = {
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
        "built_on": is_built_on and record.state == "succeeded",
    }
    more = {"hit_of": record.hit_of, "error": record.error, "said": _said(record.log)}
    return body | {name: value for name, value in more.items() if value is not None}


def _said(log: StepLog | None) -> dict[str, Any] | None:
    """What a step said of itself, for the step's own run."""
    if log is None or log.is_empty():
        return None
    metrics = [{**point, "value": _number(point["value"])} for point in log.metrics]
    return {"params": log.params, "metrics": metrics, "artifacts": log.artifacts}


def _number(value: float) -> float | str:
    """As JSON has it: what it has no number for is said in a word."""
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _inputs(outlook: Outlook, forecast: Forecast) -> list[dict[str, Any]]:
    """Where the call's inputs came from: snapshots by id, also those in a list, other results by digest."""
    given = dict(_refs_by_path(outlook.arguments_of(forecast.node)))
    found: list[dict[str, Any]] = []
    for path, artifact in (forecast.resolved.inputs if forecast.resolved else {}).items():
        node = given[path].node if path in given else None
        is_snapshot = isinstance(node, (SnapshotNode, ExistingNode)) and node.number in outlook.named
        kind, ref = (SNAPSHOT, outlook.named[node.number]) if node and is_snapshot else ("artifact", artifact.digest)
        found.append({"kind": kind, "ref": ref, "name": path})
    return found


def _refs_by_path(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Ref]]:
    """Every ref with its place in the arguments, written as `arguments.resolve` writes it."""
    for name, value in arguments.items():
        yield from _refs_at(name, value)


def _refs_at(path: str, value: Any) -> Iterator[tuple[str, Ref]]:
    if isinstance(value, Ref):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _refs_at(f"{path}[{key!r}]", item)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _refs_at(f"{path}[{place}]", item)
