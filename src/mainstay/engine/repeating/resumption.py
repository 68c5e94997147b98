# SPDX-License-Identifier: Apache-2.0
"""A run from before, taken up again: carried on as the same run, or one of its steps called again to see why it failed.

In: the id of a run, the project it was run from. Out: its execution; or the value that a step gives on the inputs it had,
which are kept as long as the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine import execution, executors, history, project
from mainstay.engine.calls import step_calls
from mainstay.engine.calls.step_calls import StepCall
from mainstay.engine.execution import Execution
from mainstay.engine.hits import Hits
from mainstay.engine.notices import Notify
from mainstay.engine.outlook import Missing, Outlook
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.platform import Platform
from mainstay.engine.refs import MapNode, StepNode


def carry_on(
    platform: Platform,
    run_id: str,
    *,
    folder: Path | None = None,
    executor: str | None = None,
    workers: int | None = None,
    allow_edited: bool = False,
    notify: Notify | None = None,
) -> Execution:
    """Resume the run ``run_id`` with the pipeline of its entry, found from ``folder``; see `execution.resume`."""
    lease = platform.get(f"/runs/{run_id}/lease")
    pipeline = _pipeline_of(platform, run_id, folder)
    chosen = executors.make(executor or lease["executor"], workers=workers)
    return execution.resume(pipeline, platform, run_id, allow_edited=allow_edited, notify=notify, executor=chosen)


def call_again(
    platform: Platform,
    run_id: str,
    step: str,
    *,
    folder: Path | None = None,
    around: Callable[[Callable[[], Any]], Any] = lambda call: call(),
) -> Any:
    """Call the step labelled ``step`` of a run again, in this process, on the inputs it had; what it returns.

    Nothing is recorded. ``around`` is given the call, such as `pdb.runcall`. What the step raises is raised.

    Raises:
        NotFound: the run has no such step. Invalid: its inputs were never made.
    """
    pipeline = _pipeline_of(platform, run_id, folder)
    outlook = _outlook_of(platform, run_id, pipeline)
    node = _node(outlook, run_id, step)
    try:
        resolved = outlook.resolve(node)
    except Missing as missing:
        raise Invalid(
            f"step {node.label} of run {run_id} has no inputs yet: {missing.label} has not given any."
        ) from None
    call = StepCall(
        label=node.label,
        step=node.step,
        arguments=resolved.tree,
        seed=outlook.seed,
        root=outlook.closures.root,
    )
    return step_calls.called(call, platform, around)


def _pipeline_of(platform: Platform, run_id: str, folder: Path | None) -> Pipeline[..., Any]:
    run = platform.get(f"/runs/{run_id}")
    if run["kind"] != "pipeline":
        raise Invalid(f"run {run_id} is a {run['kind']}; name the run of a pipeline, as `mainstay runs list` shows it.")
    return project.load(str((run.get("code") or {}).get("entry")), folder=folder)


def _outlook_of(platform: Platform, run_id: str, pipeline: Pipeline[..., Any]) -> Outlook:
    """What a run knew when it ended: the outputs of every step that it has on record."""
    bound = pipeline.bind(execution.asked_with(platform.get(f"/runs/{run_id}/lease")))
    steps: Mapping[str, Mapping[str, Any]] = {
        each["name"]: each for each in platform.get(f"/runs/{run_id}").get("steps") or () if each["state"] != "failed"
    }
    outlook = Outlook(
        platform=platform,
        trace=pipeline.trace(platform, bound),
        closures=execution.closures_of(pipeline),
        history=history.History(),
        hits=Hits(platform=platform),
        seed=pipeline.seed,
    )
    outlook.settle_existing()
    for node in list(outlook.trace.nodes):
        if isinstance(node, MapNode) and (width := outlook.width_of(node)) is not None:
            for call in outlook.trace.grow(node, width):
                if call.label in steps:
                    outlook.settle(call, step_calls.outputs_from(list(steps[call.label]["outputs"])))
        elif node.label in steps:
            outlook.settle(node, step_calls.outputs_from(list(steps[node.label]["outputs"])))
    return outlook


def _node(outlook: Outlook, run_id: str, step: str) -> StepNode:
    there = [node for node in outlook.trace.in_order() if isinstance(node, StepNode)]
    found = [node for node in there if step in (node.label, node.step.function.__name__)]
    if not found:
        told = ", ".join(node.label for node in there) or "none"
        raise NotFound(f"run {run_id} has no step {step!r}; its steps are {told}.")
    return found[0]
