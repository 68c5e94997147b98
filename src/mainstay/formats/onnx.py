# SPDX-License-Identifier: Apache-2.0
"""ONNX: a graph of standard operators, by far the quickest to answer a single row.

In: an ``onnx.ModelProto`` that ends in scores. Out: ``model.onnx``. Labels and columns are read from the graph.
`convert` makes one from a scikit-learn estimator, and gives it only if it scores a sample as the estimator does:
conversion is an accelerator that must be verified, not a promise.

Graphs that reach outside of the file (weights in other files, operators of other libraries) are refused unread.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Array, Files, Table
from mainstay.formats.facts import Facts, Told

FILE = "model.onnx"
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_NUMBERS: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
_TEXTS = "tensor(string)"
_FACTS = "mainstay.facts"  # a key in the graph's own metadata: other tools show it, and it cannot get lost


@formats.adapter("onnx")
class Onnx:
    """Saves graphs."""

    version = 1
    extra = "onnx"
    libraries: tuple[str, ...] = ("onnxruntime", "onnx", "numpy")
    match: Literal["minor", "not_older"] = "not_older"
    runs_code = False
    memory_mb = formats.MEMORY_MB

    def recognises(self, model: object) -> bool:
        return type(model).__name__ == "ModelProto" and hasattr(model, "SerializeToString")

    def save(self, model: Any) -> dict[str, bytes]:
        content: bytes = model.SerializeToString(deterministic=True)
        if not _problems(content):
            self.load({FILE: content})  # its outputs must be ones that can be told apart
        return {FILE: content}

    def inspect(self, files: Files) -> list[str]:
        return _problems(formats.read(files, FILE)) if FILE in files else [f"it has no file {FILE!r}."]

    def load(self, files: Files) -> Session:
        import onnx
        import onnxruntime

        content = formats.read(files, FILE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # then it makes no threads at all
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # onnxruntime's errors share no parent but this; each means that the graph cannot run.
        except Exception as error:
            raise Invalid(f"{FILE} is not a graph that onnxruntime can run; convert it again.") from error
        return _session(session, onnx.load_model_from_string(content))


@dataclass(frozen=True, kw_only=True, eq=False)
class Session(Told):
    """A loaded graph. onnxruntime lets several threads run it at once."""

    session: Any
    facts: Facts
    inputs: tuple[tuple[str, str, int], ...]  # name, type, columns
    output: str

    def predict(self, table: Table) -> Array:
        feed = self._one(table) if len(self.inputs) == 1 else self._many(table)
        if not formats.row_count(table):
            return self.facts.empty()
        found = np.asarray(self.session.run([self.output], feed)[0], dtype=np.float64)
        if self.facts.scores == "probability":
            found = np.clip(found, 0.0, 1.0)  # float32 votes of a forest add up to 1.0000001
        if self.facts.classes is not None and len(self.facts.classes) == 2 and found.ndim == 2:
            return np.ascontiguousarray(found[:, -1])
        return found if self.facts.classes is not None else found.reshape(len(found), -1)[:, 0]

    def _one(self, table: Table) -> dict[str, Array]:
        name, kind, width = self.inputs[0]
        if kind == _TEXTS:
            arrays = formats.columns_in_order(table, self.facts.columns) if isinstance(table, Mapping) else [table]
            return {name: np.column_stack([_typed(array, kind) for array in arrays])}
        rows = self.facts.matrix(table, width or _width(table))
        return {name: np.ascontiguousarray(rows, dtype=_NUMBERS[kind])}

    def _many(self, table: Table) -> dict[str, Array]:
        if not isinstance(table, Mapping):
            table = dict(zip((name for name, *_ in self.inputs), table.T, strict=True))
        arrays = formats.columns_in_order(table, self.facts.columns)
        typed = zip(self.inputs, arrays, strict=True)
        return {name: _typed(array, kind).reshape(-1, 1) for (name, kind, _), array in typed}


def convert(estimator: Any, sample: Table, *, tolerance: float = 1e-5) -> Any:
    """``estimator`` as a graph, proved on ``sample``.

    Args:
        estimator: fitted, of scikit-learn. sample: rows to compare on, numbers only; some
            thousands, as different as can be.
        tolerance: the largest difference of any score. Rows go in as float32, so one next to a threshold may differ.

    Raises:
        Invalid: skl2onnx cannot convert it, or its scores differ; keep the original.
        Unavailable: skl2onnx is not installed.
    """
    from mainstay.domain.errors import Unavailable
    from mainstay.formats import sklearn

    if not formats.versions("skl2onnx"):
        raise Unavailable("conversion needs skl2onnx, not installed here; `pip install mainstay[onnx]` adds it.")
    served = sklearn.serve(copy.deepcopy(estimator))  # without names: only positions are left in the graph
    rows = Facts(columns=served.columns, classes=None, scores="value").matrix(sample, served.width or 0)
    graph = _converted(served.estimator, rows)
    facts = Facts(columns=served.columns, classes=served.classes, scores=served.scores)
    entry = graph.metadata_props.add()
    entry.key, entry.value = _FACTS, facts.to_files()["facts.json"].decode()
    converted = Onnx().load({FILE: graph.SerializeToString()})
    difference = float(np.max(np.abs(converted.predict(rows) - served.predict(rows))))
    if not difference <= tolerance:
        raise Invalid(
            f"the ONNX graph differs from the estimator by {difference:.2g} on the sample; at most {tolerance:.2g} is"
            " accepted. Serve the original.",
            difference=difference,
        )
    return graph


def _converted(estimator: Any, rows: Array) -> Any:
    from skl2onnx import to_onnx
    from sklearn.base import is_classifier

    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    try:
        return to_onnx(estimator, rows[:1].astype(np.float32), options=options)
    # The converter fails in as many ways as there are estimators it does not know.
    except Exception as error:
        raise Invalid(f"skl2onnx cannot convert this {type(estimator).__name__}; serve the original.") from error


def _session(session: Any, graph: Any) -> Session:
    inputs = tuple((one.name, one.type, _columns_of(one)) for one in session.get_inputs())
    strange = [f"{name} ({kind})" for name, kind, _ in inputs if kind not in _NUMBERS and kind != _TEXTS]
    if strange:
        raise Invalid(f"the graph wants {', '.join(strange)}; only tensors of numbers, booleans or texts can be given.")
    outputs = [one for one in session.get_outputs() if one.type in ("tensor(float)", "tensor(double)")]
    if len(outputs) != 1:
        kinds = ", ".join(f"{one.name} ({one.type})" for one in session.get_outputs())
        raise Invalid(
            f"the graph gives {kinds}; one tensor of scores is expected. From skl2onnx, convert with `zipmap` off."
        )
    return Session(session=session, facts=_facts(graph, inputs), inputs=inputs, output=outputs[0].name)


def _facts(graph: Any, inputs: tuple[tuple[str, str, int], ...]) -> Facts:
    for entry in graph.metadata_props:
        if entry.key == _FACTS:
            return Facts.from_files({"facts.json": entry.value.encode()})
    columns = tuple(name for name, *_ in inputs) if len(inputs) > 1 else None
    classes = _labels(graph)
    return Facts(columns=columns, classes=classes, scores="value" if classes is None else "probability")


def _labels(graph: Any) -> list[Any] | None:
    """The labels that the graph's classifier, its last one, states."""
    for node in reversed(graph.graph.node):
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                return list(attribute.ints)
            if attribute.name == "classlabels_strings" and attribute.strings:
                return [label.decode() for label in attribute.strings]
    return None


def _columns_of(one: Any) -> int:
    """Columns of an input; 0 if the graph leaves it open."""
    return one.shape[1] if len(one.shape) == 2 and isinstance(one.shape[1], int) else 0


def _width(table: Table) -> int:
    return len(table) if isinstance(table, Mapping) else table.shape[1]


def _typed(array: Array, kind: str) -> Array:
    if kind == _TEXTS:
        return formats.filled(array, "").astype(object)
    if array.dtype.kind not in "fiub":
        raise Invalid("a column holds texts where the graph wants numbers.")
    return array.astype(_NUMBERS[kind])


def _problems(content: bytes) -> list[str]:
    try:
        import onnx
    except ImportError:
        return ["it cannot be looked into without the onnx library; `pip install mainstay[onnx]` adds it."]
    from google.protobuf.message import DecodeError

    graph = onnx.ModelProto()
    try:
        graph.ParseFromString(content)
    except DecodeError:
        return [f"{FILE} is not a whole ONNX model."]
    if not graph.graph.node or not graph.graph.output:
        return [f"{FILE} holds no graph."]
    return _outside(graph)


def _outside(graph: Any) -> list[str]:
    """What in the graph points out of the file."""
    found = []
    nodes = [node for part in (graph.graph, *graph.functions) for node in _nodes(part)]
    foreign = {node.domain for node in nodes} - set(_DOMAINS) - {function.domain for function in graph.functions}
    if foreign:
        found.append(f"it uses operators of {', '.join(sorted(foreign))}; only the standard ones are run.")
    if any(map(_has_external, (graph.graph, *graph.functions))):
        found.append("it keeps weights in other files; save it with all weights inside.")
    return found


def _nodes(part: Any) -> list[Any]:
    nodes = []
    for node in part.node:
        nodes.append(node)
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                nodes.extend(_nodes(inner))
    return nodes


def _has_external(part: Any) -> bool:
    tensors = list(getattr(part, "initializer", ()))
    tensors += [
        inner for sparse in getattr(part, "sparse_initializer", ()) for inner in (sparse.values, sparse.indices)
    ]
    for node in _nodes(part):
        for attribute in node.attribute:
            tensors += [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                tensors += inner.initializer
    return any(tensor.data_location == tensor.EXTERNAL or tensor.external_data for tensor in tensors)


_: formats.Format = Onnx()
