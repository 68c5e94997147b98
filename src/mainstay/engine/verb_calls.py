# SPDX-License-Identifier: Apache-2.0
"""Carrying out what a pipeline says besides calling steps: taking a snapshot, registering a version.

In: a node whose inputs are there. Out: its outputs, whether the thing was there already, and a sentence.
"""

from __future__ import annotations

from mainstay.domain.errors import Invalid
from mainstay.engine import arguments, registration, snapshots
from mainstay.engine.arguments import WHOLE
from mainstay.engine.code import roots
from mainstay.engine.features import view_versions
from mainstay.engine.materialise import Artifact
from mainstay.engine.outlook import SNAPSHOT, VERSION, Forecast, Outlook
from mainstay.engine.refs import Ref, RegisterNode, SnapshotNode, StepNode


def carry_out(
    outlook: Outlook, forecast: Forecast, *, pipeline: str, run_id: str
) -> tuple[dict[str, Artifact], bool, str]:
    """Do what the node of ``forecast`` says."""
    if isinstance(forecast.node, SnapshotNode):
        return _snapshot(outlook, forecast.node, pipeline, run_id)
    return _register(outlook, forecast, run_id)


def _snapshot(
    outlook: Outlook, node: SnapshotNode, pipeline: str, run_id: str
) -> tuple[dict[str, Artifact], bool, str]:
    value = (
        arguments.pick(node.value, outlook.outputs[node.value.node.number], outlook.platform)
        if isinstance(node.value, Ref)
        else node.value
    )
    taken = snapshots.take(
        outlook.platform,
        node.dataset,
        snapshots.batch_of(value, outlook.platform),
        source=node.source or f"pipeline {pipeline}",
        period=node.period,
        run_id=run_id,
        parents=outlook.snapshots_behind(node.value),
    )
    named = Artifact(kind=SNAPSHOT, digest=taken.digest, size=taken.artifact.size, rows=taken.artifact.rows)
    text = f"{taken.id} is this content already" if taken.is_known else f"took {taken.id}"
    return {taken.id: named, WHOLE: taken.artifact}, taken.is_known, text


def _register(outlook: Outlook, forecast: Forecast, run_id: str) -> tuple[dict[str, Artifact], bool, str]:
    node, resolved = forecast.node, forecast.resolved
    assert isinstance(node, RegisterNode) and resolved is not None
    model = resolved.inputs.get("model")
    if model is None or model.kind != "model":
        found = model.kind if model is not None else "plain value"
        raise Invalid(f"register({node.model!r}) was given a {found}; a fitted model is expected.")
    asked = registration.Registration(
        model=node.model,
        artifact=model,
        metrics=registration.metrics_of(arguments.load(resolved.tree["metrics"], outlook.platform)),
        snapshots=outlook.roles(node),
        run_id=run_id,
        holdout=resolved.inputs.get("holdout"),
        training=_training_table(outlook, node),
        target=node.target,
        features=node.features,
        nullable=node.nullable,
        description=node.description,
        pins_behind=lambda inputs: view_versions.behind(outlook.platform, outlook, node.value, inputs),
        declared=roots.section(outlook.closures.root, "model", node.model),
    )
    version = registration.carry_out(outlook.platform, asked)
    text = f"{version.id} is this model already" if version.is_known else f"registered {version.id}"
    return {version.id: Artifact(kind=VERSION, digest=version.digest, size=0)}, version.is_known, text


def _training_table(outlook: Outlook, node: RegisterNode) -> Artifact | None:
    """The first table that the step which made the model was given."""
    maker = node.value.node if isinstance(node.value, Ref) else None
    if not isinstance(maker, StepNode):
        return None
    resolved = outlook.resolve(maker)
    return next((each for each in resolved.inputs.values() if each.kind in ("arrow", "pandas", "polars")), None)
