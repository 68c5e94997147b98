# SPDX-License-Identifier: Apache-2.0
"""What a pipeline is before anything runs: a plain function, its parameters, and the trace of its calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from mainstay.domain.errors import Invalid
from mainstay.engine import refs, tracing
from mainstay.engine.code import roots
from mainstay.engine.platform import Platform

if TYPE_CHECKING:
    from mainstay.engine.outlook import Outlook

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False)
class Definition(Generic[P, R]):
    """A function that says which steps feed which."""

    function: Callable[P, R]
    seed: int
    experiment: str | None
    file: Path | None
    executor: str | None = None
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
        return f"{roots.relative(self.file)}:{self.name}" if self.file else self.name

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

    def conclude(self, platform: Platform, run_id: str, outlook: Outlook) -> None:
        """What is still to be told when every step is done, while the run goes on; nothing, for most."""

    def trace(
        self,
        platform: Platform | None,
        params: Mapping[str, Any],
        values: Mapping[tuple[str, tuple[str, ...]], Any] | None = None,
    ) -> tracing.Trace:
        """Call the function with refs in place of results; nothing is carried out.

        ``values``: what is known of results that it asks for by ``.value``; it ends at the first one that is not known.
        """
        bound = self.bind(params)
        with (
            refs.values_known(values or {}),
            tracing.opened(tracing.Trace(pipeline=self.name, platform=platform)) as trace,
        ):
            try:
                self.function(**bound)  # type: ignore[call-arg]
            except refs.ValueWanted as asked:
                trace.wanted = asked.ref
        return trace
