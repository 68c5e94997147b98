# SPDX-License-Identifier: Apache-2.0
"""Names for the several results of a step: ``ms.Out["train", "test"]``, where a ``NamedTuple`` would be too much ceremony.

Written as the annotation itself, or inside ``Annotated[tuple[A, B], ms.Out["train", "test"]]``, which also says the types
and satisfies a type checker. The step returns a tuple in that order, or a dict with those keys.
"""

from __future__ import annotations

import typing
from typing import Any

from mainstay.domain.errors import Invalid


class Out:
    """``names`` of the results, and their types where they are known."""

    names: tuple[str, ...] = ()
    kinds: tuple[Any, ...] = ()

    def __class_getitem__(cls, names: str | tuple[str, ...]) -> type[Out]:
        chosen = (names,) if isinstance(names, str) else tuple(names)
        if not chosen or not all(isinstance(name, str) and name.isidentifier() for name in chosen):
            raise Invalid(f'Out[{names!r}] does not name results; names are expected, such as Out["train", "test"].')
        if len(set(chosen)) < len(chosen):
            raise Invalid(f"Out[{', '.join(map(repr, chosen))}] names one result twice; give each its own name.")
        return type("Out", (Out,), {"names": chosen})


def is_named(annotation: Any) -> bool:
    """Whether ``annotation`` is an ``Out[…]``."""
    return isinstance(annotation, type) and issubclass(annotation, Out)


def of(annotation: Any) -> Any:
    """``annotation`` without ``Annotated``; an ``Out`` inside takes the types of the tuple with it.

    >>> of(typing.Annotated[tuple[int, str], Out["a", "b"]]).kinds
    (<class 'int'>, <class 'str'>)
    """
    if typing.get_origin(annotation) is not typing.Annotated:
        return annotation
    inner, *said = typing.get_args(annotation)
    named = next((each for each in said if is_named(each)), None)
    if named is None:
        return inner
    kinds = typing.get_args(inner) if typing.get_origin(inner) is tuple else ()
    if kinds and len(kinds) != len(named.names):
        raise Invalid(
            f"Out names {len(named.names)} results and the tuple has {len(kinds)}; one name for each is expected."
        )
    return type("Out", (Out,), {"names": named.names, "kinds": kinds})
