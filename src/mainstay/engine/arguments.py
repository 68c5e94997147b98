# SPDX-License-Identifier: Apache-2.0
"""Arguments of a step call, split into what a key is made of: inputs (by digest) and parameters (by value).

In: bound arguments that may hold refs at any depth, and the results known so far. Out: a ``Resolved``: digests by path,
canonical texts by path, and a tree that ``load`` turns into the values of the call.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.engine import materialise
from mainstay.engine.materialise import Artifact, files, json
from mainstay.engine.platform import Blobs
from mainstay.engine.refs import Ref, refs_in

WHOLE = "value"  # the name of a step's only result
Outputs = Mapping[str, Artifact]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """All the named results of a step, taken as one argument."""

    artifacts: Mapping[str, Artifact]
    annotation: Any = None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """``tree``: the arguments, with artifacts and bundles in place of refs and large values."""

    tree: dict[str, Any]
    inputs: dict[str, Artifact]
    params: dict[str, str]


def resolve(arguments: Mapping[str, Any], results: Callable[[Ref], Artifact | Bundle], blobs: Blobs) -> Resolved:
    """Split ``arguments``; values that are not plain are stored, as an upstream result would be.

    Raises:
        Invalid: a value is of a type that no materialiser takes.
    """
    inputs: dict[str, Artifact] = {}
    params: dict[str, str] = {}

    def split(path: str, value: Any) -> Any:
        if isinstance(value, Ref):
            return _taken(path, results(value), inputs)
        if isinstance(value, Path):
            return _path(path, value, inputs, params, blobs)
        if not any(True for _ in refs_in(value)):
            return _value(path, value, inputs, params, blobs)
        if isinstance(value, Mapping):
            return {key: split(f"{path}[{key!r}]", item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            # A list and a tuple of the same results are different arguments.
            params[path] = f"{type(value).__name__} of {len(value)}"
            parts = [split(f"{path}[{place}]", item) for place, item in enumerate(value)]
            return parts if isinstance(value, list) else tuple(parts)
        raise Invalid(
            f"argument {path} holds results inside a {type(value).__name__}; pass them in a list, a tuple or a dict."
        )

    tree = {name: split(name, value) for name, value in arguments.items()}
    return Resolved(tree=tree, inputs=inputs, params=params)


def pick(ref: Ref, outputs: Outputs, blobs: Blobs) -> Artifact | Bundle:
    """The part of a step's results that ``ref`` names.

    Raises:
        Invalid: there is no such part.
    """
    path = ref.path
    if not path:
        return outputs[WHOLE] if set(outputs) == {WHOLE} else Bundle(artifacts=outputs, annotation=ref.annotation)
    if path[0] in outputs and set(outputs) != {WHOLE}:
        found, rest = outputs[path[0]], path[1:]
    elif set(outputs) == {WHOLE}:
        found, rest = outputs[WHOLE], path
    else:
        raise Invalid(f"{ref.node.label} has no result {path[0]!r}; its results are {', '.join(outputs)}.")
    return _inside(ref, found, rest, blobs) if rest else found


def width(ref: Ref, found: Artifact | Bundle, blobs: Blobs) -> int:
    """How many items a result has.

    Raises:
        Invalid: it is no list and no tuple.
    """
    if isinstance(found, Bundle):
        if all(name.isdigit() for name in found.artifacts):
            return len(found.artifacts)
        kind = f"the results {', '.join(found.artifacts)}"
    else:
        value = materialise.read(found, blobs) if found.kind == "json" else None
        if isinstance(value, (list, tuple)):
            return len(value)
        kind = f"one {found.kind if value is None else type(value).__name__}"
    raise Invalid(f".map goes over {ref.label}, which is {kind}; a step that gives a list or a tuple is expected.")


def load(value: Any, blobs: Blobs, wanted: Any = None) -> Any:
    """The value for a call: artifacts are read, everything else stays."""
    if isinstance(value, Artifact):
        return materialise.read(value, blobs, wanted)
    if isinstance(value, Bundle):
        return _unbundled(value, blobs, wanted)
    if isinstance(value, dict):
        inner = typing.get_args(wanted)[1:] if typing.get_origin(wanted) in (dict, Mapping) else ()
        return {key: load(item, blobs, *inner) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        parts = [load(item, blobs, each) for item, each in zip(value, _each(wanted, len(value)), strict=True)]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _each(wanted: Any, count: int) -> Iterable[Any]:
    """What is wanted of each item: of ``list[pl.DataFrame]`` frames, of ``tuple[A, B]`` one and the other."""
    inner, origin = typing.get_args(wanted), typing.get_origin(wanted)
    if origin is tuple and len(inner) == count and Ellipsis not in inner:
        return inner
    is_alike = origin in (list, tuple, Sequence, Iterable) and len(inner) in (1, 2) and inner[1:] in ((), (Ellipsis,))
    return [inner[0] if is_alike else None] * count


def _taken(path: str, found: Artifact | Bundle, inputs: dict[str, Artifact]) -> Artifact | Bundle:
    if isinstance(found, Artifact):
        inputs[path] = found
    else:
        inputs.update({f"{path}.{name}": artifact for name, artifact in found.artifacts.items()})
    return found


def _path(path: str, value: Path, inputs: dict[str, Artifact], params: dict[str, str], blobs: Blobs) -> Any:
    """A file that exists counts by its content, wherever it is; the step still gets the path that was given."""
    if value.exists():
        inputs[path] = files.bring(value, blobs) if value.is_dir() else materialise.write(value, blobs)
    else:
        params[path] = str(value)
    return value


def _value(path: str, value: Any, inputs: dict[str, Artifact], params: dict[str, str], blobs: Blobs) -> Any:
    try:
        params[path] = json.dumps(value).decode()
        return value
    except json.Unplain as error:
        inner = error.value
    is_container = type(value) in (dict, list, tuple)
    if not (is_container and materialise.is_several(value)) and (family := materialise.family_of(value)) is not None:
        inputs[path] = family.write(value, blobs)
        return inputs[path]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _value(f"{path}[{key!r}]", item, inputs, params, blobs) for key, item in value.items()}
    if type(value) in (list, tuple):
        params[path] = f"{type(value).__name__} of {len(value)}"
        parts = [_value(f"{path}[{place}]", item, inputs, params, blobs) for place, item in enumerate(value)]
        return parts if type(value) is list else tuple(parts)
    error_of_kind = materialise.unsupported(inner)
    raise Invalid(f"argument {path}: {error_of_kind.message}", argument=path, **error_of_kind.facts)


def _inside(ref: Ref, found: Artifact, rest: tuple[str, ...], blobs: Blobs) -> Artifact:
    if found.kind != "json":
        raise Invalid(f"{ref.node.label} gives one {found.kind}; take {rest[0]!r} out of it inside a step.")
    value = materialise.read(found, blobs)
    for name in rest:
        value = _item(ref, value, name)
    return materialise.write(value, blobs)


def _item(ref: Ref, value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        raise Invalid(f"{ref.node.label} gave no {name!r}; it gave {', '.join(map(repr, value))}.")
    if isinstance(value, (list, tuple)):
        if name in getattr(value, "_fields", ()):
            return getattr(value, name)
        if name.lstrip("-").isdigit() and -len(value) <= int(name) < len(value):
            return value[int(name)]
        raise Invalid(f"{ref.node.label} gave {len(value)} results; {name!r} is not one of them.")
    raise Invalid(f"{ref.node.label} gave one {type(value).__name__}; it has no part {name!r}.")


def _unbundled(bundle: Bundle, blobs: Blobs, wanted: Any) -> Any:
    values = {name: materialise.read(artifact, blobs) for name, artifact in bundle.artifacts.items()}
    for annotation in (bundle.annotation, wanted):
        if isinstance(annotation, type) and hasattr(annotation, "_fields"):
            return annotation(**values)
    if all(name.isdigit() for name in values):
        return tuple(values.values())
    return values


def digest(found: Artifact | Bundle) -> str:
    """One digest for an argument that is a result, or all results, of a step."""
    if isinstance(found, Artifact):
        return found.digest
    return digest_of({name: artifact.digest for name, artifact in found.artifacts.items()})
