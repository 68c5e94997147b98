# SPDX-License-Identifier: Apache-2.0
"""Autologging: training calls of known libraries are recorded without being asked to.

In: ``ms.autolog()``. Out: parameters, metrics and the model of each training, in the run that is open, or in one of its
own. The folder is a port: each file is one library, watched once it is imported, so that nothing is imported for it.

What good means. The training gives what it gave without us, and whatever goes wrong in here only costs the record. What a
training calls in turn (the parts of a pipeline, the fits of a search) belongs to it and is not recorded by itself.
``ms.autolog(disable=True)`` leaves every library as it was.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import logging
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Protocol, cast

from mainstay.client import recording
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.domain.tracking import LONGEST_KEY, LONGEST_PARAM

log = logging.getLogger("mainstay.autolog")

Undo = Callable[[], None]

_inside: ContextVar[bool] = ContextVar("mainstay_autolog_inside", default=False)
_undo: list[Undo] = []
_chosen = {"models": True}


class Library(Protocol):
    """What a file of this folder has: the module that it waits for, and what it does once that is there."""

    MODULE: str

    def patch(self, module: ModuleType) -> Sequence[Undo]:
        """Watch the library's training calls; how to stop that."""


class Watcher(Protocol):
    """One training call. Its methods may fail: the training does not notice."""

    name: str  # of the run, if one has to be made

    def begin(self, call: inspect.BoundArguments) -> None:
        """Before the call; may add to its arguments."""

    def end(self, result: Any) -> None:
        """After a call that went well."""


def autolog(*, libraries: Iterable[str] | None = None, models: bool = True, disable: bool = False) -> None:
    """Record what scikit-learn, XGBoost, LightGBM, Lightning and Keras train from now on; again, to change how.

    Args:
        libraries: only these, by the names of the files in this folder. models: whether to keep the trained models.
        disable: record nothing any more, and leave the libraries as they were.

    Raises:
        Invalid: a library is named that is not known.
    """
    there = names()
    wanted = list(there if libraries is None else libraries)
    if unknown := [name for name in wanted if name not in there]:
        raise Invalid(f"autolog knows no library {unknown[0]!r}; it knows {', '.join(there)}.")
    while _undo:
        _undo.pop()()
    if disable:
        return
    _chosen["models"] = models
    waiting: dict[str, Library] = {}
    for name in wanted:
        library = cast(Library, importlib.import_module(f"{__name__}.{name}"))
        loaded = sys.modules.get(library.MODULE)
        if loaded is None:
            waiting[library.MODULE] = library
        else:
            _patch(library, loaded)
    finder = _Finder(waiting)
    sys.meta_path.insert(0, finder)
    _undo.append(lambda: sys.meta_path.remove(finder))


def names() -> list[str]:
    """The libraries there are, whether or not they are installed."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def watch(
    owner: Any, name: str, make: Callable[[], Watcher], *, wanted: Callable[..., bool] = lambda *_, **__: True
) -> Undo:
    """Have every call of ``owner.name`` watched by a new watcher, if with these arguments it is ``wanted``."""
    original = vars(owner)[name]

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> Any:
        if not _is_ours() or not wanted(*arguments, **options):
            return original(*arguments, **options)
        bound = inspect.signature(original).bind(*arguments, **options)
        with _watched(make, bound) as ended:
            result = original(*bound.args, **bound.kwargs)
            ended(result)
        return result

    setattr(owner, name, call)
    return lambda: setattr(owner, name, original)


@contextmanager
def quietly(what: str) -> Iterator[None]:
    """The record must never cost the training: whatever goes wrong in the block is logged, and that is all."""
    try:
        yield
    except Exception:
        log.warning("autolog could not record %s; the training is not affected", what, exc_info=True)


def log_params(params: Mapping[str, Any]) -> None:
    """Parameters as they can be kept: a run that trains twice keeps those of the first, and those of others by number."""
    plain = {key[:LONGEST_KEY]: _short(value) for key, value in params.items()}
    for number in range(1, 1000):
        named = plain if number == 1 else {f"training_{number}/{key}": value for key, value in plain.items()}
        try:
            recording.log_params(named)
        except MainstayError as error:
            if error.kind != "conflict":
                raise
        else:
            return


def log_metrics(metrics: Mapping[str, Any], step: int | None = None) -> None:
    """Those of ``metrics`` that are numbers."""
    for key, value in metrics.items():
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            recording.log_metric(key, float(value), step)


def log_model(model: object) -> None:
    """The model as files of the run below ``model/``, in the format it would be registered in; no format, no files."""
    if not _chosen["models"]:
        return
    from mainstay import formats

    try:
        saved = formats.save(model)
    except MainstayError as error:
        log.info("autolog keeps no model: %s", error.message)
        return
    for name, content in saved.files.items():
        recording.log_artifact(f"model/{name}", content)
    facts = {"format": saved.format, "version": saved.version, "environment": saved.environment}
    recording.log_dict("model/mainstay.json", {**facts, "files": sorted(saved.files)})


def _is_ours() -> bool:
    """Whether this call is a training of the user's own, and not one inside another, or in a worker of a library."""
    if _inside.get():
        return False
    return recording.is_here() or threading.current_thread() is threading.main_thread()


@contextmanager
def _watched(make: Callable[[], Watcher], bound: inspect.BoundArguments) -> Iterator[Callable[[Any], None]]:
    run: recording.Recording | None = None
    watcher: Watcher | None = None
    token = _inside.set(True)
    try:
        with quietly("the beginning of a training"):
            watcher = make()
            if not recording.is_here() and recording.current_run() is None:
                run = recording.start_run(watcher.name)
            before = dict(bound.arguments)
            try:
                watcher.begin(bound)
            except BaseException:
                bound.arguments.clear()
                bound.arguments.update(before)
                raise

        def ended(result: Any) -> None:
            if watcher is not None:
                with quietly("the end of a training"):
                    watcher.end(result)

        yield ended
    except BaseException as error:
        if run is not None:
            with quietly("that a training failed"):
                run.finish(f"{type(error).__name__}: {error}")
        raise
    finally:
        _inside.reset(token)
        if run is not None:
            with quietly("the end of a run"):
                run.finish()


def _patch(library: Library, module: ModuleType) -> None:
    with quietly(f"what {library.MODULE} trains"):
        _undo.extend(library.patch(module))


def _short(value: Any) -> Any:
    """A parameter in few words: an object inside another is known by its kind."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value if not isinstance(value, str) else value[: LONGEST_PARAM - 2]
    if hasattr(value, "get_params"):
        return type(value).__name__
    return str(value)[: LONGEST_PARAM // 2]


class _Finder(importlib.abc.MetaPathFinder):
    """Notices when a library that is waited for is imported; finds nothing itself."""

    def __init__(self, waiting: dict[str, Library]) -> None:
        self._waiting = waiting

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        library = self._waiting.get(fullname)
        if library is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None and (spec := find(fullname, path, target)) is not None:
                self._then_patch(spec, library)
                return cast(importlib.machinery.ModuleSpec, spec)
        return None

    def _then_patch(self, spec: importlib.machinery.ModuleSpec, library: Library) -> None:
        load = getattr(spec.loader, "exec_module", None)

        def load_and_patch(module: ModuleType) -> None:
            assert load is not None
            load(module)
            if self._waiting.pop(library.MODULE, None) is not None and self in sys.meta_path:
                _patch(library, module)

        with contextlib.suppress(AttributeError):  # a loader that cannot be added to: the library goes unwatched
            spec.loader.exec_module = load_and_patch  # type: ignore[union-attr, method-assign]
