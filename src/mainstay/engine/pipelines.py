# SPDX-License-Identifier: Apache-2.0
"""Pipelines: a plain function that calls steps; traced first, carried out second.

In: a function and its parameters. Out: a ``Trace`` (what it would do), a plan (what of that is known), or a recorded run.
Called directly it is the plain function, and so are the steps in it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from mainstay.domain.errors import Invalid
from mainstay.engine import steps, tracing
from mainstay.engine.platform import Platform

if TYPE_CHECKING:
    from mainstay.engine.execution import Execution
    from mainstay.engine.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False)
class Pipeline(Generic[P, R]):
    """A function that says which steps feed which."""

    function: Callable[P, R]
    seed: int
    experiment: str | None
    file: Path | None
    signature: inspect.Signature = field(init=False)

    def __post_init__(self) -> None:
        self.signature = inspect.signature(self.function)
        functools.update_wrapper(self, self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def entry(self) -> str:
        """``file.py:function`` relative to the project's root, as `mainstay run` takes it."""
        from mainstay.engine import project

        return f"{project.relative(self.file)}:{self.name}" if self.file else self.name

    def bind(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter by name, defaults filled in.

        Raises:
            Invalid: a parameter is unknown or missing.
        """
        try:
            bound = self.signature.bind(**params)
        except TypeError as error:
            raise Invalid(f"pipeline {self.name}: {error}; its parameters are {self.signature}.") from error
        bound.apply_defaults()
        return dict(bound.arguments)

    def trace(self, platform: Platform | None, params: Mapping[str, Any]) -> tracing.Trace:
        """Call the function with refs in place of results; nothing is carried out."""
        bound = self.bind(params)
        with tracing.opened(tracing.Trace(pipeline=self.name, platform=platform)) as trace:
            self.function(**bound)  # type: ignore[call-arg]
        return trace

    def run(self, platform: Platform, /, **params: Any) -> Execution:
        """Carry the pipeline out and record it on ``platform``."""
        from mainstay.engine import execution

        return execution.execute(self, platform, params=params)

    def plan(self, platform: Platform, /, **params: Any) -> Plan:
        """What would run, and why; nothing is carried out or recorded."""
        from mainstay.engine import plan

        return plan.make(self, platform, params=params)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, seed: int = 0, experiment: str | None = None) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(function: Callable[..., Any] | None = None, /, *, seed: int = 0, experiment: str | None = None) -> Any:
    """Make ``function`` a pipeline: ``@pipeline`` or ``@pipeline(seed=7)``.

    ``seed`` fixes the generators of ``random`` and NumPy before each step, each step its own way; it is part of every key.
    """

    def mark(function: Callable[..., Any]) -> Pipeline[..., Any]:
        if not inspect.isfunction(function):
            raise Invalid(f"pipeline wraps a function written with def, {type(function).__name__} was given.")
        files = steps.files_of(function)
        return Pipeline(function, seed, experiment, files[0] if files else None)

    return mark if function is None else mark(function)
