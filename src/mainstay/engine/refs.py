# SPDX-License-Identifier: Apache-2.0
"""What a call inside a pipeline gives: a ``Ref`` to a result that does not exist yet, and the node that will make it.

A ``Ref`` can be handed to other steps, unpacked where the step's annotation tells how many results there are, and asked
for one named result (``ref["train"]``, ``ref.train``). It cannot be looked at: its value is only known when the run is
carried out, so ``if ref:``, ``len(ref)``, ``float(ref)`` and the like raise an error that says what to do instead.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from mainstay.domain.errors import Invalid
from mainstay.engine import named_results

if TYPE_CHECKING:
    from mainstay.engine.steps import Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One thing a pipeline will do. ``number`` counts from 0 in the order of the calls, and of work."""

    number: float  # a whole one, but for the calls of a map
    label: str  # unique within the trace, for people: "flights.features", "flights.features (2)"


@dataclass(frozen=True, kw_only=True, eq=False)
class StepNode(Node):
    """A call of a step with bound arguments, which may hold refs at any depth of lists, tuples and dicts."""

    step: Step[..., Any]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class SnapshotNode(Node):
    """A table that becomes a snapshot of ``dataset``."""

    dataset: str
    value: Any
    source: str | None = None
    period: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ExistingNode(Node):
    """A snapshot that was there before the pipeline began: fixed by digest when the pipeline is traced."""

    snapshot: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class RegisterNode(Node):
    """A fitted model that becomes a version of ``model``."""

    model: str
    value: Any
    metrics: Any = None
    holdout: Any = None
    target: str | None = None
    features: tuple[str, ...] | None = None
    nullable: tuple[str, ...] | None = None
    description: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MapNode(Node):
    """One call of ``step`` for each item of ``items``, the result of a step; how many is known once that is there.

    ``first`` names the parameter that takes the item, ``arguments`` are those of every call.
    """

    step: Step[..., Any]
    items: Ref
    first: str
    arguments: Mapping[str, Any]

    def call(self, place: int) -> StepNode:
        """The call for the item at ``place``. Its number leaves room for whatever is called after the map."""
        arguments = {
            name: self.arguments.get(name) for name in self.step.signature.parameters if name in self.arguments
        }
        given = {self.first: self.items[place], **arguments}
        number = self.number + (place + 1) * _ITEM
        return StepNode(number=number, label=f"{self.step.name} [{place}]", step=self.step, arguments=given)


_ITEM = 2.0**-20  # the calls of a map stand between the map and the node after it


class ValueWanted(BaseException):
    """A pipeline's function asked for the value of a result; not an Exception, so that its own ``except`` lets it pass."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref.label)
        self.ref = ref


@dataclass(frozen=True, eq=False, repr=False)
class Ref:
    """The result of ``node``, or the part of it that ``path`` names."""

    node: Node
    path: tuple[str, ...] = ()
    annotation: Any = None

    def __repr__(self) -> str:
        return f"<result of {self.label}>"

    @property
    def label(self) -> str:
        """The call, and the part of its result, in words."""
        return self.node.label + "".join(f"[{part!r}]" for part in self.path)

    @property
    def value(self) -> Any:
        """The result itself: the run carries out what it takes, then the pipeline's function is called again with it.

        So what a pipeline's function does besides calling steps may happen more than once.
        """
        known = _known_values.get()
        if known is None:
            self._refuse("ask for its value", "do that while a pipeline is run")
        if (self.node.label, self.path) not in known:
            raise ValueWanted(self)
        return known[self.node.label, self.path]

    def __getitem__(self, name: str | int) -> Ref:
        if not isinstance(name, (str, int)):
            self._refuse(f"index it with {type(name).__name__}")
        return Ref(self.node, (*self.path, str(name)), _part_annotation(self.annotation, name))

    def __getattr__(self, name: str) -> Ref:
        # Dunder lookups come from Python itself (copy, pickle, numpy …); answering them with refs would confuse it.
        fields = part_names(self.annotation) or ()
        if name.startswith("__") or name not in fields:
            raise AttributeError(
                f"{self!r} has no part {name!r}: inside a pipeline a result is only a reference; "
                f"annotate the step with a NamedTuple to name its results, or use .{name} inside a step."
            )
        return self[name]

    def __iter__(self) -> Iterator[Ref]:
        names = part_names(self.annotation)
        if names is None:
            self._refuse(
                "iterate over it",
                "annotate the step's result as tuple[A, B] or as a NamedTuple to unpack it, or loop inside a step",
            )
        return iter([self[name] for name in names])

    def __bool__(self) -> NoReturn:
        self._refuse("decide by it", "decide by its .value, which waits for it, inside a step, or by a parameter")

    def __len__(self) -> NoReturn:
        self._refuse("take its length")

    def __float__(self) -> NoReturn:
        self._refuse("turn it into a number")

    def __int__(self) -> NoReturn:
        self._refuse("turn it into a number")

    def __index__(self) -> NoReturn:
        self._refuse("turn it into a number")

    def __lt__(self, other: object) -> NoReturn:
        self._refuse("compare it")

    __le__ = __gt__ = __ge__ = __lt__

    def _refuse(self, act: str, instead: str = "do that inside a step and pass the result on") -> NoReturn:
        raise Invalid(
            f"cannot {act}: {self!r} is a reference, its value is known only when the run is carried out; {instead}.",
            step=self.node.label,
        )


# The values that a pipeline's function has asked for so far, by label and path; None: no pipeline is being traced.
_known_values: ContextVar[Mapping[tuple[str, tuple[str, ...]], Any] | None] = ContextVar(
    "mainstay_values", default=None
)


@contextmanager
def values_known(values: Mapping[tuple[str, tuple[str, ...]], Any]) -> Iterator[None]:
    """Inside the block, `Ref.value` answers with ``values`` or raises `ValueWanted`."""
    token = _known_values.set(values)
    try:
        yield
    finally:
        _known_values.reset(token)


def part_names(annotation: Any) -> tuple[str, ...] | None:
    """Names of the results that ``annotation`` promises; None: one result, or unknown.

    >>> part_names(tuple[int, str])
    ('0', '1')
    >>> part_names(dict[str, float]) is None
    True
    """
    if fields := getattr(annotation, "_fields", None):
        return tuple(fields)
    if named_results.is_named(annotation):
        return tuple(annotation.names)
    if typing.is_typeddict(annotation):
        return tuple(annotation.__annotations__)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and arguments and Ellipsis not in arguments:
        return tuple(str(place) for place in range(len(arguments)))
    return None


def _part_annotation(annotation: Any, name: str | int) -> Any:
    names = part_names(annotation)
    if names is None:
        return None
    if isinstance(name, int) and name < 0:
        name += len(names)
    place = (
        names.index(str(name)) if str(name) in names else name if isinstance(name, int) and name < len(names) else None
    )
    if place is None:
        raise Invalid(f"there is no result {name!r}; the annotation promises {', '.join(names)}.")
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[place]
    if named_results.is_named(annotation):
        return annotation.kinds[place] if annotation.kinds else None
    try:
        return typing.get_type_hints(annotation).get(names[place])
    except NameError:  # a forward reference to something that only a type checker imports
        return None


def unfolded(value: Any, calls: Mapping[float, list[StepNode]]) -> Any:
    """``value`` with the refs to each map that has grown replaced by the refs to its calls."""
    if isinstance(value, Ref):
        return _unfolded(value, calls[value.node.number]) if value.node.number in calls else value
    if isinstance(value, Mapping):
        return {key: unfolded(item, calls) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(unfolded(item, calls) for item in value)
    return value


def _unfolded(ref: Ref, calls: list[StepNode]) -> Any:
    results = [Ref(node, (), node.step.result_annotation) for node in calls]
    if not ref.path:
        return results
    place, rest = ref.path[0], ref.path[1:]
    if not place.lstrip("-").isdigit() or not -len(results) <= int(place) < len(results):
        raise Invalid(f"{ref.node.label} has {len(results)} calls; {place!r} is not one of them.")
    chosen = results[int(place)]
    return Ref(chosen.node, rest) if rest else chosen


def refs_in(value: Any) -> Iterator[Ref]:
    """Every ref in ``value``, at any depth of lists, tuples, sets and dicts, in order."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from refs_in(item)
