# SPDX-License-Identifier: Apache-2.0
"""Edges of the graph: whether what one step gives fits what the next one takes, before anything runs.

In: the two annotations. Out: nothing, or the error. Tables of any library fit one another, as they are converted on the way;
numbers fit wider ones. Where an annotation is missing, or says less than a class, nothing is claimed: the benefit of the
doubt goes to the author.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid
from mainstay.engine.refs import Ref

if TYPE_CHECKING:
    from mainstay.engine.steps import Step

_FRAMES = frozenset({"Table", "RecordBatch", "DataFrame", "LazyFrame", "DuckDBPyRelation"})
_LIBRARIES = frozenset({"pyarrow", "pandas", "polars", "duckdb", "_duckdb"})
_WIDER = {int: (float, complex), bool: (int, float), float: (complex,)}


def check(step: Step[..., Any], arguments: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Hold the results that a call is given against the parameters they go to.

    Raises:
        Invalid: one of them cannot be what the step takes.
    """
    for name, value in arguments.items():
        if name in wanted and not _fits(value, wanted[name]):
            found = _first_misfit(value, wanted[name])
            raise Invalid(
                f"step {step.name} takes {name}: {told(wanted[name])}, and {found.label} gives {told(found.annotation)};"
                " pass on another result, or correct the annotation that is wrong.",
                step=step.name,
                parameter=name,
            )


def fits(given: Any, wanted: Any) -> bool:
    """Whether a value annotated ``given`` may be one of ``wanted``.

    >>> fits(dict[str, float], int), fits(int, float), fits(dict[str, float], collections.abc.Mapping)
    (False, True, True)
    """
    given, wanted = (_bare(each) for each in (given, wanted))
    if _says_nothing(given) or _says_nothing(wanted):
        return True
    for side, other in ((given, wanted), (wanted, given)):
        if typing.get_origin(side) in (typing.Union, types.UnionType):
            pairs = ((each, other) if side is given else (other, each) for each in typing.get_args(side))
            return any(fits(*pair) for pair in pairs)
    if typing.get_origin(given) is typing.Literal or typing.get_origin(wanted) is typing.Literal:
        return True
    return _classes_fit(_class(given), _class(wanted))


def told(annotation: Any) -> str:
    """An annotation as people write it.

    >>> told(dict[str, float]), told(int)
    ('dict[str, float]', 'int')
    """
    if isinstance(annotation, type) and not typing.get_args(annotation):
        module = annotation.__module__.partition(".")[0]
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(value, Ref):
        return fits(value.annotation, wanted)
    return not isinstance(value, (list, tuple)) or all(_fits(item, _item(wanted)) for item in value)


def _first_misfit(value: Any, wanted: Any) -> Ref:
    while not isinstance(value, Ref):
        wanted = _item(wanted)
        value = next(item for item in value if not _fits(item, wanted))
    return value


def _item(wanted: Any) -> Any:
    """What a list of ``wanted`` holds; nothing is claimed of a tuple with a place for each."""
    inner = typing.get_args(wanted)
    return (
        inner[0]
        if typing.get_origin(wanted) in (list, collections.abc.Sequence, collections.abc.Iterable) and inner
        else None
    )


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _says_nothing(annotation: Any) -> bool:
    kind = _class(annotation)
    return annotation in (None, Any, object) or kind is None or getattr(kind, "_is_protocol", False)


def _class(annotation: Any) -> type | None:
    kind = typing.get_origin(annotation) or annotation
    return (
        kind
        if isinstance(kind, type)
        else type(None)
        if annotation is None
        else None
        if not _is_union(kind)
        else object
    )


def _is_union(kind: Any) -> bool:
    return kind in (typing.Union, types.UnionType, typing.Literal)


def _classes_fit(given: type | None, wanted: type | None) -> bool:
    if given is None or wanted is None or given is object or wanted is object:
        return True
    if _is_frame(given) and _is_frame(wanted):
        return True
    # Either way round: a step that promises a base class may well give the class that the next one takes.
    return issubclass(given, wanted) or issubclass(wanted, given) or wanted in _WIDER.get(given, ())


def _is_frame(kind: type) -> bool:
    return kind.__name__ in _FRAMES and kind.__module__.partition(".")[0] in _LIBRARIES
