# SPDX-License-Identifier: Apache-2.0
"""One call of a step, ready to be carried out anywhere: what to call, on which artifacts; and what came of it.

In: a ``StepCall``, the blobs. Out: an ``Outcome``: artifacts by name, or the error. Nothing is recorded here: an
executor may run this in another process, and only the execution commits.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstay.client import recording as client_recording
from mainstay.domain.errors import MainstayError
from mainstay.engine import arguments, environment, materialise, result_contracts, tracing
from mainstay.engine.arguments import WHOLE
from mainstay.engine.calls import step_log, step_output, tries
from mainstay.engine.calls.step_log import StepLog
from mainstay.engine.calls.step_output import Say
from mainstay.engine.code import watch
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Blobs
from mainstay.engine.refs import part_names
from mainstay.engine.steps import Step


@dataclass(frozen=True, kw_only=True)
class StepCall:
    """``arguments``: the tree of a ``Resolved``. ``known``: files whose use is no news."""

    label: str
    step: Step[..., Any]
    arguments: Mapping[str, Any]
    seed: int
    root: Path
    known: frozenset[Path] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``error`` is one sentence, ``cause`` the exception behind it; both None after success.

    ``pause``: after so many seconds it may be tried again.
    """

    seconds: float
    log: StepLog
    outputs: dict[str, Artifact] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    attempts: int = 1
    error: str | None = None
    cause: BaseException | None = None
    pause: float | None = None


def carry_out(call: StepCall, blobs: Blobs, say: Say | None = None) -> Outcome:
    """Read the arguments, call the function (again, if it may be retried), store the results.

    ``say`` is told what the step writes, line by line.
    """
    began, attempts = time.monotonic(), 0
    with step_output.told(call.label, say):
        while True:
            attempts += 1
            outcome = attempt(call, blobs, attempts)
            if outcome.pause is None:
                return dataclasses.replace(outcome, seconds=time.monotonic() - began)
            time.sleep(outcome.pause)


def attempt(call: StepCall, blobs: Blobs, attempts: int = 1) -> Outcome:
    """One try, the ``attempts``-th; whether there may be another is part of the outcome."""
    began = time.monotonic()
    log = StepLog(blobs=blobs)
    with watch.opened_files() as seen, _told_by_sdk(log), tracing.suspended():
        try:
            outputs = store(_called(call, blobs), call.step, blobs)
        # The step is a guest: whatever it raises is recorded, and the run ends in order.
        except Exception as error:
            return Outcome(
                seconds=time.monotonic() - began,
                log=log,
                attempts=attempts,
                error=sentence(error),
                cause=error,
                pause=tries.pause(call.step.options, attempts, error),
            )
    found = watch.extras(seen, root=call.root, known=set(call.known))
    return Outcome(seconds=time.monotonic() - began, log=log, outputs=outputs, extras=tuple(found), attempts=attempts)


@contextmanager
def _told_by_sdk(log: StepLog) -> Iterator[None]:
    """What the SDK's log verbs are given inside the block goes to ``log``."""
    verbs: dict[str, Callable[..., None]] = {
        "params": step_log.params,
        "metric": step_log.metric,
        "artifact": step_log.artifact,
    }
    token = client_recording.step_sink.set(lambda verb, *told: verbs[verb](log, *told))
    try:
        yield
    finally:
        client_recording.step_sink.reset(token)


def sentence(error: BaseException) -> str:
    """An exception in one line: our own errors say it themselves, a guest's is named with the line it came from."""
    if isinstance(error, MainstayError):
        return error.message
    text = " ".join(str(error).split()) or "no message"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if f"{__name__.partition('.')[0]}/engine/" not in frame.filename
    ]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def store(result: Any, step: Step[..., Any], blobs: Blobs) -> dict[str, Artifact]:
    """The results of ``step`` by name: one called ``value``, or several where the annotation or the value says so."""
    result_contracts.check(result, step, blobs)
    names = part_names(step.result_annotation)
    if names is not None and isinstance(result, tuple) and len(result) == len(names):
        return {name: materialise.write(item, blobs) for name, item in zip(names, result, strict=True)}
    if names is not None and isinstance(result, dict) and set(names) == set(result):
        return {name: materialise.write(result[name], blobs) for name in names}
    if materialise.is_several(result):
        if fields := getattr(result, "_fields", None):
            return {name: materialise.write(item, blobs) for name, item in zip(fields, result, strict=True)}
        if type(result) is dict and result and all(isinstance(name, str) for name in result):
            return {name: materialise.write(item, blobs) for name, item in result.items()}
        if type(result) in (tuple, list) and result:
            return {str(place): materialise.write(item, blobs) for place, item in enumerate(result)}
    return {WHOLE: materialise.write(result, blobs)}


def called(call: StepCall, blobs: Blobs, around: Callable[[Callable[[], Any]], Any] = lambda inner: inner()) -> Any:
    """What the step returns on its arguments, outside of any run; ``around`` is given the call, to carry it out."""
    with _told_by_sdk(StepLog(blobs=blobs)), tracing.suspended():
        return _called(call, blobs, around)


def _called(call: StepCall, blobs: Blobs, around: Callable[[Callable[[], Any]], Any] | None = None) -> Any:
    function = call.step.function
    wanted = {name: _plain(annotation) for name, annotation in call.step.annotations.items()}
    loaded = {name: arguments.load(value, blobs, wanted.get(name)) for name, value in call.arguments.items()}
    bound = inspect.BoundArguments(call.step.signature, loaded)
    environment.seed_everything(call.seed, call.step.name)
    if around is not None:
        return around(lambda: function(*bound.args, **bound.kwargs))
    return function(*bound.args, **bound.kwargs)


def _plain(annotation: Any) -> Any:
    """``pl.DataFrame | None`` asks for a ``pl.DataFrame``."""
    options = [each for each in typing.get_args(annotation) if each is not type(None)]
    return options[0] if len(options) == 1 and type(None) in typing.get_args(annotation) else annotation


def describe(outputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """Outputs as the control plane takes them."""
    return [{"name": name, **dataclasses.asdict(artifact)} for name, artifact in outputs.items()]


def outputs_from(described: list[dict[str, Any]]) -> dict[str, Artifact]:
    """The inverse of ``describe``."""
    return {
        each["name"]: Artifact(kind=each["kind"], digest=each["digest"], size=int(each["size"]), rows=each.get("rows"))
        for each in described
    }
