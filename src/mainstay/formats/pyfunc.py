# SPDX-License-Identifier: Apache-2.0
"""Any model folder of MLflow's with a ``python_function``: read only where an admin has allowed it.

In: the whole folder, ``MLmodel`` and all. Out: a model that answers as ``mlflow.pyfunc`` does: PyTorch, Keras, statsmodels, a
class of somebody's own. Reading it is running it, so `formats.load` refuses this format unless it is told ``allow_pickle``; the
first load happens in the limited child. Rows are handed over as the folder's signature says, as columns of its types or as a
tensor of its shape, and what comes back is one number a row, or several.

What answers texts must say which there may be (``log_model(…, metadata={"classes": ["high", "low"]})``): a prediction is a number
here, with a label beside it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.formats import Array, Files, Model, Scores, Table, mlmodel

REQUIREMENTS = "requirements.txt"
_PREFIX = "mainstay-pyfunc-"
_SHOWN = 5
# One at a time: a folder may bring modules of its own, and those of two folders may have the same names.
_loading = threading.Lock()


@formats.adapter("pyfunc")
class Pyfunc:
    """Reads folders that MLflow's client logged."""

    version = 1
    extra = "pyfunc"
    libraries: tuple[str, ...] = ("mlflow-skinny", "pandas")
    match: Literal["minor", "not_older"] = "not_older"
    runs_code = True
    memory_mb = 8192  # PyTorch maps 4 GB of address space before it has done anything

    def recognises(self, model: object) -> bool:
        return False  # a folder may be brought along; none is ever made here

    def save(self, model: Any) -> dict[str, bytes]:
        raise Invalid(
            f"a {type(model).__name__} is not saved as a pyfunc; log it with MLflow's client, and register that."
        )

    def inspect(self, files: Files) -> list[str]:
        if mlmodel.FILE not in files:
            return [f"it has no file {mlmodel.FILE!r}."]
        return [f"its file {name[:80]!r} would lie outside of its folder." for name in files if not _is_inside(name)]

    def load(self, files: Files) -> Model:
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        try:
            _place(files, Path(folder.name))
            with _loading:
                return _served(_loaded(folder.name), folder)
        except (MemoryError, MainstayError):
            folder.cleanup()
            raise
        # It runs a stranger's code, which may raise anything at all.
        except Exception as error:
            folder.cleanup()
            raise _refused(error, files) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """A loaded folder. ``tensor``: shape and type of the one array it takes; None where it takes columns."""

    model: Any
    folder: tempfile.TemporaryDirectory[str]  # the model may read on in it for as long as it lives
    columns: tuple[str, ...] | None
    kinds: tuple[Any, ...]
    required: frozenset[str]
    tensor: tuple[tuple[int, ...], Any] | None
    is_framed: bool
    classes: list[Any] | None
    answers: int  # numbers a row, as the signature says; 1 where it does not
    scores: Scores
    takes_frame = True
    lock: Any = field(default_factory=threading.Lock)  # nobody promised that it may be called from two threads

    def predict(self, table: Table) -> Array:
        count = formats.row_count(table)
        if not count:
            return np.empty((0, self.answers) if self.answers > 1 and len(self.classes or ()) != 2 else 0)
        try:
            with self.lock:
                answer = self.model.predict(self._given(table))
            return self._read(answer, count)
        except (MemoryError, MainstayError):
            raise
        except Exception as error:
            raise Invalid(f"the model cannot score these rows: {_first_line(error)}") from error

    def _given(self, table: Table) -> Any:
        """The rows as the folder's signature says."""
        columns = self.columns or ()
        if not isinstance(table, Mapping):
            if table.ndim != 2 or table.shape[1] != len(columns):
                raise Invalid(f"the model expects rows of {len(columns)} columns; the table has shape {table.shape}.")
            table = dict(zip(columns, table.T, strict=True))
        arrays = formats.columns_in_order(table, columns)
        if self.tensor is not None:
            shape, kind = self.tensor
            return np.column_stack(arrays).astype(kind).reshape(len(arrays[0]), *shape[1:])
        given = {
            name: _cast(array, kind)
            for name, array, kind in zip(columns, arrays, self.kinds, strict=True)
            if name in self.required or not _is_all_missing(array)
        }
        return _frame(given) if self.is_framed else given

    def _read(self, answer: Any, count: int) -> Array:
        values = _array(answer)
        if values.ndim == 0 or len(values) != count:
            raise Invalid(f"the model gave an answer of shape {values.shape} for {count} rows.")
        values = values.reshape(count, -1)
        if values.dtype.kind not in "fiub":
            values = self._numbered(values)
        found = np.asarray(values, dtype=np.float64)
        if len(self.classes or ()) == 2 and found.shape[1] == 2:
            return np.ascontiguousarray(found[:, 1])
        return found[:, 0] if found.shape[1] == 1 else found

    def _numbered(self, values: Array) -> Array:
        """Texts as the places of the classes they name, 1 where they do; numbers kept as objects as what they are."""
        if self.classes is None or values.shape[1] != 1:
            try:
                return values.astype(np.float64)
            except (TypeError, ValueError):
                raise Invalid(
                    f"the model answers {str(values[0, 0])[:40]!r}, and a prediction is a number here. Have it answer"
                    ' numbers, or log it with metadata={"classes": […]}, all the answers it may give.'
                ) from None
        places = {label: place for place, label in enumerate(self.classes)}
        strange = [label for label in values[:, 0].tolist() if label not in places]
        if strange:
            raise Invalid(f"the model answers {str(strange[0])[:40]!r}, which is none of its classes {self.classes!r}.")
        return np.eye(len(places))[[places[label] for label in values[:, 0].tolist()]]


def _loaded(folder: str) -> Any:
    _forget_others()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(folder, suppress_warnings=True)


def _forget_others() -> None:
    """Modules that an earlier folder brought are no more found by name; whoever has imported them keeps them."""
    mark = f"{os.sep}{_PREFIX}"
    sys.path[:] = [entry for entry in sys.path if mark not in entry]
    for name, module in list(sys.modules.items()):
        if mark in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def _served(model: Any, folder: tempfile.TemporaryDirectory[str]) -> Served:
    inputs, outputs = model.metadata.get_input_schema(), model.metadata.get_output_schema()
    if inputs is None:
        raise Invalid("the model was logged without a signature, so nothing tells what to hand it.")
    specs, is_tensor = inputs.inputs, inputs.is_tensor_spec()
    tensor = (specs[0].shape, specs[0].type) if is_tensor and specs[0].name is None else None
    count = math.prod(tensor[0][1:]) if tensor else len(specs)
    names = tuple(None if tensor else specs[place].name for place in range(count))
    columns = tuple(f"x{place}" if name is None else str(name) for place, name in enumerate(names))
    classes, answers = _classes(model.metadata.metadata), _answers(outputs)
    return Served(
        model=model,
        folder=folder,
        columns=columns,
        kinds=() if tensor else tuple(spec.type if is_tensor else spec.type.to_pandas() for spec in specs),
        required=frozenset(columns if tensor else (c for c, s in zip(columns, specs, strict=True) if s.required)),
        tensor=tensor,
        is_framed=not is_tensor,
        classes=classes or (_names(outputs) if answers > 1 else None),
        answers=len(classes) if classes else answers,
        scores="margin" if classes or answers > 1 else "value",
    )


def _answers(schema: Any) -> int:
    """How many numbers a row's answer has, as far as the signature tells."""
    if schema is None:
        return 1
    if not schema.is_tensor_spec():
        return len(schema.inputs)
    return max(1, sum(max(1, math.prod(spec.shape[1:])) for spec in schema.inputs))


def _names(schema: Any) -> list[Any] | None:
    """The names of several answers; None where they have none."""
    found = [spec.name for spec in schema.inputs]
    return found if len(found) > 1 and None not in found else None


def _classes(told: Any) -> list[Any] | None:
    """The labels that whoever logged the model named."""
    found = told.get("classes") if isinstance(told, dict) else None
    if found is None:
        return None
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(one, str | int | float) for one in found):
        raise Invalid("'classes' in the metadata of the model's folder is a list of at least two texts or numbers.")
    return found


def _array(answer: Any) -> Array:
    """What ``mlflow.pyfunc`` may answer: an array, a list, a frame or a series, or arrays by name."""
    if isinstance(answer, Mapping):
        return np.column_stack([np.asarray(values).reshape(len(values), -1) for values in answer.values()])
    found: Array = answer.to_numpy() if hasattr(answer, "to_numpy") else np.asarray(answer)
    return found


def _cast(array: Array, kind: Any) -> Array:
    """A column in the signature's type; one with gaps that this type cannot have stays as it is, for MLflow to refuse."""
    wanted = np.dtype(kind)
    if array.dtype.kind != "f" or wanted.kind not in "fiub":
        return array
    if wanted.kind != "f" and np.isnan(array).any():
        return array
    return array.astype(wanted)


def _is_all_missing(array: Array) -> bool:
    if array.dtype.kind == "O":
        return all(value is None for value in array)
    return array.dtype.kind in "fM" and bool(
        np.isnan(array).all() if array.dtype.kind == "f" else np.isnat(array).all()
    )


def _frame(columns: Mapping[str, Array]) -> Any:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(array, dtype=array.dtype) for name, array in columns.items()})


def _place(files: Files, folder: Path) -> None:
    """The folder as MLflow's client wrote it. Copied, not linked: MLflow reads through no link, and a model may write there."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            shutil.copyfile(content, place)


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


def _refused(error: Exception, files: Files) -> Invalid:
    """Why it did not load, and what its own requirements ask for that is not here, or here in another version."""
    lacking, other = _apart_from(files)
    if isinstance(error, ModuleNotFoundError):
        asked = f"; its requirements ask for {_some(lacking)}" if lacking else ""
        return Invalid(
            f"the model needs module {error.name!r}, not installed here{asked}. Install that where workers and gateways run.",
            missing=lacking,
        )
    apart = f" It was made with {_some(other)}." if other else ""
    return Invalid(f"the model's folder cannot be loaded: {_first_line(error)}{apart}", other=other)


def _apart_from(files: Files) -> tuple[list[str], list[str]]:
    """Of the pinned requirements: those that are not installed here, and those that are in another version."""
    pins = mlmodel.pinned(formats.read(files, REQUIREMENTS)) if REQUIREMENTS in files else {}
    pins.pop("mlflow", None)  # its small form does, and that is here
    here = formats.versions(*pins)
    lacking = [f"{name}=={version}" for name, version in pins.items() if name not in here]
    other = [
        f"{name} {version} (here: {here[name]})" for name, version in pins.items() if here.get(name, version) != version
    ]
    return lacking, other


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first_line(error: Exception) -> str:
    text = re.sub(r"\S*" + _PREFIX + r"[^\s/'\"]*", "…", str(error).strip())
    return f"{type(error).__name__}: {text.splitlines()[0][:300] if text else 'it did not say why'}"


_: formats.Format = Pyfunc()
