# SPDX-License-Identifier: Apache-2.0
"""Expressions: a computation of a few values, as data that anybody may carry out.

In: a tree of lists, such as ``["/", ["input", "basket"], ["input", "total"]]``. Out: its type, and a function. It is read with
types and with limits, so that what was read always ends, needs little memory, reaches nothing but its inputs, and raises
nothing: what cannot be computed (a division by zero, a logarithm of −1, a number beyond 64 bits) is null, and so is what is
made of a null, but for ``is_null``, ``and``, ``or`` and the branch not taken. One row at a time, in training as in serving: so
both do the same arithmetic, to the last bit.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mainstay.domain.errors import Invalid

Kind = Literal["float", "int", "str", "bool", "datetime", "duration", "null"]
Values = Sequence[Any]
Evaluate = Callable[[Values], Any]

MOST_NODES = 500
DEEPEST = 60
LONGEST_TEXT = 10_000

_NUMBERS = ("int", "float")
_ORDERED = ("float", "str", "datetime", "duration")
_INT64 = 1 << 63
_LARGEST = sys.float_info.max


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Of which type it is, and how it is carried out on the values of its inputs."""

    kind: Kind
    evaluate: Evaluate
    nodes: int = 1


def read(tree: Any, kind_by_input: Mapping[str, str]) -> Expression:
    """The expression that a tree says.

    Raises:
        Invalid: it says none, or more than one may.
    """
    places = {name: place for place, name in enumerate(kind_by_input)}
    return _read(tree, places, kind_by_input, DEEPEST)


def _read(tree: Any, places: Mapping[str, int], kinds: Mapping[str, str], deep: int) -> Expression:
    if not deep:
        raise Invalid(f"an expression is nested deeper than {DEEPEST} levels; take it apart.")
    if not isinstance(tree, list | tuple) or len(tree) < 2 or not isinstance(tree[0], str):
        raise Invalid(f"{str(tree)[:80]!r} is no expression; a list of an operation and its parts is expected.")
    name, parts = tree[0], tree[1:]
    if name == "value":
        return _value(parts[0])
    if name == "input":
        if not isinstance(parts[0], str) or parts[0] not in places:
            raise Invalid(f"an expression reads {str(parts[0])[:80]!r}; its inputs are {', '.join(places) or 'none'}.")
        return Expression(kind=kinds[parts[0]], evaluate=operator.itemgetter(places[parts[0]]))  # type: ignore[arg-type]
    if name == "one_of":
        return _one_of(_read(parts[0], places, kinds, deep - 1), parts[1:])
    if name not in _OPERATIONS:
        raise Invalid(f"there is no operation {name[:80]!r}; there are {', '.join(sorted(_OPERATIONS))}.")
    read = [_read(part, places, kinds, deep - 1) for part in parts]
    nodes = 1 + sum(part.nodes for part in read)
    if nodes > MOST_NODES:
        raise Invalid(f"an expression has more than {MOST_NODES} parts; take it apart, or make it a step.")
    made = _OPERATIONS[name](read)
    if made is None:
        raise Invalid(f"operation {name!r} takes no {' and '.join(part.kind for part in read)}.")
    return Expression(kind=made[0], evaluate=made[1], nodes=nodes)


def _value(value: Any) -> Expression:
    kinds: dict[type, Kind] = {float: "float", int: "int", str: "str", bool: "bool", type(None): "null"}
    kind = kinds.get(type(value))
    is_sound = (kind != "float" or math.isfinite(value)) and (kind != "int" or -_INT64 <= value < _INT64)
    if kind is None or not is_sound or (kind == "str" and len(value) > LONGEST_TEXT):
        raise Invalid(f"{str(value)[:80]!r} is no value of an expression; a number, a text, a truth or null is.")
    return Expression(kind=kind, evaluate=lambda _: value)


def _one_of(what: Expression, values: Sequence[Any]) -> Expression:
    if any(_same_kind([what.kind, _value(each).kind]) is None for each in values) or len(values) > MOST_NODES:
        raise Invalid(f"a {what.kind} is looked for among {str(list(values))[:80]}; values of its type are expected.")
    known, of = frozenset(values), what.evaluate

    def evaluate(row: Values) -> Any:
        value = of(row)
        return None if value is None else value in known

    return Expression(kind="bool", evaluate=evaluate, nodes=what.nodes + len(values))


Made = tuple[Kind, Evaluate] | None
Operation = Callable[[list[Expression]], Made]


def _same_kind(kinds: Sequence[str]) -> Kind | None:
    """The type that all of these are; whole numbers beside others are floats, null is of every type."""
    found = {kind for kind in kinds if kind != "null"}
    if not found:
        return "null"
    if found <= set(_NUMBERS):
        return "float" if "float" in found else "int"
    return found.pop() if len(found) == 1 else None  # type: ignore[return-value]


def _is_number(part: Expression) -> bool:
    return part.kind in (*_NUMBERS, "null")


def _sound(value: Any) -> Any:
    """A result that a column can hold, or null."""
    if isinstance(value, float):
        return value if -_LARGEST <= value <= _LARGEST else None
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else None
    return value if isinstance(value, bool) or not isinstance(value, int) or -_INT64 <= value < _INT64 else None


def _strict(function: Callable[..., Any], parts: Sequence[Expression]) -> Evaluate:
    """``function`` of the parts; null where one of them is, and where it has no result."""
    of = [part.evaluate for part in parts]
    if len(of) == 2:
        return _strict_pair(function, *of)

    def evaluate(row: Values) -> Any:
        values = [each(row) for each in of]
        if None in values:
            return None
        try:
            return _sound(function(*values))
        except (ArithmeticError, ValueError):
            return None

    return evaluate


def _strict_pair(function: Callable[..., Any], left: Evaluate, right: Evaluate) -> Evaluate:
    """The same of two, which most are, in half the time: a training table has many rows."""

    def evaluate(row: Values) -> Any:
        one, other = left(row), right(row)
        if one is None or other is None:
            return None
        try:
            found = function(one, other)
        except (ArithmeticError, ValueError):
            return None
        return found if found is True or found is False else _sound(found)

    return evaluate


def _arithmetic(function: Callable[..., Any], *, exact: bool = True) -> Operation:
    """Of two numbers a number: a whole one of two whole ones, unless it is never ``exact``."""

    def make(parts: list[Expression]) -> Made:
        kind = _same_kind([part.kind for part in parts])
        if len(parts) != 2 or not all(map(_is_number, parts)) or kind is None:
            return None
        return kind if exact else "float", _strict(function, parts)

    return make


def _plus(parts: list[Expression]) -> Made:
    if len(parts) == 2 and all(part.kind == "str" for part in parts):
        return "str", _strict(operator.add, parts)
    return _arithmetic(operator.add)(parts)


def _minus(parts: list[Expression]) -> Made:
    if len(parts) == 2 and all(part.kind == "datetime" for part in parts):
        return "duration", _strict(lambda one, other: (one - other).total_seconds(), parts)
    return _arithmetic(operator.sub)(parts)


def _comparison(function: Callable[..., Any], *, ordered: bool = True) -> Operation:
    def make(parts: list[Expression]) -> Made:
        kind = _same_kind([part.kind for part in parts])
        fits = kind is not None and (not ordered or kind in (*_ORDERED, "int", "null"))
        return ("bool", _strict(function, parts)) if fits and len(parts) == 2 else None

    return make


def _of(*given: str, gives: Kind, by: Callable[..., Any]) -> Operation:
    """An operation on these types; a whole number is a float where one is asked for."""

    def make(parts: list[Expression]) -> Made:
        fits = len(parts) == len(given) and all(
            part.kind in (kind, "null") or (kind == "float" and part.kind == "int")
            for part, kind in zip(parts, given, strict=True)
        )
        return (gives, _strict(by, parts)) if fits else None

    return make


def _among(choose: Callable[..., Any]) -> Operation:
    def make(parts: list[Expression]) -> Made:
        kind = _same_kind([part.kind for part in parts])
        return (kind, _strict(choose, parts)) if kind in (*_ORDERED, "int") and len(parts) > 1 else None

    return make


def _keeping(function: Callable[..., Any]) -> Operation:
    """Of a number one of its type."""
    return lambda parts: (parts[0].kind, _strict(function, parts)) if len(parts) == 1 and _is_number(parts[0]) else None


def _cast(kind: Kind, function: Callable[..., Any]) -> Operation:
    def make(parts: list[Expression]) -> Made:
        fits = len(parts) == 1 and parts[0].kind in (*_NUMBERS, "bool", "null")
        return (kind, _strict(function, parts)) if fits else None

    return make


def _rounded(parts: list[Expression]) -> Made:
    if len(parts) == 2 and _is_number(parts[0]) and parts[1].kind == "int":
        return "float", _strict(lambda value, digits: float(round(value, max(-400, min(400, digits)))), parts)
    return ("int", _strict(round, parts)) if len(parts) == 1 and _is_number(parts[0]) else None


def _is_null(parts: list[Expression]) -> Made:
    of = parts[0].evaluate
    return ("bool", lambda row: of(row) is None) if len(parts) == 1 else None


def _truth(decides: bool) -> Operation:
    """``or`` is decided by one that is true, ``and`` by one that is false, whatever is not known beside it."""

    def make(parts: list[Expression]) -> Made:
        of = [part.evaluate for part in parts]
        if any(part.kind not in ("bool", "null") for part in parts):
            return None

        def evaluate(row: Values) -> Any:
            values = [each(row) for each in of]
            return decides if decides in values else None if None in values else not decides

        return "bool", evaluate

    return make


def _choice(parts: list[Expression]) -> Made:
    """``if``: of a condition that is not known, nothing follows."""
    kind = _same_kind([part.kind for part in parts[1:]])
    if len(parts) != 3 or parts[0].kind not in ("bool", "null") or kind is None:
        return None
    test, then, otherwise = (part.evaluate for part in parts)
    whole = _as_float if kind == "float" else _as_is

    def evaluate(row: Values) -> Any:
        known = test(row)
        return None if known is None else whole(then(row) if known else otherwise(row))

    return kind, evaluate


def _as_is(value: Any) -> Any:
    return value


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)


_OPERATIONS: dict[str, Operation] = {
    "+": _plus,
    "-": _minus,
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(operator.truediv, exact=False),
    "//": _arithmetic(operator.floordiv),
    "%": _arithmetic(operator.mod),
    "**": _arithmetic(math.pow, exact=False),
    "negative": _keeping(operator.neg),
    "abs": _keeping(abs),
    "<": _comparison(operator.lt),
    "<=": _comparison(operator.le),
    ">": _comparison(operator.gt),
    ">=": _comparison(operator.ge),
    "==": _comparison(operator.eq, ordered=False),
    "!=": _comparison(operator.ne, ordered=False),
    "and": _truth(False),
    "or": _truth(True),
    "not": _of("bool", gives="bool", by=operator.not_),
    "if": _choice,
    "is_null": _is_null,
    "min": _among(min),
    "max": _among(max),
    "round": _rounded,
    "int": _cast("int", int),
    "float": _cast("float", float),
    "floor": _of("float", gives="int", by=math.floor),
    "ceil": _of("float", gives="int", by=math.ceil),
    **{
        name: _of("float", gives="float", by=getattr(math, name))
        for name in ("sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "radians")
    },
    "hypot": _of("float", "float", gives="float", by=math.hypot),
    "atan2": _of("float", "float", gives="float", by=math.atan2),
    "len": _of("str", gives="int", by=len),
    "lower": _of("str", gives="str", by=str.lower),
    "upper": _of("str", gives="str", by=str.upper),
    "strip": _of("str", gives="str", by=str.strip),
    "startswith": _of("str", "str", gives="bool", by=str.startswith),
    "endswith": _of("str", "str", gives="bool", by=str.endswith),
    "contains": _of("str", "str", gives="bool", by=operator.contains),
    "seconds": _of("duration", gives="float", by=float),
    **{
        name: _of("datetime", gives="int", by=operator.attrgetter(name))
        for name in ("year", "month", "day", "hour", "minute", "second")
    },
    "weekday": _of("datetime", gives="int", by=lambda moment: moment.weekday()),
    "isoweekday": _of("datetime", gives="int", by=lambda moment: moment.isoweekday()),
}
