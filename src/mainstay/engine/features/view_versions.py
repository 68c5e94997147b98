# SPDX-License-Identifier: Apache-2.0
"""Versions of feature views: which code and which columns a model was trained on, and an online table came from.

In: a view, and what a run made of it. Out: a number that the control plane gives to each different state of definition, code
and columns. A model's signature pins these numbers, an online table belongs to one, and a gateway brings both together
or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine.arguments import WHOLE
from mainstay.engine.code import roots
from mainstay.engine.features import external, training
from mainstay.engine.features.views import FeatureView
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform
from mainstay.engine.refs import Node, StepNode, refs_in
from mainstay.features import definitions

if TYPE_CHECKING:
    from mainstay.engine.outlook import Outlook


class Pins(NamedTuple):
    """What a signature pins: versions of views by their numbers, transforms whole, in the order they are carried out, and
    features of other stores by their names."""

    views: list[dict[str, Any]]
    transforms: list[dict[str, Any]]
    sources: list[dict[str, Any]]


def behind(platform: Platform, outlook: Outlook, value: Any, inputs: Sequence[str]) -> Pins:
    """The views and transforms that ``value`` was made from and that make any of ``inputs``.

    Raises:
        Invalid: two of them make the same input.
    """
    steps = _steps(outlook, value)
    transforms = _needed(steps, inputs)
    wanted = {*inputs, *(each["name"] for one in transforms for each in one["inputs"] if each["name"] != one["moment"])}
    pins = []
    for number, view in [(node.number, node.step) for node in steps if isinstance(node.step, FeatureView)]:
        version = declared(platform, view, outlook, outlook.outputs[number][WHOLE])
        columns = [each["name"] for each in version["columns"] if each["name"] in wanted]
        if columns:
            pins.append(_pin(version, columns))
    asked = [node.arguments["external"] for node in steps if node.step is external.join_external]
    sources = [
        each
        for each in {digest_of(each): each for each in asked}.values()
        if wanted & {column["name"] for column in each["columns"]}
    ]
    names = [name for pin in pins for name in pin["columns"]] + [each["name"] for each in transforms]
    names += [column["name"] for each in sources for column in each["columns"]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Invalid(
            f"input {twice[0]!r} is made by more than one feature view, source or transform; rename it in one of them."
        )
    return Pins(pins, transforms, sources)


def declared(platform: Platform, view: FeatureView[..., Any], outlook: Outlook, artifact: Artifact) -> dict[str, Any]:
    """The version that this state of the view has; it is told to the control plane if that does not know it."""
    state = _state(view, outlook, artifact, platform)
    name, digest = view.definition.name, digest_of(state)
    try:
        known = platform.get(f"/features/{name}")["versions"]
    except NotFound:
        known = []
    found = next((each for each in known if each["digest"] == digest), None)
    return dict(found or platform.post("/features", {"entry": _entry(view), **state}))


def _needed(steps: Sequence[StepNode], inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Of the transforms that tables were joined with those that make an input, or what another of them needs."""
    joined = [each for node in steps if node.step is training.join_features for each in node.arguments["transforms"]]
    # Training and holdout are joined with the same ones.
    there = list({digest_of(each): each for each in joined}.values())
    wanted, needed = set(inputs), []
    for each in reversed(there):
        if each["name"] in wanted:
            needed.append(each)
            wanted |= {one["name"] for one in each["inputs"] if one["name"] != each["moment"]}
    return needed[::-1]


def _steps(outlook: Outlook, value: Any) -> list[StepNode]:
    """The calls of steps among everything that ``value`` depends on, in their order."""
    found: dict[float, Node] = {}
    left = [ref.node for ref in refs_in([value])]
    while left:
        node = left.pop()
        if node.number not in found:
            found[node.number] = node
            left += [ref.node for ref in refs_in(dict(outlook.arguments_of(node)))]
    return [node for number in sorted(found) if isinstance(node := found[number], StepNode)]


def _state(view: FeatureView[..., Any], outlook: Outlook, artifact: Artifact, platform: Platform) -> dict[str, Any]:
    import pyarrow.parquet as pq

    # The file's first rows would do; its schema is what types are told from.
    table = pq.read_schema(platform.blob_path(artifact.digest)).empty_table()
    checked = definitions.checked(view.definition, table)
    return {
        "definition": view.definition.to_json(),
        "closure": outlook.closures.of(view).digest,
        "entity": [
            {"name": name, "type": definitions.type_of(checked.schema.field(name).type)}
            for name in view.definition.entity
        ],
        "columns": definitions.described(view.definition, checked),
    }


def _pin(version: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    definition = version["definition"]
    return {
        "view": definition["name"],
        "version": version["number"],
        "digest": version["digest"],
        "entity": version["entity"],
        "columns": list(columns),
        "definition": definition,
    }


def _entry(view: FeatureView[..., Any]) -> str:
    name = view.function.__name__
    return f"{roots.relative(view.files[0])}:{name}" if view.files else name
