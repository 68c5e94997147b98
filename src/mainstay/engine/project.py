# SPDX-License-Identifier: Apache-2.0
"""How ``file.py:function`` becomes a pipeline, and texts its parameters.

The root is the nearest folder upwards with a mainstay.toml, else the pipeline file's own. Importing a pipeline
forgets the modules of whatever project was imported here before, so that two projects with a ``helpers.py`` each do
not mix and an edited file is read again.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from mainstay.domain.errors import Invalid, MainstayError, NotFound
from mainstay.engine import steps
from mainstay.engine.calls import step_calls
from mainstay.engine.code import closure, roots
from mainstay.engine.features.views import FeatureView
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.refreshes import Refresh

_imported_roots: set[Path] = set()


def load(entry: str, *, folder: Path | None = None) -> Pipeline[..., Any]:
    """The pipeline behind ``file.py:function``; ``file:function`` and ``package.module:function`` are the same thing.

    Args:
        folder: what a relative file is relative to; the current folder if not given.

    Raises:
        Invalid: the text has another form, the file does not import, or the function is no pipeline.
        NotFound: there is no such file or function.
    """
    name, mark, function = entry.rpartition(":")
    if not mark or not name or not function.isidentifier():
        raise Invalid(f"entry {entry!r} is not of the form file.py:function, such as flights.py:flights_late.")
    file = _file(name, (folder or Path.cwd()).resolve())
    module = import_file(file)
    found = getattr(module, function, None)
    there = sorted(each for each, value in vars(module).items() if isinstance(value, Pipeline))
    told = f"its pipelines are {', '.join(there)}" if there else "it has no pipeline (a function marked @pipeline)"
    if found is None:
        raise NotFound(f"{file.name} has no function {function!r}; {told}.", entry=entry)
    if isinstance(found, FeatureView):
        return Refresh(found)
    if not isinstance(found, Pipeline):
        raise Invalid(f"{function!r} of {file.name} is not a pipeline; {told}.", entry=entry)
    return found


def import_file(file: Path) -> types.ModuleType:
    """Import ``file`` as its project would, afresh.

    Raises:
        Invalid: importing it raised; the message says what and where.
    """
    root = roots.root_of(file)
    _forget(root)
    folders = [str(folder) for folder in closure.search_folders(root, [file]) if folder.is_dir()]
    sys.path[:] = [*folders, *(entry for entry in sys.path if entry not in folders)]
    importlib.invalidate_caches()
    name = closure.module_name(file, root)
    _imported_roots.add(root)
    try:
        module = importlib.import_module(name)
    except MainstayError:
        raise
    # The file is a guest's code: anything may come out of it, also a sys.exit().
    except (Exception, SystemExit) as error:
        raise Invalid(f"{file.name} cannot be imported: {step_calls.sentence(error)}.", file=file.name) from error
    if Path(module.__file__ or "").resolve() != file:
        raise Invalid(
            f"{file.name} has the name of module {name!r}, which is imported already; give the file another name."
        )
    return module


def _file(name: str, folder: Path) -> Path:
    candidates = [name] if name.endswith(".py") else [f"{name}.py", f"{name.replace('.', '/')}.py"]
    bases = dict.fromkeys([folder, roots.find_root(folder) or folder])
    for base in bases:
        for candidate in candidates:
            if (path := base / candidate).is_file():
                return path.resolve()
    raise NotFound(
        f"there is no file {candidates[0]!r} in {folder.name or folder}; name one as in flights.py:flights_late."
    )


def _forget(root: Path) -> None:
    """Take first-party modules, and the paths of other projects, out of this process."""
    for old in {*_imported_roots, root}:
        for name in closure.loaded_files(old).values():
            if name != "__main__":
                del sys.modules[name]
        _forget_spaces(old)
    for old in _imported_roots - {root}:
        sys.path[:] = [entry for entry in sys.path if not entry or not Path(entry).is_relative_to(old)]
    _imported_roots.clear()


def _forget_spaces(root: Path) -> None:
    """Namespace packages have no file of their own."""
    # All are looked at before any goes: the path of an inner one is worked out from the outer one.
    for name in [name for name, module in list(sys.modules.items()) if _is_space_in(module, root)]:
        del sys.modules[name]


def _is_space_in(module: types.ModuleType, root: Path) -> bool:
    paths = getattr(module, "__path__", None)
    if paths is None or getattr(module, "__file__", None) is not None:
        return False
    return any(Path(each).is_relative_to(root) for each in paths)


# ── parameters from the command line ───────────────────────────────────────────────────────────────────────────────


def parameters(
    pipeline: Pipeline[..., Any], given: Mapping[str, str], *, known_already: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Texts to values, by the pipeline's annotations (without one, by the default's type, else text).

    ``known_already``: parameters that came as values and only have to be known by name.

    Raises:
        Invalid: a parameter is unknown or missing, or its text is no value of its type.
    """
    annotations = steps.annotations_of(pipeline.function)
    known = pipeline.signature.parameters
    others = dict(known_already or {})
    for name in {**given, **others}:
        if name not in known:
            told = ", ".join(known) or "none"
            raise Invalid(
                f"pipeline {pipeline.name} has no parameter {name!r}; its parameters are {told}.", parameter=name
            )
    missing = [
        name
        for name, each in known.items()
        if each.default is inspect.Parameter.empty and name not in given and name not in others
    ]
    if missing:
        raise Invalid(
            f"pipeline {pipeline.name} needs {', '.join(missing)}; give --{missing[0].replace('_', '-')}.",
            missing=missing,
        )
    return {name: convert(name, text, _kind_of(name, annotations, known)) for name, text in given.items()}


def _kind_of(name: str, annotations: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> Any:
    if name in annotations:
        return annotations[name]
    default = known[name].default
    is_plain = type(default) in (bool, int, float, date, datetime, timedelta, Decimal) or isinstance(
        default, (Path, Enum)
    )
    return type(default) if is_plain else str


def convert(name: str, text: str, kind: Any) -> Any:
    """One text as a value of ``kind``: int, float, bool, str, date, datetime, timedelta, Decimal, Path, Enum, Literal, list,
    dict, Optional, unions.

    Raises:
        Invalid: it is none; the message says what is expected.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _literal(name, text, inner)
    if origin in (typing.Union, types.UnionType):
        return _union(name, text, inner)
    if origin is typing.Annotated:
        return convert(name, text, inner[0])
    if kind is list or origin in (list, tuple, set):
        item = inner[0] if inner else str
        values = [convert(name, each, item) for each in _split(text)]
        return values if origin in (list, None) else origin(values)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(name, text, kind)
    return _scalar(name, text, kind)


def _member(name: str, text: str, kind: type[Enum]) -> Enum:
    """By its name, else by its value."""
    for member in kind:
        if text == member.name or text == str(member.value):
            return member
    there = ", ".join(member.name for member in kind)
    raise Invalid(f"parameter {name} is {text!r}; one of {there} is expected.", parameter=name)


def _scalar(name: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
        if kind in (date, datetime):
            return kind.fromisoformat(text)
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return Path(text)
        if kind is Decimal:
            return Decimal(text)
        if kind is timedelta:
            return timedelta(seconds=steps.seconds_of(text))
    except (ValueError, KeyError, ArithmeticError) as error:
        raise Invalid(f"parameter {name} is {text!r}; {_EXPECTED[kind]} is expected.", parameter=name) from error
    if kind is dict or typing.get_origin(kind) is dict:
        return _mapping(name, text)
    return text


_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    date: "a date such as 2013-02-01",
    datetime: "a time such as 2013-02-01T12:00",
    Decimal: "a decimal number",
    timedelta: "a length of time such as 6h",
}


def _literal(name: str, text: str, options: tuple[Any, ...]) -> Any:
    for option in options:
        if text == str(option):
            return option
    raise Invalid(f"parameter {name} is {text!r}; one of {', '.join(map(str, options))} is expected.", parameter=name)


def _union(name: str, text: str, options: tuple[Any, ...]) -> Any:
    if type(None) in options and text.lower() in ("none", "null", ""):
        return None
    kinds = sorted((each for each in options if each is not type(None)), key=lambda kind: kind is str)
    for kind in kinds[:-1]:
        try:
            return convert(name, text, kind)
        except Invalid:
            continue
    return convert(name, text, kinds[-1])


def _split(text: str) -> list[str]:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return [each.strip().strip("'\"") for each in inner.split(",") if each.strip()]


def _mapping(name: str, text: str) -> dict[str, Any]:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise Invalid(
            f"parameter {name} is {text!r}; a mapping such as {{'a': 1}} is expected.", parameter=name
        ) from error
    if not isinstance(value, dict):
        raise Invalid(f"parameter {name} is {text!r}; a mapping such as {{'a': 1}} is expected.", parameter=name)
    return value
