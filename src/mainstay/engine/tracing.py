# SPDX-License-Identifier: Apache-2.0
"""The trace: what a pipeline's function asked for, in order, while it was being called.

In: calls of steps and verbs. Out: nodes. Only one trace is open at a time in a thread (or task); outside of one, steps
are plain functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mainstay.engine.platform import Platform
from mainstay.engine.refs import MapNode, Node, Ref, StepNode

_current: ContextVar[Trace | None] = ContextVar("mainstay_trace", default=None)
AnyNode = TypeVar("AnyNode", bound=Node)


@dataclass(kw_only=True)
class Trace:
    """Nodes in the order of their calls. ``platform`` answers ``snapshots(…)`` while tracing."""

    pipeline: str
    platform: Platform | None = None
    nodes: list[Node] = field(default_factory=list)
    calls: dict[float, list[StepNode]] = field(default_factory=dict)  # of each map that has grown, by its number
    wanted: Ref | None = None  # the function asked for the value of this, and ends here until it is known
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: type[AnyNode], *, label: str, **facts: Any) -> AnyNode:
        """Append a node; a second call of the same step is labelled ``name (2)``."""
        count = self._counts[label] = self._counts.get(label, 0) + 1
        node = kind(number=len(self.nodes), label=label if count == 1 else f"{label} ({count})", **facts)
        self.nodes.append(node)
        return node

    def grow(self, node: MapNode, width: int) -> list[StepNode]:
        """The calls of a map over ``width`` items."""
        if node.number not in self.calls:
            self.calls[node.number] = [node.call(place) for place in range(width)]
        return self.calls[node.number]

    def in_order(self) -> Iterator[Node]:
        """Nodes as they are worked through; the calls of a map that has grown follow it."""
        for node in self.nodes:
            yield node
            yield from self.calls.get(node.number, ())


def current() -> Trace | None:
    """The trace that calls belong to now, if any."""
    return _current.get()


@contextmanager
def opened(trace: Trace) -> Iterator[Trace]:
    """Calls inside the block are traced instead of made."""
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


@contextmanager
def suspended() -> Iterator[None]:
    """Calls inside the block are plain calls: a step that calls another step runs it as a function."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
