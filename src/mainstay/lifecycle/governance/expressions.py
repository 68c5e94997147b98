# SPDX-License-Identifier: Apache-2.0
"""Conditions in CEL (the Common Expression Language): gates of a policy, conditions of a trigger. They fail closed.

In: an expression and the facts it may use. Out: true or false; anything else (an unknown name, a missing value, a result
that is no boolean) is an `Invalid`, which every caller must treat as *not satisfied*. The library stands behind this one
file, so that another can take its place. It is imported late: it takes most of half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mainstay.domain.errors import Invalid

LONGEST = 2000


def check(expression: str, *, what: str = "condition") -> frozenset[str]:
    """Compile without evaluating; the variables it reads.

    Raises:
        Invalid: it does not compile.
    """
    import cel

    if len(expression) > LONGEST:
        raise Invalid(f"{what} has {len(expression)} characters; at most {LONGEST} are allowed.")
    try:
        return frozenset(cel.compile(expression).references()["variables"])
    except Exception as error:  # the library raises ValueError and, for some input, its own panics
        raise Invalid(f"{what} {expression!r} is not a CEL expression: {_first_line(error)}.") from error


def holds(
    expression: str,
    *,
    facts: Mapping[str, Any],
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> bool:
    """Evaluate.

    Raises:
        Invalid: a name is unknown, a value is missing, or the result is not true or false. Never satisfied, then.
    """
    import cel

    context = cel.Context()
    for name, value in facts.items():
        context.add_variable(name, value)
    for name, function in (functions or {}).items():
        context.add_function(name, function)
    try:
        result = cel.evaluate(expression, context)
    except Exception as error:
        raise Invalid(f"{expression!r} cannot be decided: {_first_line(error)}.") from error
    if not isinstance(result, bool):
        raise Invalid(f"{expression!r} gives {result!r}; true or false is expected.")
    return result


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
