# SPDX-License-Identifier: Apache-2.0
"""Transforms of a request, as they are written: a small function of columns, read as an expression.

In: ``@on_request`` on a function whose body is assignments, ``if`` and ``return``. Out: an object that is called as the function,
joined in ``get_training``, and pinned by the versions that take what it makes. What is read is its source, once, where it is
written; what is carried out, here, in training and in a gateway, is the expression. So no code travels, and a
function that says more than an expression can is refused at once, with the line.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import inspect
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.engine import steps
from mainstay.features import transforms
from mainstay.features.expressions import MOST_NODES
from mainstay.features.transforms import Transform

_TYPES: dict[Any, str] = {float: "float", int: "int", str: "str", bool: "bool", dt.datetime: "datetime"}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_FUNCTIONS: dict[Any, str] = {
    **{getattr(builtins, name): name for name in ("abs", "min", "max", "round", "int", "float", "len")},
    **{
        getattr(math, name): name
        for name in (
            "sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "radians", "hypot", "atan2",
            "floor", "ceil",
        )
    },
}  # fmt: skip
_METHODS = {name: name for name in ("lower", "upper", "strip", "startswith", "endswith", "weekday", "isoweekday")} | {
    "total_seconds": "seconds"
}
_PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")
_CONSTANTS = (int, float, str, bool, type(None))

Tree = list[Any]


@dataclass(eq=False, repr=False)
class OnRequest:
    """A transform, called as its function is."""

    function: Callable[..., Any]
    transform: Transform

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(self.function).bind(*args, **kwargs).arguments
        return self.transform.apply([given[name] for name, _ in self.transform.inputs])

    def __repr__(self) -> str:
        return f"<transform {self.transform.name}>"


def on_request(function: Callable[..., Any] | None = None, /, *, time: str | None = None) -> Any:
    """Make a function of columns a transform: a feature that is made of a request at the moment it is asked.

    Its parameters are columns of the request or features of views, each annotated with its type (float, int, str, bool,
    datetime). Its body may assign, choose by ``if``, compute and compare, and call what `docs/features.md` lists. It is null
    where something it needs is null, or where it has no result.

    Args:
        time: the parameter that is the time of asking; in training that of the label.

    Raises:
        Invalid: the function says something that an expression cannot.
    """
    if function is None:
        return lambda marked: on_request(marked, time=time)
    plain = steps.checked(function)
    assert isinstance(plain, FunctionType)
    kinds = steps.annotations_of(plain)
    inputs = []
    for parameter in inspect.signature(plain).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.default is not parameter.empty:
            raise Invalid(f"transform {plain.__name__!r} takes plain parameters without defaults; {parameter} is none.")
        inputs.append((parameter.name, _type(plain, parameter.name, kinds)))
    expression = _Reading(plain, [name for name, _ in inputs]).expression()
    made = transforms.make(
        plain.__name__, kind=_type(plain, "return", kinds), inputs=inputs, moment=time, expression=expression
    )
    return OnRequest(plain, made)


def _type(function: FunctionType, name: str, kinds: Mapping[str, Any]) -> str:
    kind = _TYPES.get(kinds.get(name))
    if kind is None:
        what = "its result" if name == "return" else f"parameter {name!r}"
        raise Invalid(
            f"transform {function.__name__!r} says no type of {what}; annotate it as float, int, str, bool or datetime."
        )
    return kind


class _Reading:
    """One function's source, on its way to a tree. Assigned names stand for their trees, which are copied where they are used."""

    def __init__(self, function: FunctionType, inputs: Sequence[str]) -> None:
        self._function = function
        self._known: dict[str, Tree] = {name: ["input", name] for name in inputs}
        self._constants = inspect.getclosurevars(function)
        self._left = MOST_NODES

    def expression(self) -> Tree:
        try:
            lines, self._first = inspect.getsourcelines(self._function)
            parsed = ast.parse(textwrap.dedent("".join(lines))).body[0]
        except (OSError, SyntaxError) as error:
            raise Invalid(
                f"the source of transform {self._function.__name__!r} cannot be read; write it in a file, as a function."
            ) from error
        if not isinstance(parsed, ast.FunctionDef):
            raise self._refused(parsed, "it is not a plain function")
        return self._block(parsed, parsed.body, self._known)

    def _block(self, at: ast.stmt, body: Sequence[ast.stmt], known: Mapping[str, Tree]) -> Tree:
        known = dict(known)
        for place, line in enumerate(body):
            rest = body[place + 1 :]
            match line:
                case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                    continue
                case ast.Return(value=ast.expr() as value):
                    return self._read(value, known)
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    known[name] = self._read(value, known)
                case ast.If(test=test, body=then, orelse=otherwise):
                    return self._node(
                        line,
                        "if",
                        self._read(test, known),
                        self._block(line, [*then, *rest], known),
                        self._block(line, [*otherwise, *rest], known),
                    )
                case _:
                    raise self._refused(line, "only assignments, if and return may stand here")
        raise self._refused(at, "it may end without a return")

    def _read(self, value: ast.expr, known: Mapping[str, Tree]) -> Tree:
        match value:
            case ast.Constant(value=constant) if isinstance(constant, _CONSTANTS):
                return self._node(value, "value", constant)
            case ast.Name(id=name) if name in known:
                return self._copied(value, known[name])
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _BINARY:
                return self._node(value, _BINARY[type(operation)], self._read(left, known), self._read(right, known))
            case ast.UnaryOp(op=ast.Not(), operand=of):
                return self._node(value, "not", self._read(of, known))
            case ast.UnaryOp(op=ast.USub(), operand=of):
                return self._node(value, "negative", self._read(of, known))
            case ast.BoolOp(op=word, values=several):
                name = "and" if isinstance(word, ast.And) else "or"
                return self._node(value, name, *(self._read(each, known) for each in several))
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return self._node(value, "if", *(self._read(each, known) for each in (test, then, otherwise)))
            case ast.Compare():
                return self._compared(value, known)
            case ast.Call(func=function, args=args, keywords=[]):
                return self._called(value, function, args, known)
            case ast.Attribute(value=of, attr=name) if name in _PARTS_OF_TIME:
                return self._node(value, name, self._read(of, known))
            case ast.Name() | ast.Attribute():
                return self._node(value, "value", self._constant(value))
        raise self._refused(value, "an expression cannot say this")

    def _compared(self, value: ast.Compare, known: Mapping[str, Tree]) -> Tree:
        sides = [value.left, *value.comparators]
        found = [
            self._pair(value, one, word, other, known)
            for one, word, other in zip(sides, value.ops, sides[1:], strict=False)
        ]
        return found[0] if len(found) == 1 else self._node(value, "and", *found)

    def _pair(self, at: ast.expr, one: ast.expr, word: ast.cmpop, other: ast.expr, known: Mapping[str, Tree]) -> Tree:
        left = self._read(one, known)
        if type(word) in _COMPARISONS:
            return self._node(at, _COMPARISONS[type(word)], left, self._read(other, known))
        if isinstance(word, ast.Is | ast.IsNot) and isinstance(other, ast.Constant) and other.value is None:
            found = self._node(at, "is_null", left)
        elif isinstance(word, ast.In | ast.NotIn) and isinstance(other, ast.Tuple | ast.List | ast.Set):
            found = self._node(at, "one_of", left, *(self._constant(each) for each in other.elts))
        elif isinstance(word, ast.In | ast.NotIn):
            found = self._node(at, "contains", self._read(other, known), left)
        else:
            raise self._refused(at, "`is` asks for None only")
        return self._node(at, "not", found) if isinstance(word, ast.IsNot | ast.NotIn) else found

    def _called(self, at: ast.expr, function: ast.expr, args: Sequence[ast.expr], known: Mapping[str, Tree]) -> Tree:
        if isinstance(function, ast.Attribute) and function.attr in _METHODS and not self._is_module(function.value):
            return self._node(
                at, _METHODS[function.attr], *(self._read(each, known) for each in (function.value, *args))
            )
        try:
            name = _FUNCTIONS.get(self._object(function))
        except TypeError:
            name = None
        if name is None:
            raise self._refused(at, f"{ast.unparse(function)!r} is none of the functions that an expression has")
        return self._node(at, name, *(self._read(each, known) for each in args))

    def _constant(self, value: ast.expr) -> Any:
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
            return -self._constant(value.operand)
        found = value.value if isinstance(value, ast.Constant) else self._object(value)
        if not isinstance(found, _CONSTANTS):
            raise self._refused(value, f"{ast.unparse(value)!r} is neither an input nor a number, text or truth")
        return found

    def _object(self, value: ast.expr) -> Any:
        """What a name of the module, or a name in one of its modules, stands for."""
        if isinstance(value, ast.Attribute) and self._is_module(value.value):
            return getattr(self._object(value.value), value.attr, _Nothing)
        if not isinstance(value, ast.Name):
            return _Nothing
        spaces = (self._constants.nonlocals, self._constants.globals, self._constants.builtins)
        return next((space[value.id] for space in spaces if value.id in space), _Nothing)

    def _is_module(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Name | ast.Attribute) and inspect.ismodule(self._object(value))

    def _node(self, at: ast.AST, name: str, *parts: Any) -> Tree:
        self._left -= 1
        if self._left < 0:
            raise self._refused(at, f"it has more than {MOST_NODES} parts; make a step of it")
        return [name, *parts]

    def _copied(self, at: ast.AST, tree: Tree) -> Tree:
        return self._node(
            at, tree[0], *(self._copied(at, each) if isinstance(each, list) else each for each in tree[1:])
        )

    def _refused(self, at: ast.AST, why: str) -> Invalid:
        line = self._first + getattr(at, "lineno", 1) - 1
        said = ast.unparse(at).splitlines()[0][:80]
        return Invalid(
            f"line {line}: transform {self._function.__name__!r} cannot be read as an expression at `{said}`: {why}."
        )


class _Nothing:
    """Stands for a name that stands for nothing."""
