# SPDX-License-Identifier: Apache-2.0
"""The schedule: which nodes may be worked on now, in the order of their calls.

In: nodes, and for each the numbers of the nodes it waits for. Out: the next one whose inputs are there. It may grow while it
is worked through. Each node and each arrow is looked at once, so a chain of many thousand steps costs no more a step.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from mainstay.engine.refs import Node


class Schedule:
    """Nodes that wait, and nodes that are ready."""

    def __init__(self) -> None:
        self._ready: list[tuple[float, int, Node]] = []
        self._waits_for: dict[float, set[float]] = {}
        self._node_by_number: dict[float, Node] = {}
        self._dependents: dict[float, list[float]] = {}
        self._settled: set[float] = set()

    def __bool__(self) -> bool:
        return bool(self._ready or self._waits_for)

    def add(self, node: Node, after: Iterable[float]) -> None:
        """Take a node that may begin once the nodes ``after`` are settled."""
        left = {number for number in after if number not in self._settled}
        if not left:
            self._put(node)
            return
        self._waits_for[node.number], self._node_by_number[node.number] = left, node
        for number in left:
            self._dependents.setdefault(number, []).append(node.number)

    def settle(self, number: float) -> None:
        """The results of a node are there."""
        self._settled.add(number)
        for waiting in self._dependents.pop(number, ()):
            left = self._waits_for[waiting]
            left.discard(number)
            if not left:
                del self._waits_for[waiting]
                self._put(self._node_by_number.pop(waiting))

    def is_settled(self, number: float) -> bool:
        """Whether the results of a node are there."""
        return number in self._settled

    def freed_by(self, number: float) -> Iterator[Node]:
        """Nodes that wait for nothing but ``number``."""
        for waiting in self._dependents.get(number, ()):
            if self._waits_for.get(waiting) == {number}:
                yield self._node_by_number[waiting]

    def peek(self) -> Node | None:
        """The first node that is ready."""
        return self._ready[0][2] if self._ready else None

    def take(self) -> Node:
        """The first node that is ready; it is somebody's work now."""
        return heapq.heappop(self._ready)[2]

    def _put(self, node: Node) -> None:
        # The count tells nodes of one number apart, so that nodes themselves are never compared.
        heapq.heappush(self._ready, (node.number, len(self._ready), node))
