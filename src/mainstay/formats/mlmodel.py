# SPDX-License-Identifier: Apache-2.0
"""A model folder as MLflow's client logs it: ``MLmodel`` beside the model's own files.

In: the folder's files by name. Out: which of our formats reads it, the signature and environment as we write them
(`read`), and the files as that format wants them (`unfolded`). Nothing here runs what is in the folder: ``MLmodel`` is
plain YAML without aliases, of limited size; a native file is passed on; a LightGBM estimator inside a skops archive is
taken out of it as the text it is.

A folder that no format of ours can load is described all the same; its format is then the name that MLflow gives it.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Files, facts

FILE = "MLmodel"
MOST_BYTES = 1 << 20
MOST_COLUMNS = 10_000
MOST_REQUIREMENTS = 500
MOST_EXAMPLE_BYTES = 4 << 20

# The flavours that MLflow's folder may have, those first that we can read as data; "python_function" wraps all of them.
PYFUNC = "pyfunc"
_OURS = ("xgboost", "lightgbm", "onnx", "sklearn")
_LIBRARIES = {"xgb_version": "xgboost", "lgb_version": "lightgbm", "sklearn_version": "scikit-learn"}
_KINDS = {
    "boolean": "bool",
    "integer": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "string": "str",
    "datetime": "datetime",
}
_PINNED = re.compile(r"([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?==([\w.+!\-]+)")
_PYTHON = re.compile(r"[0-9]+(\.[0-9]+){1,3}")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a folder says of itself.

    ``format``: one of ours, or, where none can load it, MLflow's own word. ``signature``: empty if it has none that a request
    could be checked by; ``lack`` then says why.
    """

    format: str
    signature: dict[str, Any]
    environment: dict[str, Any]
    lack: str = ""
    flavours: tuple[str, ...] = field(default=())


def read(files: Files) -> Described:
    """Describe the folder.

    Raises:
        Invalid: ``MLmodel`` is missing, too large, or not what MLflow writes.
    """
    content = _parsed(formats.read(files, FILE))
    flavours = _flavours(content)
    signature, lack = _signature(content.get("signature"))
    return Described(
        format=_format(flavours),
        signature=signature,
        environment=_environment(files, flavours),
        lack=lack,
        flavours=tuple(sorted(flavours)),
    )


def unfolded(format: str, files: Files) -> Files:
    """The folder's files under the names by which ``format`` knows them.

    Raises:
        Invalid: the folder is not what it says.
    """
    content = _parsed(formats.read(files, FILE))
    flavours = _flavours(content)
    if format == PYFUNC and _format(flavours) == PYFUNC:
        return files
    if format == "pickle":
        return {"model.pkl": _member(files, _pickled(flavours))}
    if format not in _OURS or format not in flavours:
        raise Invalid(
            f"the model's folder is not one that format {format!r} reads; its flavours: {', '.join(flavours)}."
        )
    data = str(flavours[format].get("data") or flavours[format].get("pickled_model") or "")
    if format == "lightgbm":
        return _lightgbm(_member(files, data), _names(content.get("signature")))
    native = {"sklearn": "model.skops", "xgboost": "model.ubj", "onnx": "model.onnx"}[format]
    return {native: _member(files, data)} | ({facts.FILE: facts.ASK_THE_MODEL} if format == "xgboost" else {})


def example(files: Files) -> list[dict[str, Any]]:
    """Rows of the input example, by column; none if it has none that can be read as a table."""
    content = _parsed(formats.read(files, FILE))
    told = content.get("saved_input_example_info")
    name = told.get("artifact_path") if isinstance(told, dict) else None
    if not isinstance(name, str) or name not in files or len(data := formats.read(files, name)) > MOST_EXAMPLE_BYTES:
        return []
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return []
    columns = [column["name"] for column in _signature(content.get("signature"))[0].get("inputs", ())]
    rows = found.get("data") if isinstance(found, dict) else found
    names = found.get("columns", columns) if isinstance(found, dict) else columns
    rows = [_flat(row) for row in rows] if isinstance(rows, list) and isinstance(found, list) else rows
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return []
    return [dict(zip(names, row, strict=True)) for row in rows]


def pinned(requirements: bytes) -> dict[str, str]:
    """Version by distribution, of the lines of a requirements file that name one."""
    lines = requirements[:MOST_BYTES].decode(errors="replace").splitlines()
    found = (match for line in lines if (match := _PINNED.match(line.strip())))
    return {match[1].lower(): match[2] for match in list(found)[:MOST_REQUIREMENTS]}


def _flat(row: Any) -> list[Any]:
    """The values of one row of an array, the last dimension first. `json` has limited how deep it can be."""
    return [value for part in row for value in _flat(part)] if isinstance(row, list) else [row]


def _parsed(data: bytes) -> dict[str, Any]:
    import yaml  # late: of all formats only this one needs it

    class Plain(yaml.SafeLoader):
        """YAML without aliases: with them, a page of text can stand for more than memory holds."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("it has an alias")
            return super().compose_node(parent, index)

    if len(data) > MOST_BYTES:
        raise Invalid(f"{FILE} has {len(data)} bytes; at most {MOST_BYTES} are read.")
    try:
        found = yaml.load(data.decode(), Loader=Plain)  # Plain is a SafeLoader: it makes no objects
    # YAML's own constructors also let ValueError out, of a date or a number that is none.
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise Invalid(f"{FILE} is not YAML as MLflow writes it: {str(error).splitlines()[0][:200]}.") from error
    if not isinstance(found, dict):
        raise Invalid(f"{FILE} is not a mapping; the description that MLflow's client writes is expected.")
    return found


def _flavours(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = content.get("flavors")
    if not isinstance(found, dict) or not found or not all(isinstance(one, dict) for one in found.values()):
        raise Invalid(f"{FILE} names no flavours, so nothing tells how the model is kept; log it again.")
    return {str(name): one for name, one in found.items()}


def _format(flavours: Mapping[str, Mapping[str, Any]]) -> str:
    for name in _OURS:
        if name not in flavours:
            continue
        if not _is_pickled(
            flavours[name], str(flavours[name].get("data") or flavours[name].get("pickled_model") or "")
        ):
            return name
        if name in ("sklearn", "lightgbm"):
            return "pickle"
    if isinstance(flavours.get("python_function", {}).get("loader_module"), str):
        return PYFUNC
    return next((name for name in sorted(flavours) if name != "python_function"), "python_function")


def _is_pickled(flavour: Mapping[str, Any], data: str) -> bool:
    kept = flavour.get("serialization_format")
    return data.endswith((".pkl", ".joblib")) or (
        kept in ("pickle", "cloudpickle") and not data.endswith((".lgb", ".txt"))
    )


def _pickled(flavours: Mapping[str, Mapping[str, Any]]) -> str:
    for name in ("sklearn", "lightgbm"):
        if name in flavours:
            return str(flavours[name].get("pickled_model") or flavours[name].get("data") or "")
    raise Invalid(f"the model's folder holds no pickle of an estimator; its flavours: {', '.join(flavours)}.")


def _member(files: Files, name: str) -> bytes:
    if name not in files:
        raise Invalid(f"{FILE} says that the model is in {name[:80]!r}, and the folder has no such file.", missing=name)
    return formats.read(files, name)


def _lightgbm(data: bytes, columns: tuple[str, ...] | None) -> Files:
    """LightGBM's text with what it does not say. Its own names have ``_`` for every space: the signature's are better."""
    from mainstay.formats import lightgbm

    text, classes = _out_of_skops(data) if data[:4] == b"PK\x03\x04" else (data, None)
    told = lightgbm.facts_of(text.decode(errors="replace"), columns=columns, classes=classes)
    return {lightgbm.FILE: text, **told.to_files()}


def _out_of_skops(archive: bytes) -> tuple[bytes, list[Any] | None]:
    """The booster's text and the labels, out of the archive of an estimator with scikit-learn's face."""
    import numpy as np

    from mainstay.formats import skops_archive

    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            if members.getinfo("schema.json").file_size > skops_archive.SCHEMA_LIMIT_BYTES:
                raise ValueError("its schema is too large")
            state = json.loads(members.read("schema.json"))["content"]["content"]
            text = json.loads(state["_Booster"]["content"]["content"]["_handle"]["content"])
            labels = state.get("_classes")
            classes = None
            if isinstance(labels, dict) and labels.get("__loader__") == "NdArrayNode" and labels.get("type") == "numpy":
                array = np.load(io.BytesIO(members.read(labels["file"])), allow_pickle=False)
                classes = array.tolist()
            return str(text).encode(), classes
    except (
        ValueError,
        KeyError,
        TypeError,
        zipfile.BadZipFile,
        EOFError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise Invalid(
            "the archive does not hold a LightGBM estimator as skops writes it; log the booster itself."
        ) from error


def _signature(told: Any) -> tuple[dict[str, Any], str]:
    """As we write it; or nothing, and why."""
    if told is None:
        return {}, "it was logged without a signature; log it with an input example or `infer_signature`"
    try:
        inputs = _inputs(json.loads(told["inputs"]))
        outputs = json.loads(told["outputs"]) if told.get("outputs") else None
        return {"inputs": inputs, "output": {"type": _output(outputs)}}, ""
    except Invalid as error:
        return {}, error.message
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return {}, "its signature cannot be read as one that MLflow writes"


def _inputs(columns: Any) -> list[dict[str, Any]]:
    if len(columns) == 1 and columns[0].get("type") == "tensor" and not columns[0].get("name"):
        return _unnamed(columns[0]["tensor-spec"])
    if len(columns) > MOST_COLUMNS:
        raise Invalid(f"its signature has {len(columns)} columns; at most {MOST_COLUMNS} are checked")
    return [_column(column, place) for place, column in enumerate(columns)]


def _column(column: Mapping[str, Any], place: int) -> dict[str, Any]:
    kind = column["type"]
    if kind == "tensor":
        kind = _kind_of_dtype(column["tensor-spec"]["dtype"])
        if len(column["tensor-spec"]["shape"]) != 1:
            raise Invalid(
                f"input {column.get('name', place)!r} of its signature is a tensor; columns of values are expected"
            )
    elif kind not in _KINDS:
        raise Invalid(
            f"input {column.get('name', place)!r} of its signature is {str(kind)[:40]!r}; a row holds plain values"
        )
    else:
        kind = _KINDS[kind]
    required = bool(column.get("required", True))
    # A missing number is NaN to whoever trained on floats; a column that may be absent may be empty, too.
    return {
        "name": str(column.get("name") or f"x{place}"),
        "type": kind,
        "required": required,
        "nullable": kind == "float" or not required,
    }


def _unnamed(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns ``x0``, ``x1``, … for a model that was fitted on an array; of more dimensions the last one counts first."""
    shape = spec["shape"]
    width = math.prod(int(size) for size in shape[1:]) if all(int(size) > 0 for size in shape[1:]) else 0
    if not shape or int(shape[0]) != -1 or not 1 <= width <= MOST_COLUMNS:
        raise Invalid(
            f"its input is a tensor of shape {shape}; rows of a fixed number of values, at most {MOST_COLUMNS}, are expected"
        )
    kind = _kind_of_dtype(spec["dtype"])
    more = {"type": kind, "required": True, "nullable": kind == "float"}
    return [{"name": f"x{place}", **more} for place in range(width)]


def _kind_of_dtype(dtype: str) -> str:
    kind = dtype.rstrip("0123456789")
    found = {"float": "float", "int": "int", "uint": "int", "bool": "bool", "str": "str", "object": "str"}.get(kind)
    if found is None:
        raise Invalid(f"its signature has values of type {dtype[:40]!r}; numbers, booleans and texts are expected")
    return found


def _output(outputs: Any) -> str:
    """Labels, or a number: MLflow does not say more, and the model itself will."""
    if not outputs:
        return "regression"
    one = outputs[0]
    if one.get("type") == "tensor":
        dtype, shape = str(one["tensor-spec"]["dtype"]), one["tensor-spec"]["shape"]
        is_number = dtype.startswith("float") and not (len(shape) > 1 and shape[-1] > 1)
    else:
        is_number = one.get("type") in ("float", "double") and len(outputs) == 1
    return "regression" if is_number else "classification"


def _names(told: Any) -> tuple[str, ...] | None:
    """The input's names, if whoever logged it gave names."""
    try:
        columns = json.loads(told["inputs"])
        return tuple(str(column["name"]) for column in columns)
    except (ValueError, KeyError, TypeError):
        return None


def _environment(files: Files, flavours: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "requirements.txt" in files:
        found |= pinned(formats.read(files, "requirements.txt"))
    python = flavours.get("python_function", {}).get("python_version")
    if isinstance(python, str) and _PYTHON.fullmatch(python):
        found["python"] = python
    for flavour in flavours.values():
        for key, library in _LIBRARIES.items():
            if isinstance(flavour.get(key), str):
                found[library] = flavour[key]
    return found
