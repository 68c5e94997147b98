# SPDX-License-Identifier: Apache-2.0
"""Formats: models to bytes and back, one file a kind.

In: a fitted model. Out: `Saved`, a handful of named byte strings, and later a `Model` that answers rows with scores.
The folder is a port: each file that calls `adapter` is one format, found by its name. The libraries are imported
inside the adapters, so this package costs numpy and nothing else until a model is touched.

What good means. The same fitted model gives the same bytes, in any process, so that a digest names it. Nothing in
the bytes can make the reader run code that is not on a list shipped with Mainstay: `inspect` reads without executing,
`load` refuses what `inspect` objects to, and `mainstay.formats.limited` does the first load of a stranger's file in a
child with limits. A loaded model predicts from columns or from an array, on one row or many, from many threads at once,
and gives what the original gave. Nothing is saved as a pickle. A pickle that somebody else made, and a folder that only MLflow
itself can load, are read by formats that say so (`runs_code`), and only for a caller who says ``allow_pickle``, which takes an
admin's recorded permission.

A folder that MLflow's client logged is a model, too: `mlmodel` tells the format and hands it its files.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np

from mainstay.domain.errors import Invalid, Unavailable

__all__ = [
    "Files",
    "Format",
    "Model",
    "Saved",
    "Scores",
    "Table",
    "adapter",
    "columns_in_order",
    "detect",
    "filled",
    "get",
    "inspect",
    "load",
    "memory_mb",
    "names",
    "read",
    "row_count",
    "runs_code",
    "save",
    "versions",
]

Array = np.ndarray[Any, Any]
Table = Array | Mapping[str, Array]
Files = Mapping[str, Path | bytes]
Scores = Literal["probability", "margin", "value"]

MEMORY_MB = 2048  # some 600 MB more than what scikit-learn really uses


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A model as bytes, with what it takes to read it again.

    ``files`` holds bytes by relative name; ``version`` is that of the format's layout, not of the model;
    ``environment`` the versions of the libraries that matter for reading it.
    """

    format: str
    version: int
    files: dict[str, bytes]
    environment: dict[str, str]


class Model(Protocol):
    """A loaded model. Safe to call from many threads at once.

    ``columns``: the feature names in order, or None if it was fitted without names.
    ``classes``: the labels of a classifier, in the order of the scores; None for a regressor.
    ``takes_frame``: whether a call builds a pandas frame, which costs some 0.5 ms a call.
    ``scores``: what the numbers are: "probability" (0..1), "margin" (a classifier that has no probabilities), "value".
    """

    @property
    def columns(self) -> tuple[str, ...] | None: ...
    @property
    def classes(self) -> list[Any] | None: ...
    @property
    def takes_frame(self) -> bool: ...
    @property
    def scores(self) -> Scores: ...

    def predict(self, table: Table) -> Array:
        """Scores of ``table``'s rows.

        Args:
            table: shape (n, columns) in the model's order, or name -> shape (n,): float64 for numbers (NaN = missing),
                object for categories (None = missing). Columns the model does not know are ignored; without
                ``columns``, the mapping's own order counts.

        Returns:
            Two classes: shape (n,), of ``classes[1]``. More classes: shape (n, k). Regressor: shape (n,). What answers
            several numbers without being a classifier: shape (n, k).

        Raises:
            Invalid: a column is missing, or the number of columns is wrong.
        """


class Format(Protocol):
    """What an adapter provides. Its class is made without arguments."""

    version: int
    extra: str  # `pip install mainstay[extra]` brings the libraries
    libraries: tuple[str, ...]  # distributions it needs; their versions are recorded
    match: Literal["minor", "not_older"]  # how the installed version of libraries[0] must relate to the saved one
    runs_code: bool  # whether reading the bytes is running what is in them
    memory_mb: int  # address space that the first load may take

    def recognises(self, model: object) -> bool: ...
    def save(self, model: Any) -> dict[str, bytes]: ...
    def inspect(self, files: Files) -> list[str]: ...
    def load(self, files: Files) -> Model: ...


F = TypeVar("F", bound=type)
_classes: dict[str, type] = {}


def adapter(name: str) -> Callable[[F], F]:
    """Register a class as the format ``name``; the name is also the name of its file."""

    def put(kind: F) -> F:
        _classes[name] = kind
        return kind

    return put


def names() -> list[str]:
    """The formats there are, whether or not their libraries are installed."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_classes)


def get(name: str) -> Format:
    """The adapter called ``name``. Raises Invalid: there is none."""
    if name not in _classes and name not in names():
        raise Invalid(f"there is no model format {name!r}; the formats are {', '.join(names())}.", format=name)
    return cast(Format, _classes[name]())


def detect(model: object) -> str:
    """The name of the format that can save ``model``.

    Raises:
        Invalid: none can; the message names the ways out.
    """
    for name in names():
        if get(name).recognises(model):
            return name
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise Invalid(
        f"no format can save a {kind}. Three ways out: fit one of scikit-learn's, XGBoost's or LightGBM's own"
        " estimators; convert the model to ONNX and save that; or write a format for it"
        " (a file with a class under `@mainstay.formats.adapter(...)`).",
        type=kind,
    )


def save(model: object, *, format: str | None = None, verify: bool = False) -> Saved:
    """The bytes of ``model``; the same model always gives the same bytes.

    Args:
        format: its name, if not the one that `detect` finds.
        verify: also load the bytes in a fresh, limited child process. Costs seconds.

    Raises:
        Invalid: the model holds something the format cannot carry safely, or ``verify`` failed.
        Unavailable: the format's library is not installed.
    """
    name = format or detect(model)
    chosen = get(name)
    _require(name, chosen)
    saved = Saved(
        format=name, version=chosen.version, files=chosen.save(model), environment=versions("python", *chosen.libraries)
    )
    problems = chosen.inspect(saved.files)
    if problems:
        kind = type(model).__name__
        raise Invalid(f"this {kind} cannot be saved as {name!r}: {' '.join(problems)}", problems=problems)
    if verify:
        _verify(saved)
    return saved


def inspect(format: str, files: Files) -> list[str]:
    """What is wrong with ``files``, one sentence each, without executing anything; empty if nothing was found.

    An empty list is no proof of safety: native parsers see the bytes only in `load`. Use
    `limited.check_in_child` for the first load of a file from elsewhere.
    """
    return get(format).inspect(_unfolded(format, files))


def load(
    format: str,
    files: Files,
    *,
    environment: Mapping[str, str] | None = None,
    allow_version_mismatch: bool = False,
    allow_pickle: bool = False,
) -> Model:
    """The model in ``files``, ready to predict.

    Args:
        environment: the one of `Saved`. A library version that cannot be relied on to read the bytes alike is refused:
            another minor version for scikit-learn, whose internals are what is saved; an older one for the rest.
        allow_pickle: an admin has allowed to run what is in these files, for a format that cannot be read otherwise.

    Raises:
        Invalid: unknown format, damaged or untrusted files, another library version, or a pickle that nobody allowed.
        Unavailable: the format's library is not installed.
    """
    chosen = get(format)
    if chosen.runs_code and not allow_pickle:
        raise Invalid(
            f"this {format!r} model is not loaded: reading it is running what is in it, and nobody has allowed that.",
            format=format,
        )
    _require(format, chosen)
    if environment is not None and not allow_version_mismatch:
        _compare_versions(chosen, environment)
    files = _unfolded(format, files)
    problems = chosen.inspect(files)
    if problems:
        raise Invalid(f"this {format!r} model is not loaded: {' '.join(problems)}", format=format, problems=problems)
    return chosen.load(files)


def runs_code(format: str) -> bool:
    """Whether reading this format's files is running what is in them; False for a format that there is not."""
    return format in names() and get(format).runs_code


def memory_mb(format: str) -> int:
    """The address space that the first load of this format may take."""
    return get(format).memory_mb if format in names() else MEMORY_MB


def _unfolded(format: str, files: Files) -> Files:
    if "MLmodel" not in files:
        return files
    from mainstay.formats import mlmodel  # late: it imports this module

    return mlmodel.unfolded(format, files)


def versions(*distributions: str) -> dict[str, str]:
    """The installed version of each; those that are not installed are left out."""
    found = {name: _version(name) for name in distributions}
    return {name: version for name, version in found.items() if version is not None}


def read(files: Files, name: str) -> bytes:
    """The bytes of one file. Raises Invalid: it is not there."""
    if name not in files:
        raise Invalid(f"the model has no file {name!r}; it has {', '.join(sorted(files)) or 'none'}.", missing=name)
    content = files[name]
    if isinstance(content, bytes):
        return content
    try:
        return content.read_bytes()
    except OSError as error:
        raise Invalid(f"file {name!r} of the model cannot be read: {error.strerror}.", missing=name) from error


def columns_in_order(table: Mapping[str, Array], columns: tuple[str, ...] | None) -> list[Array]:
    """The arrays of ``table`` in the model's order. Raises Invalid: some are missing."""
    if columns is None:
        return list(table.values())
    missing = [name for name in columns if name not in table]
    if missing:
        extra = [name for name in table if name not in columns]
        got = f"; {', '.join(map(repr, extra))} is not known to it" if extra else ""
        raise Invalid(
            f"the model expects column {', '.join(map(repr, missing))}, which the table has not{got}.",
            missing=missing,
            unknown=extra,
        )
    return [table[name] for name in columns]


def filled(array: Array, missing: object) -> Array:
    """``array`` with ``missing`` in place of None. Raises nothing: other kinds of arrays have no None."""
    if array.dtype != object or missing is None:
        return array
    is_none = np.equal(array, np.array(None, dtype=object)).astype(bool)
    return np.where(is_none, np.array(missing, dtype=object), array) if is_none.any() else array


def row_count(table: Table) -> int:
    """Rows of a table; 0 for one without columns."""
    if isinstance(table, Mapping):
        return len(next(iter(table.values()), ()))
    return len(table)


# The same library, distributed under another name for other hardware.
_TWINS = {"xgboost": "xgboost-cpu", "onnxruntime": "onnxruntime-gpu"}


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _version(_TWINS[name]) if name in _TWINS else None


def _require(name: str, chosen: Format) -> None:
    missing = [library for library in chosen.libraries if not versions(library)]
    if missing:
        raise Unavailable(
            f"format {name!r} needs {' and '.join(missing)}, not installed here;"
            f" `pip install mainstay[{chosen.extra}]` adds it.",
            missing=missing,
        )


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _compare_versions(chosen: Format, environment: Mapping[str, str]) -> None:
    library = chosen.libraries[0]
    saved, here = environment.get(library), versions(library)[library]
    if saved is None:
        return
    is_fine = _minor(here) == _minor(saved) if chosen.match == "minor" else _minor(here) >= _minor(saved)
    if is_fine:
        return
    wanted = ".".join(map(str, _minor(saved)))
    raise Invalid(
        f"the model was saved with {library} {saved}, and {here} is installed, which may read it differently;"
        f" install {library} {wanted}{'' if chosen.match == 'minor' else ' or later'}, train it again,"
        " or load it with allow_version_mismatch=True and compare its scores.",
        library=library,
        saved=saved,
        installed=here,
    )


def _verify(saved: Saved) -> None:
    from mainstay.formats import limited  # late: limited imports this module

    answer = limited.check_in_child(saved.format, saved.files, environment=saved.environment)
    if not answer["ok"]:
        raise Invalid(f"the saved model does not load in a fresh process: {answer['error']}", **answer)
