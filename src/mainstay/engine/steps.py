# SPDX-License-Identifier: Apache-2.0
"""Steps: plain functions that a recorded run keys, caches and remembers.

In: a module-level function. Out: an object that behaves as that function. Outside a pipeline a call is the plain call;
inside one it gives a ``Ref``. Nothing heavy is imported here, so a test of a step costs what the function costs.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, overload

from mainstay.domain.errors import Invalid
from mainstay.engine import edges, instants, named_results, tracing
from mainstay.engine.refs import MapNode, Ref, StepNode

instants.keep()

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a step is carried out; see ``step``. ``ttl_s``: how old a stored result may be, in seconds."""

    cache: bool = True
    ttl_s: float | None = None
    retries: int = 0
    retry_on: tuple[type[Exception], ...] = (Exception,)
    retry_wait_s: float = 1.0
    env: tuple[str, ...] = ()
    salt: str = ""
    timeout: float | None = None  # seconds
    isolate: bool = False
    cpus: int = 1


@dataclass(eq=False)
class Step(Generic[P, R]):
    """A function with the options of its recorded execution. Calling it is calling the function."""

    function: Callable[P, R]
    options: Options
    files: tuple[Path, ...]  # where its code begins: the function's file, and the file that made it a step
    signature: inspect.Signature = field(init=False)

    def __post_init__(self) -> None:
        self.signature = inspect.signature(self.function)
        functools.update_wrapper(self, self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        trace = tracing.current()
        if trace is None:
            return self.function(*args, **kwargs)
        return _traced(self, trace, args, kwargs)  # type: ignore[return-value]

    def map(self, items: Any, /, *args: Any, **kwargs: Any) -> Any:
        """One call for each of ``items``, which take the first parameter's place; the other arguments go to every call.

        Inside a pipeline ``items`` may be the result of a step that gives a list or a tuple: how many calls there are is
        known once that has run. Outside of one it is a list of plain calls.
        """
        trace = tracing.current()
        if trace is None or not isinstance(items, Ref):
            return [self(item, *args, **kwargs) for item in items]
        first = next(iter(self.signature.parameters))
        fixed = {name: value for name, value in self.bind(items, *args, **kwargs).items() if name != first}
        node = trace.add(MapNode, label=f"{self.name} (map)", step=self, items=items, first=first, arguments=fixed)
        return Ref(node)

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Every argument of a call by name, defaults filled in. Raises Invalid: they do not fit."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise Invalid(f"step {self.name}: {error}; its parameters are {self.signature}.") from error
        bound.apply_defaults()
        return dict(bound.arguments)

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    # Pickled by name, as functions are: a worker process finds the same step by importing the same module.
    def __reduce__(self) -> str:
        return self.function.__qualname__

    @property
    def name(self) -> str:
        """``module.function``; a script run directly counts under its file's name, so both ways share results."""
        module = self.function.__module__
        if module == "__main__" and self.files:
            module = self.files[0].stem
        return f"{module}.{self.function.__qualname__}"

    @functools.cached_property
    def has_source(self) -> bool:
        """Whether the function's own code stands in a file; that of a REPL or of ``exec`` does not."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return bool(self.files) and (code is None or Path(code.co_filename).is_file())

    @functools.cached_property
    def result_annotation(self) -> Any:
        """The annotation of the result; None if there is none or it cannot be evaluated."""
        return named_results.of(self.full_annotations.get("return"))

    @functools.cached_property
    def full_annotations(self) -> dict[str, Any]:
        """Annotations as they are written, with what ``Annotated`` says."""
        return annotations_of(self.function, is_full=True)

    @functools.cached_property
    def annotations(self) -> dict[str, Any]:
        """Annotations of the parameters."""
        return {name: kind for name, kind in annotations_of(self.function).items() if name != "return"}


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    cache: bool | str | timedelta = True,
    retries: int = 0,
    retry_on: tuple[type[Exception], ...] = (Exception,),
    retry_wait_s: float = 1.0,
    env: Iterable[str] = (),
    salt: str = "",
    timeout: float | timedelta | None = None,
    isolate: bool = False,
    resources: Mapping[str, int] | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    cache: bool | str | timedelta = True,
    retries: int = 0,
    retry_on: tuple[type[Exception], ...] = (Exception,),
    retry_wait_s: float = 1.0,
    env: Iterable[str] = (),
    salt: str = "",
    timeout: float | timedelta | None = None,
    isolate: bool = False,
    resources: Mapping[str, int] | None = None,
) -> Any:
    """Make ``function`` a step: ``@step`` or ``@step(cache=False)``.

    Args:
        cache: False for a step that reads the outside world; it runs every time, and what follows is a hit if its bytes
            are the same as before. A length of time, such as ``"6h"``, for one whose result holds so long.
        retries: how often to try again after an exception of a type in ``retry_on``; waits ``retry_wait_s``, doubled
        each time.
        env: names of the environment variables that the step reads; their values become part of its key.
        salt: any text; changing it runs the step again.
        timeout: seconds (or a timedelta) that one try may take; then its process is ended, and it may be tried again.
        isolate: carry it out in a fresh process, whatever the executor: what it leaves behind, or how it dies, harms nobody.
        resources: ``{"cpus": 2}`` takes that many places of the executor while it runs.
    """
    if isinstance(env, str):
        raise Invalid(f"env is {env!r}; a list of names is expected, such as env=[{env!r}].")
    options = Options(
        cache=cache is not False,
        ttl_s=_lifetime(cache),
        retries=retries,
        retry_on=retry_on,
        retry_wait_s=retry_wait_s,
        env=tuple(env),
        salt=salt,
        timeout=_seconds(timeout),
        isolate=isolate,
        cpus=_cpus(resources or {}),
    )
    place = file_of_caller()

    def mark(function: Callable[..., Any]) -> Step[..., Any]:
        return Step(checked(function), options, files_of(function, place))

    return mark if function is None else mark(function)


_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def seconds_of(text: str) -> float:
    """A length of time such as ``90s``, ``6h`` or ``1.5 d``.

    Raises:
        ValueError: it is none.

    >>> seconds_of("6h")
    21600.0
    """
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no length of time")
    return float(found[1]) * _SECONDS[found[2]]


def _lifetime(cache: bool | str | timedelta) -> float | None:
    if isinstance(cache, bool):
        return None
    try:
        seconds = cache.total_seconds() if isinstance(cache, timedelta) else seconds_of(cache)
    except (ValueError, AttributeError) as error:
        raise Invalid(
            f'cache is {cache!r}; True, False or a length of time is expected, such as "6h" or timedelta(hours=6).'
        ) from error
    if seconds <= 0:
        raise Invalid(f"cache is {cache!r}; a length of time above zero is expected, or False to run every time.")
    return seconds


def annotations_of(function: Callable[..., Any], *, is_full: bool = False) -> dict[str, Any]:
    """Evaluated annotations, name by name: one that only a type checker can resolve is left out, the others stay.

    ``is_full``: with what ``Annotated`` says.
    """
    try:
        return typing.get_type_hints(function, include_extras=is_full)
    except Exception:  # whatever a guest's annotation raises when it is evaluated
        return _annotations_one_by_one(function, is_full)


def _annotations_one_by_one(function: Callable[..., Any], is_full: bool) -> dict[str, Any]:
    known: dict[str, Any] = {}
    inner = inspect.unwrap(function)
    for name, annotation in getattr(inner, "__annotations__", {}).items():
        probe = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            known |= typing.get_type_hints(probe, globalns=getattr(inner, "__globals__", {}), include_extras=is_full)
        except Exception:
            continue
    return known


def _traced(step: Step[..., Any], trace: tracing.Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Ref:
    arguments = step.bind(*args, **kwargs)
    edges.check(step, arguments, step.annotations)
    node = trace.add(StepNode, label=step.name, step=step, arguments=arguments)
    return Ref(node, (), step.result_annotation)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, if it can be a step.

    Raises:
        Invalid: it cannot.
    """
    if isinstance(function, Step):
        raise Invalid(f"{function.name} is a step already; write @step once.")
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        found = "a lambda" if inspect.isfunction(function) else type(function).__name__
        raise Invalid(f"step wraps a function written with def, {found} was given; write one that calls it.")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise Invalid(f"step {function.__qualname__} is a coroutine or a generator; return a finished value instead.")
    return function


def files_of(function: Callable[..., Any], place: Path | None = None) -> tuple[Path, ...]:
    """Files the code begins in; none in a REPL. Another decorator may hide the function's own file: then both count."""
    inner = inspect.unwrap(function)
    named = (getattr(each, "__code__", None) for each in (inner, function))
    found = [Path(code.co_filename) for code in named if code is not None] + ([place] if place else [])
    return tuple(dict.fromkeys(path.resolve() for path in found if path.is_file()))


def _seconds(timeout: float | timedelta | None) -> float | None:
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and not seconds > 0:
        raise Invalid(f"timeout is {timeout!r}; a number of seconds above 0 is expected.")
    return None if seconds is None else float(seconds)


def _cpus(resources: Mapping[str, int]) -> int:
    if unknown := sorted(set(resources) - {"cpus"}):
        raise Invalid(f'resources names {unknown[0]!r}; "cpus" is known, such as resources={{"cpus": 2}}.')
    cpus = resources.get("cpus", 1)
    if not isinstance(cpus, int) or cpus < 1:
        raise Invalid(f"resources asks for {cpus!r} cpus; a whole number from 1 is expected.")
    return cpus


def file_of_caller() -> Path | None:
    """The file in which the function that asks was called."""
    file = sys._getframe(2).f_globals.get("__file__")
    return Path(file) if file else None
