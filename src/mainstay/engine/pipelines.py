# SPDX-License-Identifier: Apache-2.0
"""Pipelines: a plain function that calls steps; traced first, carried out second.

In: a function and its parameters. Out: a plan (what of it is known), or a recorded run. Called directly it is the plain
function, and so are the steps in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from mainstay.domain.errors import Invalid
from mainstay.engine import steps
from mainstay.engine.definitions import Definition
from mainstay.engine.platform import Platform

if TYPE_CHECKING:
    from mainstay.engine.execution import Execution
    from mainstay.engine.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Definition[P, R]):
    """A definition that can be planned and run. A test that only calls it pays for neither: both are imported late."""

    def run(
        self, platform: Platform, /, *, _executor: str | None = None, _workers: int | None = None, **params: Any
    ) -> Execution:
        """Carry the pipeline out and record it on ``platform``, on the executor of that name with so many workers."""
        from mainstay.engine import execution, executors

        chosen = executors.make(_executor or self.executor, workers=_workers)
        return execution.execute(self, platform, params=params, executor=chosen)

    def plan(self, platform: Platform, /, **params: Any) -> Plan:
        """What would run, and why; nothing is carried out or recorded."""
        from mainstay.engine import plan

        return plan.make(self, platform, params=params)

    def accept(self, platform: Platform, /, *, _reason: str, **params: Any) -> Plan:
        """Let stored results stand where only unrelated code has changed; the plan after that."""
        from mainstay.engine import plan

        return plan.accept(self, platform, params=params, reason=_reason)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(
    *, seed: int = 0, experiment: str | None = None, executor: str | None = None
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    seed: int = 0,
    experiment: str | None = None,
    executor: str | None = None,
) -> Any:
    """Make ``function`` a pipeline: ``@pipeline`` or ``@pipeline(seed=7)``.

    ``seed`` fixes the generators of ``random`` and NumPy before each step, each step its own way; it is part of every
    key. ``executor``: where its steps run unless told otherwise: inline, processes or ray.
    """

    def mark(function: Callable[..., Any]) -> Pipeline[..., Any]:
        if not inspect.isfunction(function):
            raise Invalid(f"pipeline wraps a function written with def, {type(function).__name__} was given.")
        files = steps.files_of(function)
        return Pipeline(function, seed, experiment, files[0] if files else None, executor)

    return mark if function is None else mark(function)
