# SPDX-License-Identifier: Apache-2.0
"""Versions of feature views: which code and which columns a model was trained on, and an online table came from.

In: a view, and what a run made of it. Out: a number that the control plane gives to each different state of definition, code
and columns. A model's signature pins these numbers, an online table belongs to one, and a gateway brings both together
or refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine.arguments import WHOLE
from mainstay.engine.code import roots
from mainstay.engine.features.views import FeatureView
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform
from mainstay.engine.refs import Node, StepNode, refs_in
from mainstay.features import definitions

if TYPE_CHECKING:
    from mainstay.engine.outlook import Outlook


def behind(platform: Platform, outlook: Outlook, value: Any, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """The views that ``value`` was made from and that make any of ``inputs``, as a signature pins them.

    Raises:
        Invalid: two views make the same input.
    """
    pins = []
    for number, view in _views(outlook, value):
        version = declared(platform, view, outlook, outlook.outputs[number][WHOLE])
        columns = [each["name"] for each in version["columns"] if each["name"] in inputs]
        if columns:
            pins.append(_pin(version, columns))
    names = [name for pin in pins for name in pin["columns"]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Invalid(f"input {twice[0]!r} comes from more than one feature view; rename it in one of them.")
    return pins


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


def _views(outlook: Outlook, value: Any) -> list[tuple[float, FeatureView[..., Any]]]:
    """The views among everything that ``value`` depends on, in the order of their calls."""
    found: dict[float, Node] = {}
    left = [ref.node for ref in refs_in([value])]
    while left:
        node = left.pop()
        if node.number not in found:
            found[node.number] = node
            left += [ref.node for ref in refs_in(dict(outlook.arguments_of(node)))]
    steps = [(number, found[number]) for number in sorted(found)]
    views = [(number, node.step) for number, node in steps if isinstance(node, StepNode)]
    return [(number, step) for number, step in views if isinstance(step, FeatureView)]


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
