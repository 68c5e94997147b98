# SPDX-License-Identifier: Apache-2.0
"""Contracts on edges: a step whose result is ``Annotated[pl.DataFrame, Contract]`` hands nothing on that breaks it.

Held where the result is made, before it is kept; the first bad rows become an artifact of the step's run.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from mainstay.client import recording
from mainstay.engine.platform import Blobs
from mainstay.engine.refs import part_names

if TYPE_CHECKING:
    from mainstay.engine.steps import Step


def check(result: Any, step: Step[..., Any], blobs: Blobs) -> None:
    """Hold each result of ``step`` against the contract that its annotation names, if it names one.

    Raises:
        Invalid: a contract is broken; the facts list every problem.
    """
    for name, value, annotation in _results(result, step):
        if not _may_have_one(annotation):
            continue
        # Only a step that has a contract pays for the code that holds one.
        from mainstay.engine import contracts
        from mainstay.engine.materialise import arrow

        asked = contracts.contract_of(annotation)
        if asked is not None:
            what = f"result {name!r} of step {step.name}" if name else f"the result of step {step.name}"
            contracts.check(arrow.to_arrow(value), asked, what, put=partial(_keep, name=name, blobs=blobs))


def _results(result: Any, step: Step[..., Any]) -> Iterator[tuple[str, Any, Any]]:
    annotation = step.full_annotations.get("return")
    names = part_names(step.result_annotation)
    if names is None:
        yield "", result, annotation
        return
    kinds = _kinds(annotation, names)
    values = (
        result
        if isinstance(result, tuple)
        else [result.get(name) for name in names]
        if isinstance(result, dict)
        else ()
    )
    yield from zip(names, values, kinds, strict=False)


def _kinds(annotation: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    if hasattr(annotation, "_fields") or typing.is_typeddict(annotation):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return tuple(hints.get(name) for name in names)
    inner = typing.get_args(annotation)
    is_wrapped = typing.get_origin(annotation) is typing.Annotated and typing.get_origin(inner[0]) is tuple
    return typing.get_args(inner[0]) if is_wrapped else inner


def _may_have_one(annotation: Any) -> bool:
    return typing.get_origin(annotation) is typing.Annotated or "pandera" in getattr(annotation, "__module__", "")


def _keep(rows: bytes, *, name: str, blobs: Blobs) -> str:
    tell = recording.step_sink.get()
    if tell is not None:
        tell("artifact", f"broken-rows{f'-{name}' if name else ''}.json", rows)
    return blobs.put_blob(rows)
